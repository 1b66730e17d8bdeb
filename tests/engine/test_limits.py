"""Limits in time: a step that takes too long is interrupted, a run that does begins nothing new."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from django.contrib.auth.models import User
from django.db import connection

from flowstate import SYSTEM, Retry, RunTimeout, Step, StepTimeout, UpdateStep, Workflow
from flowstate.exceptions import StepInterrupted
from flowstate.models import Run, StepRun
from tests.kiosk.diary import Diary
from tests.kiosk.models import Entry, Sale
from tests.kiosk.stall import OnSale

pytestmark = pytest.mark.django_db(transaction=True)


def hang(ctx: Any) -> None:
    threading.Event().wait(20)


def spin(ctx: Any) -> None:
    while True:
        with suppress(Exception):
            sum(range(100))


def wait_for_the_database(ctx: Any) -> None:
    """Be in the middle of a statement when the time is up, where the database can be made to wait."""
    slow = {"postgresql": "SELECT pg_sleep(2)", "mysql": "SELECT SLEEP(2)"}.get(connection.vendor)
    if slow is None:
        hang(ctx)
        return
    with connection.cursor() as cursor:
        cursor.execute(slow)


@pytest.mark.parametrize("stuck", [hang, spin])
def test_a_step_that_hangs_is_interrupted_and_the_steps_before_are_undone(diary: Diary, stuck: Any) -> None:
    """P18."""
    steps = [diary.undoable("a"), Step("b", stuck, timeout=0.05)]

    run = Workflow.from_steps("hanging", steps).run(user=SYSTEM)

    assert diary.lines == ["a", "undo a"]
    assert run.failed_step == "b"
    with pytest.raises(StepTimeout, match=r"Step b took longer than 0.05 seconds in attempt 1\."):
        run.raise_for_status()
    assert run.duration is not None
    assert run.duration < 10


def test_what_an_interrupted_step_did_outside_is_unknown_and_undone(diary: Diary) -> None:
    undone: list[Any] = []
    pay = Step("pay", hang, lambda ctx, result: undone.append(result), timeout=0.05)

    run = Workflow.from_steps("in_doubt", [pay]).run(user=SYSTEM)

    assert run.step_runs.get().status == "unknown"
    assert undone == [None]
    assert run.status == "compensated"


def test_an_interrupted_step_is_tried_again_with_the_whole_time() -> None:
    def hang_once(ctx: Any) -> str:
        if ctx.attempt == 1:
            hang(ctx)
        return f"attempt {ctx.attempt}"

    step = Step("a", hang_once, timeout=0.05, retry=Retry(max_attempts=2, delay=0))

    assert Workflow.from_steps("again", [step]).run(user=SYSTEM).value == "attempt 2"


def test_an_interrupted_transactional_step_leaves_no_rows() -> None:
    def write_and_hang(ctx: Any) -> None:
        Entry.objects.create(what="half")
        hang(ctx)

    run = Workflow.from_steps("rowless", [Step("a", write_and_hang, transactional=True, timeout=0.05)]).run(
        user=SYSTEM
    )

    assert not Entry.objects.exists()
    assert run.step_runs.get().status == "failed"
    assert isinstance(run.cause, StepTimeout)
    assert connection.is_usable()


def test_a_compensation_that_hangs_is_interrupted_too(diary: Diary) -> None:
    tried: list[int] = []

    def hang_back(ctx: Any, result: Any) -> None:
        tried.append(ctx.attempt)
        hang(ctx)

    steps = [
        diary.undoable("a"),
        Step("b", lambda ctx: None, hang_back, timeout=0.05, retry=Retry(2, delay=0)),
        diary.step("c", errors=[OSError()]),
    ]

    run = Workflow.from_steps("hanging_back", steps).run(user=SYSTEM)

    assert tried == [1, 2]
    assert run.status == "attention"
    assert run.compensated_steps == ["a"]
    assert run.compensation_errors["b"]["code"] == "step_timeout"


def test_in_another_thread_a_late_step_is_refused_after_it_came_back() -> None:
    """P18: Python interrupts only the main thread."""
    runs: list[Run] = []
    slow = Step("a", lambda ctx: threading.Event().wait(0.1), timeout=0.01)
    workflow = Workflow.from_steps("threaded", [slow])

    def work() -> None:
        runs.append(workflow.run(user=SYSTEM))
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(20)

    assert runs[0].error is not None
    assert runs[0].error["code"] == "step_timeout"


def test_the_timer_of_somebody_else_goes_on_afterwards(diary: Diary) -> None:
    rung: list[bool] = []
    before = signal.signal(signal.SIGALRM, lambda *_args: rung.append(True))
    signal.setitimer(signal.ITIMER_REAL, 100)
    try:
        Workflow.from_steps("polite", [diary.step("a")]).run(user=SYSTEM)

        left, _interval = signal.getitimer(signal.ITIMER_REAL)
        assert 50 < left <= 100
        signal.raise_signal(signal.SIGALRM)
        assert rung == [True]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_heartbeat_gives_the_attempt_its_time_and_its_lease_again(clock: Callable[[float], None]) -> None:
    leases: list[Any] = []

    def beat(ctx: Any) -> None:
        leases.append(StepRun.objects.get().lease_until)
        clock(30)
        ctx.heartbeat()
        leases.append(StepRun.objects.get().lease_until)

    run = Workflow.from_steps("beating", [Step("a", beat)]).run(user=SYSTEM)

    assert run.success
    assert 29 < (leases[1] - leases[0]).total_seconds() < 40


def test_a_step_whose_claim_is_lost_is_stopped_at_its_next_heartbeat() -> None:
    after: list[str] = []

    def beat(ctx: Any) -> None:
        StepRun.objects.update(attempt=9)  # somebody else holds it by now
        try:
            ctx.heartbeat()
        except Exception:
            after.append("swallowed")
        after.append("went on")

    run = Workflow.from_steps("lost", [Step("a", beat)]).run(user=SYSTEM)

    assert after == []
    assert run.status == "running"
    row = StepRun.objects.get()
    assert (row.status, row.attempt) == ("running", 9)


def test_a_heartbeat_in_a_transactional_step_is_refused() -> None:
    step = Step("a", lambda ctx: ctx.heartbeat(), transactional=True)

    run = Workflow.from_steps("no_beat", [step]).run(user=SYSTEM)

    assert run.failed_step == "a"


# --- the whole run -------------------------------------------------------------------------------


def test_no_step_starts_after_the_runs_deadline(diary: Diary, clock: Callable[[float], None]) -> None:
    """P19: two steps of three take the second that the run has."""
    slow = Step("b", lambda ctx: clock(1.5))
    workflow = Workflow.from_steps("late", [diary.undoable("a"), slow, diary.step("c")], timeout=1)

    run = workflow.run(user=SYSTEM)

    assert diary.lines == ["a", "undo a"]
    assert run.status == "compensated"
    assert run.failed_step == ""
    assert run.step_runs.get(name="b").status == "done"
    assert run.step_runs.get(name="c").status == "cancelled"
    with pytest.raises(RunTimeout, match=r"took longer than its 1\.0 seconds"):
        run.raise_for_status()


def test_a_run_that_ends_with_its_last_step_is_not_late(diary: Diary, clock: Callable[[float], None]) -> None:
    workflow = Workflow.from_steps("just", [diary.step("a"), Step("b", lambda ctx: clock(5))], timeout=1)

    assert workflow.run(user=SYSTEM).success


def test_a_step_knows_its_runs_deadline() -> None:
    workflow = Workflow.from_steps("known", [Step("a", lambda ctx: ctx.deadline)], timeout=30)

    run = workflow.run(user=SYSTEM)

    assert run.value == run.deadline_at
    assert run.deadline_at is not None
    assert 29 < (run.deadline_at - run.started_at).total_seconds() < 31


def test_an_entity_step_before_the_deadline_is_undone(
    sale: Sale, user: User, on_sale: OnSale, clock: Callable[[float], None]
) -> None:
    """P19."""
    write = UpdateStep(name="write", values={"note": "written"})
    workflow = Workflow.from_steps(
        "late_rows", [write, Step("slow", lambda ctx: clock(9)), Step("no", hang)], timeout=1
    )

    run = on_sale(workflow).run(user=user)

    sale.refresh_from_db()
    assert run.compensated_steps == ["write"]
    assert sale.note == ""


def test_the_interrupt_passes_code_that_catches_every_exception() -> None:
    assert not issubclass(StepInterrupted, Exception)


@pytest.mark.parametrize("atomic", [False, True])
def test_an_interrupted_statement_of_an_external_step_does_not_cost_the_journal_its_connection(
    diary: Diary, atomic: bool
) -> None:
    """I33: whatever the statement left on the line, the run is recorded and what was done outside is undone."""
    steps = [diary.undoable("a"), Step("b", wait_for_the_database, timeout=0.2)]

    run = Workflow.from_steps("interrupted", steps, atomic=atomic).run(user=SYSTEM)

    assert diary.lines == ["a", "undo a"]
    assert (run.status, run.failed_step) == ("compensated", "b")
    assert Run.objects.get().status == "compensated"
