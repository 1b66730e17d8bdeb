"""Joins: all, any, with all errors together; and races, which one step wins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from flowstate import SYSTEM, CompensationFailed, FirstOf, Retry, Step, StepsFailed, Workflow
from flowstate.engine.audit.fsck import find_broken
from flowstate.engine.carry.messages import carry_run, carry_step
from flowstate.engine.carry.sweep import sweep
from flowstate.models import Run, StepRun
from flowstate.models.clock import shift_clock
from flowstate.testing import carry_due
from tests.kiosk import forks
from tests.kiosk.forks import Race, undoable

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def anew() -> None:
    forks.forget()


def lines() -> list[str]:
    return forks.diary.lines


def statuses(run: Run) -> dict[str, str]:
    return {row.name: row.status for row in run.steps}


def row_of(run: Run, name: str) -> StepRun:
    return StepRun.objects.get(run=run, name=name)


def carry(run: Run, name: str) -> None:
    """Let a worker take this step and go on from there."""
    carry_step(row_of(run, name).pk, queue="flowstate")


def is_sound() -> bool:
    return list(find_broken(using="default")) == []


# --- any -----------------------------------------------------------------------------------------


def joined(*steps: Step[Any], join: Any = "any", **options: Any) -> type[Workflow]:
    names = [step.name for step in steps]
    return Workflow.from_steps("joined", [*steps, undoable("join", depends_on=names, join=join, **options)])


def test_a_step_that_waits_for_any_begins_when_the_first_is_done_and_all_end() -> None:
    run = joined(undoable("a", depends_on=()), undoable("b", depends_on=())).run(user=SYSTEM)

    assert run.success
    assert lines() == ["a", "b", "join"] or lines() == ["a", "join", "b"]
    assert set(statuses(run).values()) == {"done"}
    assert is_sound()


def test_a_failure_does_not_begin_what_waits_for_any() -> None:
    forks.errors["a"] = [OSError("no")]
    seen: list[bool] = []
    steps = [undoable("a", depends_on=(), optional=True), undoable("b", depends_on=())]
    join = Step("join", lambda ctx: seen.append("b" in ctx.results), depends_on=["a", "b"], join="any")

    run = Workflow.from_steps("any_of", [*steps, join]).run(user=SYSTEM)

    assert run.success
    assert seen == [True]


def test_with_none_done_what_waits_for_any_begins_when_all_have_settled() -> None:
    forks.errors["a"] = [OSError("no")]

    run = joined(undoable("a", depends_on=(), optional=True), undoable("b", depends_on=(), when=False)).run(
        user=SYSTEM
    )

    assert run.success
    assert lines() == ["a", "join"]


def test_a_failure_after_the_join_began_fails_the_run_and_undoes_the_join_first() -> None:
    forks.errors["late"] = [OSError("no")]
    steps = [undoable("a", depends_on=()), undoable("b", depends_on="a"), undoable("late")]
    join = undoable("join", depends_on=["a", "late"], join="any")

    run = Workflow.from_steps("any_then_fails", [steps[0], join, *steps[1:]]).run(user=SYSTEM)

    assert run.status == "compensated"
    assert run.compensated_steps == ["join", "b", "a"]
    assert is_sound()


# --- all errors together -------------------------------------------------------------------------


@pytest.mark.parametrize("atomic", [False, True])
def test_a_join_that_collects_errors_reports_all_failures_together(atomic: bool) -> None:
    """D7."""
    forks.errors.update(a=[OSError("no stock")], c=[LookupError("no price")])
    kind: dict[str, Any] = {"depends_on": (), "transactional": True}
    steps = [undoable("a", **kind), undoable("b", **kind), undoable("c", optional=True, **kind)]
    join = undoable("total", depends_on=["a", "b", "c"], collect_errors=True, transactional=True)
    workflow = Workflow.from_steps("collecting", [*steps, join], atomic=atomic)

    run = workflow.run(user=SYSTEM)

    assert lines() == ["a", "b", "c"] + ([] if atomic else ["undo b"])
    assert run.status == ("failed" if atomic else "compensated")
    assert run.failed_step == "total"
    assert run.error is not None
    assert run.error["code"] == "steps_failed"
    assert run.error["detail"] == "2 of the 3 steps that total waits for failed: a (no stock), c (no price)."
    assert {name: error["class"] for name, error in run.error["errors"].items()} == {
        "a": "builtins.OSError",
        "c": "builtins.LookupError",
    }
    with pytest.raises(StepsFailed, match="2 of the 3 steps"):
        Run.objects.get().raise_for_status()
    assert is_sound()


def test_the_failure_of_an_optional_step_alone_does_not_fail_the_join() -> None:
    forks.errors["a"] = [OSError("no")]
    steps = [undoable("a", depends_on=(), optional=True), undoable("b", depends_on=())]

    run = joined(*steps, join="all", collect_errors=True).run(user=SYSTEM)

    assert run.success
    assert lines() == ["a", "b", "join"]


def test_what_is_not_before_the_join_fails_the_run_at_once() -> None:
    forks.errors["before"] = [OSError("no")]
    steps = [undoable("before"), undoable("a", depends_on="before"), undoable("b", depends_on="before")]
    join = undoable("join", depends_on=["a", "b"], collect_errors=True)

    run = Workflow.from_steps("at_once", [*steps, join]).run(user=SYSTEM)

    assert run.failed_step == "before"
    assert lines() == ["before"]


def test_a_join_that_failed_for_others_is_not_tried_again() -> None:
    forks.errors["a"] = [OSError("no")]
    steps = [undoable("a", depends_on=()), undoable("b", depends_on=())]

    run = joined(*steps, join="all", collect_errors=True, retry=Retry(5, delay=0)).run(user=SYSTEM)

    assert run.failed_step == "join"
    assert row_of(run, "join").failures == 1


def test_an_optional_join_that_collects_lets_the_run_go_on() -> None:
    forks.errors["a"] = [OSError("no")]
    steps = [undoable("a", depends_on=()), undoable("b", depends_on=())]

    run = joined(*steps, join="all", collect_errors=True, optional=True).run(user=SYSTEM)

    assert run.success
    assert statuses(run) == {"a": "failed", "b": "done", "join": "failed"}
    assert is_sound()


# --- races ---------------------------------------------------------------------------------------


def raced(*steps: Step[Any], **options: Any) -> type[Workflow]:
    race = FirstOf(*[step.name for step in steps], name="race", **options)
    return Workflow.from_steps("raced", [*steps, race, undoable("after")])


def test_in_one_process_the_first_of_a_race_wins_and_the_others_never_start() -> None:
    run = raced(undoable("a", depends_on=()), undoable("b", depends_on=())).run(user=SYSTEM)

    assert run.success
    assert lines() == ["a", "after"]
    assert run.results["race"] == "a"
    assert statuses(run) == {"a": "done", "b": "cancelled", "race": "done", "after": "done"}
    assert row_of(run, "b").reason == "branch: a won race"
    assert run.progress == 100
    assert is_sound()


def test_who_fails_has_lost_and_the_next_wins() -> None:
    forks.errors["a"] = [OSError("no")]

    run = raced(undoable("a", depends_on=()), undoable("b", depends_on=())).run(user=SYSTEM)

    assert run.success
    assert run.error is None
    assert lines() == ["a", "b", "after"]
    assert run.results["race"] == "b"
    assert is_sound()


def test_a_race_that_all_lose_fails_with_all_their_errors() -> None:
    forks.errors.update(a=[OSError("too slow")])
    steps = [undoable("a", depends_on=()), undoable("b", depends_on=(), when=False)]

    run = raced(*steps).run(user=SYSTEM)

    assert run.status == "failed"
    assert run.failed_step == "race"
    assert run.error is not None
    assert run.error["detail"] == (
        "None of the 2 steps of the race race succeeded: a (too slow), b (skipped: when is false)."
    )
    assert list(run.error["errors"]) == ["a"]
    assert is_sound()


def test_an_optional_race_that_all_lose_lets_the_run_go_on() -> None:
    forks.errors.update(a=[OSError()], b=[OSError()])

    run = raced(undoable("a", depends_on=()), undoable("b", depends_on=()), optional=True).run(user=SYSTEM)

    assert run.success
    assert lines() == ["a", "b", "after"]
    assert is_sound()


def test_what_led_to_the_loser_alone_is_undone_and_goes_no_further() -> None:
    steps = [undoable("a", depends_on=()), undoable("b", depends_on=()), undoable("a2", depends_on="a")]
    workflow = Workflow.from_steps(
        "led", [*steps, undoable("b2", depends_on="b"), FirstOf("b2", "a2", name="race"), undoable("after")]
    )

    run = workflow.run(user=SYSTEM)

    assert run.success
    assert statuses(run)["b2"] == "cancelled"
    assert ("undo b" in lines()) == ("b" in lines())
    assert "undo a" not in lines()
    assert is_sound()


def to_the_race() -> Run:
    """Return a run whose two ways are left to workers."""
    run = Race.run(user=SYSTEM)
    assert lines() == ["start"]
    return run


def test_a_loser_that_is_done_late_is_recorded_and_undone_and_the_run_goes_on() -> None:
    run = to_the_race()
    forks.within["other"] = lambda: carry(run, "one")

    carry(run, "slow")

    run.refresh()
    assert run.success
    assert lines() == ["start", "slow", "other", "one", "after", "undo other", "undo slow"]
    assert run.results["fastest"] == "one"
    assert run.compensated_steps == ["other", "slow"]
    assert is_sound()


def test_a_loser_that_fails_late_changes_nothing() -> None:
    run = to_the_race()
    forks.errors["other"] = [OSError("late")]
    forks.within["other"] = lambda: carry(run, "one")

    carry(run, "slow")

    run.refresh()
    assert run.success
    assert statuses(run)["other"] == "failed"
    assert is_sound()


def test_what_led_to_a_loser_may_fail_late_too() -> None:
    run = to_the_race()
    forks.errors["slow"] = [OSError("late")]
    forks.within["slow"] = lambda: carry(run, "one")

    carry(run, "slow")

    run.refresh()
    assert run.success
    assert statuses(run)["slow"] == "failed"
    assert statuses(run)["other"] == "cancelled"
    assert is_sound()


def test_a_run_ends_only_when_its_losers_are_undone_whoever_dies_meanwhile() -> None:
    class Killed(BaseException):
        pass

    def die() -> None:
        raise Killed

    run = to_the_race()
    forks.within.update({"other": lambda: carry(run, "one"), "undo other": die})
    with pytest.raises(Killed):
        carry(run, "slow")
    assert not run.refresh().finished

    shift_clock(1000)
    sweep()
    carry_run(str(run.pk), queue="flowstate")

    run.refresh()
    assert run.success
    assert run.compensated_steps == ["other", "slow"]
    assert is_sound()


def tried_again(run: Run) -> None:
    run.retry(SYSTEM)


def waived(run: Run) -> None:
    run.waive(SYSTEM, "other", reason="settled by phone")


@pytest.mark.parametrize("act", [tried_again, waived])
def test_a_loser_that_cannot_be_undone_needs_a_person_and_then_the_run_ends_well(
    act: Callable[[Run], None],
) -> None:
    run = to_the_race()
    forks.within["other"] = lambda: carry(run, "one")
    forks.errors["undo other"] = [OSError("no way")] * 3

    carry(run, "slow")

    run.refresh()
    assert run.status == "attention"
    assert statuses(run)["after"] == "done"
    assert "undo after" not in lines()
    with pytest.raises(CompensationFailed, match=r"All else is done\. Undoing failed at other: no way"):
        run.raise_for_status()
    assert [preview.step for preview in run.preview_undo()] == ["other"]
    assert is_sound()

    act(run)

    assert run.refresh().success
    assert "undo after" not in lines()
    assert is_sound()


def test_a_failure_after_a_race_undoes_winner_and_losers() -> None:
    run = to_the_race()
    forks.errors["after"] = [OSError("no")]
    forks.within["other"] = lambda: carry(run, "one")

    carry(run, "slow")

    run.refresh()
    assert run.status == "compensated"
    assert sorted(run.compensated_steps) == ["one", "other", "slow", "start"]
    assert run.compensated_steps[-1] == "start"
    assert is_sound()


def test_a_retry_lets_the_race_be_decided_anew() -> None:
    run = to_the_race()
    forks.errors["after"] = [OSError("no")]
    carry(run, "one")
    failed = run.refresh()
    assert failed.status == "compensated"
    lines().clear()

    again = failed.retry(SYSTEM)
    carry_due()

    assert again.refresh().success
    assert again.results["fastest"] in {"one", "other"}
    assert is_sound()


def test_a_run_with_a_race_is_carried_like_any_other() -> None:
    run = Race.enqueue(user=SYSTEM)

    carry_run(str(run.pk), queue="flowstate")
    carry_due()

    assert run.refresh().success
    assert is_sound()
