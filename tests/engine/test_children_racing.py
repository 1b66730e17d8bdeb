"""Child runs that race: the loser is cancelled in the commit that decides it, and undoes itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from flowstate import SYSTEM, Context, EventStep, FirstOf, Step, Workflow, WorkflowStep, deliver_event, step
from flowstate.engine.audit.fsck import find_broken
from flowstate.engine.carry.messages import carry_run, carry_step
from flowstate.models import Run, StepRun
from flowstate.testing import carry_due
from tests.kiosk import returns
from tests.kiosk.families import Above, Order
from tests.kiosk.models import Entry
from tests.kiosk.returns import called
from tests.kiosk.workflows import diary_step

pytestmark = pytest.mark.django_db(transaction=True)


class Fork(Workflow):
    """A child that waits, and one below it, against a step of a worker."""

    class Meta:
        exclusive = None

    begin = diary_step("begin")
    child = WorkflowStep(Above, depends_on=begin)
    quick = Step("quick", lambda ctx: called(ctx, "quick"), depends_on=begin, background=True)
    first = FirstOf(child, quick)
    after = diary_step("after")


class Led(Fork):
    """A child that leads to a loser, without being one."""

    led = WorkflowStep(Above, depends_on=Fork.begin)
    behind = diary_step("behind", depends_on=led)
    other = diary_step("other", depends_on=Fork.begin, background=True)
    second = FirstOf(behind, other)


def quick_meanwhile(ctx: Context[Any]) -> dict[str, int]:
    carry_step(StepRun.objects.get(run=ctx.metadata.run_id, name="quick").pk, queue="flowstate")
    return {"weight": 7}


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    returns.forget()
    yield
    returns.forget()


def lines() -> list[str]:
    return returns.diary.lines


def broken() -> list[str]:
    return [f"{row.invariant} {row.words}" for row in find_broken(using="default", skew=timedelta(0))]


def child_of(run: Run, step: str) -> Run:
    child = run.step_runs.get(name=step).child
    assert child is not None
    return child


def carry(run: Run, name: str) -> None:
    """Let a worker take this step, and go on from there."""
    carry_step(run.step_runs.get(name=name).pk, queue="flowstate")


def begun(workflow: type[Workflow] = Fork) -> tuple[Run, Run, Run]:
    """Return a run, its child and the child of that, which waits for an event."""
    run = workflow.run(user=SYSTEM)
    above = child_of(run, "child")
    carry_run(str(above.pk), queue="flowstate")
    held = child_of(above, "held")
    carry_run(str(held.pk), queue="flowstate")
    assert held.refresh().waiting_for == "event"
    return run, above, held


def test_the_child_of_a_loser_is_cancelled_with_all_below_it_in_the_commit_that_decides() -> None:
    """I24."""
    run, above, held = begun()

    carry(run, "quick")

    assert [found.refresh().status for found in (run, above, held)] == ["running", "compensating", "compensating"]
    assert lines() == ["begin", "first", "c_one", "quick", "after"]
    child = run.step_runs.get(name="child")
    assert (child.status, child.reason) == ("waiting", "branch: quick won first")
    assert held.step_runs.get(name="wait").status == "cancelled"
    words = f"Step child of run {run.pk}, for which it works, is not needed any more: quick won first."
    assert [found.events.get().data["detail"] for found in (above, held)] == [words, words]
    assert broken() == []


def test_once_the_child_has_undone_itself_the_loser_is_cancelled_and_the_run_ends_well() -> None:
    run, above, held = begun()
    carry(run, "quick")

    deliver_event("go", "k")
    carry_due()

    assert [found.refresh().status for found in (run, above, held)] == ["succeeded", "cancelled", "cancelled"]
    child = run.step_runs.get(name="child")
    assert (child.status, child.reason, child.undone_by) == ("cancelled", "branch: quick won first", None)
    assert lines()[5:] == ["undo c_one", "undo first"]
    assert run.results["first"] == "quick"
    assert run.compensated_steps == []
    assert broken() == []
