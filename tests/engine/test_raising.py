"""Steps that raise anything: the run is in the journal, typed, and nothing stays half-done."""

from __future__ import annotations

import enum
from asyncio import CancelledError
from contextlib import suppress
from typing import Any

import pytest

from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db import DatabaseError, IntegrityError, OperationalError, transaction

from flowstate import SYSTEM, Retry, Step, StepError, StepFailed, TransactionBroken, Workflow
from flowstate.models import Run, StepRun
from tests.kiosk.diary import Diary, enter
from tests.kiosk.models import Entry

pytestmark = pytest.mark.django_db(transaction=True)


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


class OwnArguments(StepError):
    """Forgets its parent's arguments, as people do."""

    def __init__(self, amount: int) -> None:
        self.amount = amount


class WithParts(StepError):
    default_code = "with_parts"

    def __init__(self, one: int, *, two: int) -> None:
        super().__init__(f"{one} and {two}")


class Color(enum.Enum):
    RED = "red"


ANYTHING: list[BaseException] = [
    ValueError(),
    ValueError("a\x00b \ud800"),
    ValueError("x" * 100_000),
    Unspeakable(),
    OwnArguments(3),
    WithParts(1, two=2),
    StopIteration(),
    AssertionError(),
    ExceptionGroup("several", [ValueError(), TypeError()]),
    ValidationError({"field": ["wrong"]}),
    ObjectDoesNotExist(),
    IntegrityError("user's own"),
    DatabaseError("user's own"),
    RecursionError(),
    MemoryError(),
    StepError("refused", code="a\x00b"),
    StepError("refused", code=Color.RED),  # type: ignore[arg-type]  # as people do
    CancelledError(),
]


@pytest.mark.parametrize(
    "number", range(len(ANYTHING)), ids=lambda number: f"{type(ANYTHING[number]).__name__}-{number}"
)
@pytest.mark.parametrize("kind", ["external", "transactional", "atomic"])
def test_whatever_a_step_raises_fails_the_run_and_is_described(diary: Diary, number: int, kind: str) -> None:
    error = ANYTHING[number]
    inside = kind != "external"
    steps = [
        diary.undoable("a", transactional=inside),
        diary.step("b", errors=[error], transactional=inside),
    ]

    run = Workflow.from_steps("anything", steps, atomic=kind == "atomic").run(user=SYSTEM)

    stored: Any = Run.objects.get()
    assert stored.status == run.status == ("failed" if kind == "atomic" else "compensated")
    assert stored.failed_step == "b"
    assert stored.error["class"] == f"{type(error).__module__}.{type(error).__qualname__}"
    assert len(stored.error["detail"]) <= 4_000
    assert stored.traceback
    with pytest.raises((StepFailed, StepError)):
        stored.raise_for_status()


@pytest.mark.parametrize("error", [Unspeakable(), OwnArguments(3)], ids=["unspeakable", "own arguments"])
def test_whatever_a_compensation_raises_is_described(diary: Diary, error: BaseException) -> None:
    steps = [diary.undoable("a", undo_errors=[error] * 3), diary.step("b", errors=[OSError()])]

    run = Workflow.from_steps("anything_back", steps).run(user=SYSTEM)

    assert run.status == "attention"
    assert run.compensation_errors["a"]["class"].endswith(type(error).__name__)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), GeneratorExit()], ids=repr)
def test_an_interrupt_of_the_process_passes_and_leaves_the_external_step_claimed(
    diary: Diary, error: BaseException
) -> None:
    """Nobody knows what happened outside: the journal says so, for whoever looks when the lease is over."""
    workflow = Workflow.from_steps("interrupted", [diary.step("a"), diary.step("b", errors=[error])])

    with pytest.raises(type(error)):
        workflow.run(user=SYSTEM)

    run = Run.objects.get()
    row = StepRun.objects.get(name="b")
    assert run.status == "running"
    assert row.status == "running"
    assert row.lease_until is not None
    assert run.wake_at is not None
    assert run.wake_at <= row.lease_until
    assert not transaction.get_connection().in_atomic_block


@pytest.mark.parametrize("atomic", [False, True])
def test_an_interrupt_of_the_process_rolls_a_transactional_step_back(diary: Diary, atomic: bool) -> None:
    def write(ctx: Any) -> None:
        Entry.objects.create(what="half")
        raise KeyboardInterrupt

    workflow = Workflow.from_steps("rolled", [Step("a", write, transactional=True)], atomic=atomic)

    with pytest.raises(KeyboardInterrupt):
        workflow.run(user=SYSTEM)

    assert not Entry.objects.exists()
    assert not Run.objects.exists()
    assert not transaction.get_connection().in_atomic_block


# --- database errors -----------------------------------------------------------------------------


def swallow(ctx: Any) -> str:
    Entry.objects.create(pk=1, what="first")
    with suppress(IntegrityError):
        Entry.objects.create(pk=1, what="again")
    return "went on"


def swallow_properly(ctx: Any) -> str:
    Entry.objects.create(pk=1, what="first")
    with suppress(IntegrityError), transaction.atomic():
        Entry.objects.create(pk=1, what="again")
    return "went on"


@pytest.mark.parametrize("atomic", [False, True])
def test_a_swallowed_database_error_fails_the_step(atomic: bool) -> None:
    workflow = Workflow.from_steps("broken", [Step("a", swallow, transactional=True)], atomic=atomic)

    run = workflow.run(user=SYSTEM)

    assert run.status == "failed"
    assert not Entry.objects.exists()
    with pytest.raises(
        TransactionBroken, match=r"(?s)Step a of broken caught a database error.*transaction.atomic\(\)"
    ):
        run.raise_for_status()


@pytest.mark.parametrize("atomic", [False, True])
def test_a_database_error_within_an_inner_atomic_is_the_steps_own_business(atomic: bool) -> None:
    workflow = Workflow.from_steps("whole", [Step("a", swallow_properly, transactional=True)], atomic=atomic)

    run = workflow.run(user=SYSTEM)

    assert run.value == "went on"
    assert [entry.what for entry in Entry.objects.all()] == ["first"]


def test_a_swallowed_database_error_in_an_optional_atomic_step_costs_that_step_only(diary: Diary) -> None:
    steps = [
        Step("a", lambda ctx: enter("kept"), transactional=True),
        Step("b", swallow, transactional=True, optional=True),
        diary.step("c", transactional=True),
    ]

    run = Workflow.from_steps("costs", steps, atomic=True).run(user=SYSTEM)

    assert run.success
    assert [entry.what for entry in Entry.objects.all()] == ["kept"]
    assert run.step_runs.get(name="b").status == "failed"


def test_a_swallowed_database_error_in_an_external_step_spoils_nothing() -> None:
    run = Workflow.from_steps("outside", [Step("a", swallow)]).run(user=SYSTEM)

    assert run.value == "went on"
    assert Run.objects.get().status == "succeeded"


def test_a_swallowed_database_error_in_a_compensation_is_found(diary: Diary) -> None:
    def undo(ctx: Any, result: Any) -> None:
        swallow(ctx)

    steps = [
        Step("a", lambda ctx: None, undo, transactional=True, retry=Retry(1)),
        diary.step("b", errors=[OSError()]),
    ]

    run = Workflow.from_steps("broken_back", steps).run(user=SYSTEM)

    assert run.status == "attention"
    assert run.compensation_errors["a"]["code"] == "transaction_broken"
    assert not Entry.objects.exists()


@pytest.mark.parametrize("atomic", [False, True])
def test_a_deadlock_is_tried_again_and_counts_nowhere(atomic: bool) -> None:
    tries: list[int] = []

    def deadlock_twice(ctx: Any) -> str:
        tries.append(ctx.attempt)
        Entry.objects.create(what=f"try {len(tries)}")
        if len(tries) < 3:
            raise OperationalError("database is locked")
        return "done"

    workflow = Workflow.from_steps(
        "deadlocked", [Step("a", deadlock_twice, transactional=True)], atomic=atomic
    )

    run = workflow.run(user=SYSTEM)

    row = StepRun.objects.get()
    assert run.value == "done"
    assert tries == [1, 1, 1]
    assert [entry.what for entry in Entry.objects.all()] == ["try 3"]
    assert (row.failures, row.attempt) == (0, 1)
    assert not run.events.exists()
    assert Run.objects.get().status == "succeeded"


def test_a_deadlock_that_never_ends_fails_the_step() -> None:
    def deadlock(ctx: Any) -> None:
        raise OperationalError("database is locked")

    run = Workflow.from_steps("stuck", [Step("a", deadlock, transactional=True)]).run(user=SYSTEM)

    assert run.failed_step == "a"
    assert Run.objects.get().status == "failed"


# --- rows written by external steps ---------------------------------------------------------------


def test_rows_written_by_an_external_step_are_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    write = Step("write", lambda ctx: enter("oops"))
    workflow = Workflow.from_steps("careless", [write])

    workflow.run(user=SYSTEM)
    workflow.run(user=SYSTEM)

    reports = [record for record in caplog.records if record.name == "flowstate.steps"]
    assert len(reports) == 1
    assert reports[0].levelname == "WARNING"
    assert "Step write of careless is external but wrote rows" in reports[0].getMessage()
    assert "@step(transactional=True), or use a CreateStep" in reports[0].getMessage()


def test_reading_rows_and_beating_in_an_external_step_is_not_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def careful(ctx: Any) -> None:
        Entry.objects.count()
        ctx.heartbeat()

    assert Workflow.from_steps("careful", [Step("read", careful)]).run(user=SYSTEM).success

    assert [record.getMessage() for record in caplog.records if record.name == "flowstate.steps"] == []
