"""Child runs that race: the loser is cancelled in the commit that decides it, and undoes itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from flowstate import SYSTEM, Context, FirstOf, Step, Workflow, WorkflowStep, deliver_event
from flowstate.engine.carry.messages import carry_run, carry_step
from flowstate.models import Run, StepRun
from flowstate.testing import carry_due
from tests.kiosk import returns
from tests.kiosk.families import Above, Parcel, Ship
from tests.kiosk.looking import broken, child_of, lines
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


def quick_meanwhile(ctx: Context[Any]) -> dict[str, int]:
    carry_step(StepRun.objects.get(run=ctx.metadata["run_id"], name="quick").pk, queue="flowstate")
    return {"weight": 7}


class Late(Workflow):
    """The race is decided while the step still works out what to begin its child with."""

    class Meta:
        exclusive = None

    begin = diary_step("begin")
    quick = Step("quick", lambda ctx: called(ctx, "quick"), depends_on=begin, background=True)
    child = WorkflowStep(Ship, input=quick_meanwhile, depends_on=begin)
    first = FirstOf(child, quick)
    after = diary_step("after")


class Led(Workflow):
    """A child that leads to a loser, without being one."""

    class Meta:
        exclusive = None

    begin = diary_step("begin")
    led = WorkflowStep(Above, depends_on=begin)
    behind = diary_step("behind", depends_on=led)
    other = Step("other", lambda ctx: called(ctx, "other"), depends_on=begin, background=True)
    second = FirstOf(behind, other)


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    returns.forget()
    yield
    returns.forget()


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

    assert [found.refresh().status for found in (run, above, held)] == [
        "running",
        "compensating",
        "compensating",
    ]
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


def test_a_child_that_lost_while_its_step_began_it_is_cancelled_too() -> None:
    run = Late.run(user=SYSTEM)

    child = child_of(run, "child")
    assert child.status == "compensating"
    carry_due()

    assert run.refresh().success
    assert child.refresh().status == "cancelled"
    assert lines() == ["begin", "quick", "after"]
    assert broken() == []


def test_what_a_losing_child_is_doing_ends_and_is_undone_with_the_rest() -> None:
    run = Parcel.run(user=SYSTEM)
    child = child_of(run, "child")
    returns.within["send"] = [lambda: carry(run, "quick")]

    carry_run(str(child.pk), queue="flowstate")
    carry_due()

    assert [found.refresh().status for found in (run, child)] == ["succeeded", "cancelled"]
    assert lines() == ["pack", "send", "quick", "after", "undo send", "undo pack"]
    assert not Entry.objects.exists()
    assert not Run.objects.filter(undo_of=child).exists()
    assert run.step_runs.get(name="child").status == "cancelled"
    assert broken() == []


def test_a_child_that_wins_is_kept() -> None:
    run = Parcel.run(user=SYSTEM)

    carry_run(str(child_of(run, "child").pk), queue="flowstate")
    carry_due()

    assert run.refresh().success
    assert run.results["first"] == "child"
    assert child_of(run, "child").success
    assert not Run.objects.exclude(undo_of=None).exists()
    assert broken() == []


def test_a_child_that_fails_has_lost_and_the_run_goes_on() -> None:
    returns.errors["send"] = [OSError("no")]
    run = Parcel.run(user=SYSTEM)

    carry_run(str(child_of(run, "child").pk), queue="flowstate")
    assert run.refresh().status == "running"
    carry_due()

    assert run.refresh().success
    assert run.results["first"] == "quick"
    assert run.step_runs.get(name="child").status == "failed"
    assert broken() == []


def test_a_child_that_was_failing_already_when_it_lost_has_failed() -> None:
    returns.errors["send"] = [OSError("no")]
    returns.within["undo pack"] = [lambda: carry(run, "quick")]
    run = Parcel.run(user=SYSTEM)
    child = child_of(run, "child")

    carry_run(str(child.pk), queue="flowstate")
    carry_due()

    assert [found.refresh().status for found in (run, child)] == ["succeeded", "compensated"]
    row = run.step_runs.get(name="child")
    assert (row.status, row.reason) == ("failed", "")
    assert broken() == []


def test_a_losing_child_that_cannot_undo_itself_waits_for_a_person_and_so_does_the_run() -> None:
    run = Parcel.run(user=SYSTEM)
    child = child_of(run, "child")
    returns.within["send"] = [lambda: carry(run, "quick")]
    returns.errors["undo send"] = [OSError("no")] * 3

    carry_run(str(child.pk), queue="flowstate")
    carry_due()
    assert [found.refresh().status for found in (run, child)] == ["running", "attention"]
    assert run.waiting_for == "person"
    assert broken() == []
    child.waive(SYSTEM, "send", reason="by phone")
    carry_due()

    assert [found.refresh().status for found in (run, child)] == ["succeeded", "cancelled"]
    assert broken() == []


def test_a_run_that_is_cancelled_waits_for_the_child_that_lost_before() -> None:
    run, above, held = begun()
    carry(run, "quick")

    run.refresh().cancel(SYSTEM)
    carry_due()

    assert [found.refresh().status for found in (run, above, held)] == ["cancelled"] * 3
    assert set(lines()[5:]) == {"undo c_one", "undo first", "undo after", "undo begin"}
    assert lines()[-1] == "undo begin"
    assert broken() == []


def test_a_child_that_leads_to_a_loser_alone_is_cancelled_too() -> None:
    run = Led.run(user=SYSTEM)
    led = child_of(run, "led")
    carry_run(str(led.pk), queue="flowstate")

    carry(run, "other")
    assert led.refresh().status == "compensating"
    carry_due()

    assert led.refresh().status == "cancelled"
    assert {row.name: row.status for row in run.refresh().steps} == {
        "begin": "done",
        "led": "cancelled",
        "behind": "cancelled",
        "other": "done",
        "second": "done",
    }
    assert run.success
    assert broken() == []


def test_looking_again_stops_the_child_once() -> None:
    run, above, _held = begun()
    carry(run, "quick")

    carry_run(str(run.pk), queue="flowstate")
    carry_run(str(run.pk), queue="flowstate")

    assert above.events.count() == 1
