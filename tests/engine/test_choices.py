"""Choices: which branch runs, what is skipped and why, here, in workers and in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from flowstate import SYSTEM, ChoiceStep, OptionUnknown, Retry, Step, Workflow
from flowstate.engine.audit.fsck import find_broken
from flowstate.models import Run, StepRun
from flowstate.testing import carry_due
from tests.kiosk import forks
from tests.kiosk.forks import Fork, ForkInOne

pytestmark = pytest.mark.django_db(transaction=True)

Start = Callable[[type[Workflow]], Run]


@pytest.fixture(autouse=True)
def anew() -> None:
    forks.forget()


def inline(workflow: type[Workflow]) -> Run:
    return workflow.run(user=SYSTEM)


def by_workers(workflow: type[Workflow]) -> Run:
    run = workflow.enqueue(user=SYSTEM)
    carry_due()
    return run.refresh()


@pytest.fixture(params=[inline, by_workers])
def start(request: pytest.FixtureRequest) -> Start:
    way: Start = request.param
    return way


def reasons(run: Run) -> dict[str, str]:
    return {row.name: row.reason for row in run.steps if row.status == "skipped"}


def statuses(run: Run) -> dict[str, str]:
    return {row.name: row.status for row in run.steps}


def nothing_broken() -> bool:
    return list(find_broken(using="default")) == []


def test_only_the_branch_of_the_option_taken_runs_and_then_what_waits_for_several(start: Start) -> None:
    run = start(Fork)

    assert run.success
    assert sorted(forks.diary.lines[2:]) == ["always", "left", "left_more", "moved"]
    assert forks.diary.lines.index("left_more") < forks.diary.lines.index("moved")
    assert reasons(run) == {
        "right": "branch: decide took 'left'",
        "again": "branch: only skipped steps lead here",
        "near": "branch: only skipped steps lead here",
        "far": "branch: only skipped steps lead here",
        "either": "branch: only skipped steps lead here",
    }
    assert run.results["decide"] == "left"
    assert run.progress == 100
    assert nothing_broken()


def test_a_choice_on_a_branch_skips_within_it(start: Start) -> None:
    forks.answers.update(decide=lambda ctx: "right", again=lambda ctx: "far")

    run = start(Fork)

    assert run.success
    assert sorted(forks.diary.lines[2:]) == ["again", "always", "either", "far", "moved", "right"]
    assert reasons(run) == {
        "left": "branch: decide took 'right'",
        "left_more": "branch: only skipped steps lead here",
        "near": "branch: again took 'far'",
    }
    assert nothing_broken()


def test_where_nothing_follows_the_option_all_that_depends_on_others_is_skipped(start: Start) -> None:
    forks.answers.update(decide=lambda ctx: "nothing")

    run = start(Fork)

    assert run.success
    assert forks.diary.lines == ["start", "decide", "always"]
    assert set(reasons(run)) == {*statuses(run)} - {"start", "decide", "always"}
    assert run.value == "always done"
    assert nothing_broken()


@pytest.mark.parametrize(
    ("option", "done"), [("left", ["left", "join"]), ("right", ["right", "right_more", "join"])]
)
def test_an_atomic_workflow_takes_one_branch_too(start: Start, option: str, done: list[str]) -> None:
    forks.answers.update(decide=lambda ctx: option)

    run = start(ForkInOne)

    assert run.success
    assert forks.diary.lines == ["decide", *done]
    assert all(reason.startswith("branch: ") for reason in reasons(run).values())
    assert set(reasons(run)) == {"left", "right", "right_more"} - set(done)
    assert nothing_broken()


def test_a_failure_undoes_only_the_branch_that_was_taken() -> None:
    forks.errors["moved"] = [OSError("no")]

    run = inline(Fork)

    assert run.status == "compensated"
    assert run.compensated_steps == ["left_more", "left", "start"]
    assert nothing_broken()


def test_an_answer_that_is_no_option_fails_the_choice_with_what_was_expected_and_what_came(
    start: Start,
) -> None:
    forks.answers.update(decide=lambda ctx: "up")

    run = start(Fork)

    assert run.status == "compensated"
    assert run.failed_step == "decide"
    assert run.error is not None
    assert run.error["code"] == "option_unknown"
    with pytest.raises(
        OptionUnknown, match="The choice decide was answered by 'up'; its options are left, right, nothing"
    ):
        run.raise_for_status()


def test_a_choice_is_answered_anew_when_it_is_tried_again() -> None:
    answers = ["up", "left"]
    forks.answers.update(decide=lambda ctx: answers.pop(0))
    workflow = Workflow.from_steps(
        "tried", [forks.choice("decide", "left", "right", retry=Retry(2, delay=0))]
    )

    assert workflow.run(user=SYSTEM).value == "left"


# --- a choice that is not answered --------------------------------------------------------------


def branched(**options: Any) -> type[Workflow]:
    decide = forks.choice("decide", "left", "right", **options)
    return Workflow.from_steps(
        "branched",
        [
            decide,
            forks.undoable("left", depends_on=decide["left"]),
            forks.undoable("right", depends_on=decide["right"]),
        ],
    )


def test_the_default_of_a_skipped_choice_is_the_option_taken() -> None:
    run = branched(when=False, default="right").run(user=SYSTEM)

    assert forks.diary.lines == ["right"]
    assert reasons(run) == {"decide": "when is false", "left": "branch: decide took 'right'"}
    assert nothing_broken()


def test_a_skipped_choice_without_a_default_takes_no_option() -> None:
    run = branched(unless=lambda ctx: True).run(user=SYSTEM)

    assert run.success
    assert forks.diary.lines == []
    assert reasons(run) == {
        "decide": "unless is true",
        "left": "branch: decide took no option",
        "right": "branch: decide took no option",
    }


def test_a_default_that_is_no_option_fails_the_choice() -> None:
    run = branched(when=False, default=lambda ctx: "up").run(user=SYSTEM)

    assert run.error is not None
    assert run.error["detail"] == "The choice decide has the default 'up'; its options are left, right."


@pytest.mark.parametrize(("default", "done"), [({"default": "right"}, ["right"]), ({}, [])])
def test_an_optional_choice_that_fails_goes_on_by_its_default(
    default: dict[str, str], done: list[str]
) -> None:
    forks.answers.update(decide=lambda ctx: 1 / 0)

    run = branched(optional=True, **default).run(user=SYSTEM)

    assert run.success
    assert forks.diary.lines == ["decide", *done]


# --- beside conditions --------------------------------------------------------------------------


def test_a_step_that_its_own_condition_skips_does_not_end_its_branch() -> None:
    decide = forks.choice("decide", "left", "right")
    workflow = Workflow.from_steps(
        "conditional",
        [
            decide,
            forks.undoable("left", depends_on=decide["left"], when=False, default=3),
            Step("after", lambda ctx: ctx.results["left"]),
        ],
    )

    run = workflow.run(user=SYSTEM)

    assert run.value == 3
    assert reasons(run) == {"left": "when is false"}


def test_what_stands_on_a_branch_not_taken_has_no_result_and_no_default() -> None:
    decide = forks.choice("decide", "left", "right")
    workflow = Workflow.from_steps(
        "looked_at",
        [
            decide,
            forks.undoable("left", depends_on=decide["left"]),
            forks.undoable("right", depends_on=decide["right"], default="unused"),
            Step(
                "after",
                lambda ctx: [name in ctx.results for name in ("left", "right")],
                depends_on=["left", "right"],
            ),
            Step("asks", lambda ctx: ctx.results["right"]),
        ],
    )

    run = workflow.run(user=SYSTEM)

    assert run.results["after"] == [True, False]
    assert run.error is not None
    assert run.error["detail"] == "\"Step 'right' has no result: it is skipped.\""


def test_a_branch_is_not_taken_whatever_its_own_condition_says() -> None:
    asked: list[str] = []
    decide = forks.choice("decide", "left", "right")
    right = forks.undoable("right", depends_on=decide["right"], when=lambda ctx: asked.append("right"))

    run = Workflow.from_steps("unasked", [decide, right]).run(user=SYSTEM)

    assert asked == []
    assert reasons(run) == {"right": "branch: decide took 'left'"}


# --- again --------------------------------------------------------------------------------------


@pytest.mark.parametrize("workflow", [Fork, ForkInOne])
def test_a_retry_takes_the_branch_that_was_taken(workflow: type[Workflow]) -> None:
    forks.answers.update(decide=lambda ctx: "right", again=lambda ctx: "far")
    last = "moved" if workflow is Fork else "join"
    forks.errors[last] = [OSError("no")]
    failed = inline(workflow)
    forks.diary.lines.clear()

    run = failed.retry(SYSTEM)

    assert run.success
    assert "right" in forks.diary.lines
    assert "left" not in forks.diary.lines
    assert statuses(run)["left"] == "skipped"
    assert nothing_broken()


def test_the_row_of_a_step_keeps_which_option_it_follows() -> None:
    inline(Fork)

    assert StepRun.objects.get(name="left").branches == {"decide": ["left"]}
    assert StepRun.objects.get(name="left_more").branches is None


def test_a_choice_reads_what_the_steps_before_did_and_may_read_rows() -> None:
    decide = ChoiceStep(
        lambda ctx: "many" if ctx.results["count"] > 1 and Run.objects.exists() else "few",
        options=["many", "few"],
        name="decide",
    )

    run = Workflow.from_steps("reading", [Step("count", lambda ctx: 2), decide]).run(user=SYSTEM)

    assert run.value == "many"
