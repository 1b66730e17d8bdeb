"""Branches that end at the same moment: their join begins once, and nobody waits for another in a circle."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from django.db import DatabaseError, connection

from flowstate import SYSTEM, Context, RunConflict, Step, Workflow, step
from flowstate.engine.carry.messages import carry_run, carry_step
from flowstate.engine.carry.sweep import sweep
from flowstate.engine.database.contention import is_contention
from flowstate.models import Run
from tests.faults import post
from tests.faults.afterwards import broken
from tests.faults.crowd import at_once
from tests.kiosk import forks

pytestmark = pytest.mark.django_db(transaction=True)

LEGS = 4
ROUNDS = 25

together: list[threading.Barrier] = []
"""Where the legs meet, so that all of them are at work before the first ends."""


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    forks.forget()
    yield
    together.clear()


def leg(number: int) -> Step[Any]:
    def meet(ctx: Context[Any]) -> int:
        if together:
            together[0].wait(30)
        forks.called(f"leg{number}")
        return number

    def undo(ctx: Context[Any], _result: int | None) -> None:
        forks.called(f"undo leg{number}")

    return Step(f"leg{number}", meet, undo, depends_on=())


class Fan(Workflow):
    """Four steps that know nothing of each other, and what follows from all of them."""

    class Meta:
        exclusive = None

    leg0, leg1, leg2, leg3 = (leg(number) for number in range(LEGS))

    @step(depends_on=["leg0", "leg1", "leg2", "leg3"])
    def join(self, ctx: Context[Any]) -> list[Any]:
        forks.called("join")
        return [ctx.results[f"leg{number}"] for number in range(LEGS)]

    @join.compensate
    def unjoin(self, ctx: Context[Any], _result: Any) -> None:
        forks.called("undo join")

    after = forks.undoable("after")


def legs_of(run: Run) -> list[Callable[[], Any]]:
    """Return what each of four workers does who was sent one leg."""
    pks = run.step_runs.filter(name__startswith="leg").values_list("pk", flat=True)
    return [partial(carry_step, pk, queue="flowstate") for pk in pks]


def counted(work: Callable[[], Any], refused: list[str]) -> Callable[[], Any]:
    """Have the deadlocks noted that the engine answers by trying again."""

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        try:
            return execute(sql, params, many, context)
        except DatabaseError as err:
            if is_contention(err):
                refused.append(f"{err} in {sql}")
            raise

    def noting() -> Any:
        with connection.execute_wrapper(note):
            return work()

    return noting


def test_of_branches_that_end_at_once_the_last_goes_on_with_the_join() -> None:
    """I6, I7: once, in place, without a sweep and without a message."""
    for _round in range(ROUNDS):
        together[:] = [threading.Barrier(LEGS)]
        run = Fan.enqueue(user=SYSTEM)
        post.letters.clear()

        results = at_once(*legs_of(run))

        assert [result for result in results if isinstance(result, BaseException)] == []
        assert run.refresh().success
        assert run.results["join"] == [0, 1, 2, 3]
        assert post.letters == []
        assert {row.attempt for row in run.steps} == {1}
    assert forks.diary.lines.count("join") == ROUNDS
    assert broken() == []


@pytest.mark.skipif(connection.vendor == "sqlite", reason="it has one writer, and no deadlocks")
@pytest.mark.parametrize("end", ["cancel", "failure"])
def test_no_deadlock_comes_of_branches_that_end_while_the_run_is_stopped(end: str) -> None:
    """A claim that was lost leaves its row locked on PostgreSQL: who then looks at the run begins anew."""
    refused: list[str] = []
    for _round in range(ROUNDS):
        together[:] = [threading.Barrier(LEGS)]
        run = Fan.enqueue(user=SYSTEM)
        post.letters.clear()
        works = legs_of(run)
        if end == "failure":
            forks.errors["leg3"] = [OSError("no")]
        else:
            together[:] = [threading.Barrier(LEGS + 1)]
            works.append(partial(cancel_when_all_are_at_work, run))

        results = at_once(*[counted(work, refused) for work in works])
        post.deliver()
        sweep()
        post.deliver()

        assert [r for r in results if isinstance(r, BaseException) and not isinstance(r, RunConflict)] == []
        assert run.refresh().finished, [(row.name, row.status, row.compensation) for row in run.steps]
    assert refused == []
    assert broken() == []


def cancel_when_all_are_at_work(run: Run) -> None:
    together[0].wait(30)
    Run.objects.get(pk=run.pk).cancel(SYSTEM)


# --- back ------------------------------------------------------------------------------------------


def test_branches_are_undone_at_the_same_time() -> None:
    """I16, I24: what joined them first; then each by a worker of its own, as they were done."""
    run = Fan.enqueue(user=SYSTEM)
    post.letters.clear()
    forks.errors["after"] = [OSError("no")]
    at_work = threading.Barrier(LEGS)
    for number in range(LEGS):
        forks.within[f"undo leg{number}"] = partial(meet, at_work)

    results = at_once(*[partial(carry_when_told, run, number) for number in range(LEGS)])

    assert [result for result in results if isinstance(result, BaseException)] == []
    assert run.refresh().status == "compensated"
    undone = [line for line in forks.diary.lines if line.startswith("undo")]
    assert undone[0] == "undo join"
    assert sorted(undone[1:]) == [f"undo leg{number}" for number in range(LEGS)]
    assert broken() == []


def meet(barrier: threading.Barrier) -> None:
    barrier.wait(30)


def carry_when_told(run: Run, number: int) -> None:
    """Carry the run as soon as it is being undone; the first does all that comes before."""
    if number == 0:
        carry_run(str(run.pk), queue="flowstate")
        return
    while not Run.objects.filter(pk=run.pk, step_runs__compensation="done").exists():
        assert not Run.objects.filter(pk=run.pk, ended_at__isnull=False).exists()
    carry_run(str(run.pk), queue="flowstate")
