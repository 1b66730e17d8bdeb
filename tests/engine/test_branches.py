"""Graphs of steps: branches, joins, conditions and steps that may fail, in this process."""

from __future__ import annotations

from typing import Any

import pytest

from flowstate import SYSTEM, DeclarationInvalid, Step, Workflow
from flowstate.models import Run
from tests.kiosk.diary import Diary

pytestmark = pytest.mark.django_db(transaction=True)


def checkout(diary: Diary, *, charge_fails: bool = False, **meta: Any) -> type[Workflow]:
    """Return the graph of the cases: validate; stock and discounts; tax after both; charge; receipt."""
    errors: list[BaseException] = [OSError("declined")] if charge_fails else []
    return Workflow.from_steps(
        "checkout_graph",
        [
            diary.undoable("validate"),
            diary.undoable("stock", depends_on=["validate"]),
            diary.undoable("discounts", depends_on=["validate"]),
            diary.undoable("tax", depends_on=["stock", "discounts"]),
            diary.undoable("charge", errors=errors),
            diary.undoable("receipt"),
        ],
        **meta,
    )


def test_two_branches_and_their_join_run_in_a_stable_order(diary: Diary) -> None:
    """P20: without workers the branches follow each other as declared."""
    workflow = checkout(diary)

    first, second = workflow.run(user=SYSTEM), workflow.run(user=SYSTEM)

    order = ["validate", "stock", "discounts", "tax", "charge", "receipt"]
    assert first.success
    assert second.success
    assert diary.lines == order * 2


def test_a_failure_undoes_all_branches_in_reverse(diary: Diary) -> None:
    """P24."""
    run = checkout(diary, charge_fails=True).run(user=SYSTEM)

    assert diary.lines[5:] == ["undo tax", "undo discounts", "undo stock", "undo validate"]
    assert run.compensated_steps == ["tax", "discounts", "stock", "validate"]
    assert run.status == "compensated"
    assert run.step_runs.get(name="receipt").status == "cancelled"


def test_without_rollback_a_failure_only_stops(diary: Diary) -> None:
    """P25."""
    run = checkout(diary, charge_fails=True, rollback="none").run(user=SYSTEM)

    assert "receipt" not in diary.lines
    assert not any(line.startswith("undo") for line in diary.lines)
    assert run.status == "failed"


def test_an_optional_step_that_fails_is_recorded_and_the_run_succeeds(diary: Diary) -> None:
    """P26, P27: the join runs without it."""
    failed: list[tuple[str, str]] = []

    class Optional(Workflow):
        validate = diary.step("validate")
        stock = diary.step("stock", 1, depends_on=validate)
        discounts = diary.step(
            "discounts", errors=[OSError("no discounts")], optional=True, depends_on=validate
        )
        tax = Step("tax", lambda ctx: dict(ctx.results), depends_on=[stock, discounts])

        def on_step_failed(self, ctx: Any, step: str, error: BaseException) -> None:
            failed.append((step, str(error)))

    run = Optional.run(user=SYSTEM)

    row = run.step_runs.get(name="discounts")
    assert run.success
    assert run.progress == 100
    assert failed == [("discounts", "no discounts")]
    assert row.status == "failed"
    assert row.error is not None
    assert row.error["detail"] == "no discounts"
    assert run.value == {"validate": None, "stock": 1}
    assert run.error is None


def test_the_default_of_an_optional_step_stands_in_for_its_result(diary: Diary) -> None:
    """P27."""
    discounts = diary.step(
        "discounts", errors=[OSError()], optional=True, default=lambda ctx: [ctx.step_index]
    )
    workflow = Workflow.from_steps("stand_in", [discounts, Step("tax", lambda ctx: ctx.results["discounts"])])

    run = workflow.run(user=SYSTEM)

    assert run.value == [0]
    assert "discounts" not in run.results


def test_an_optional_step_that_failed_is_not_undone(diary: Diary) -> None:
    steps = [diary.undoable("a", errors=[OSError()], optional=True), diary.step("b", errors=[OSError()])]

    run = Workflow.from_steps("nothing_there", steps).run(user=SYSTEM)

    assert diary.lines == ["a", "b"]
    assert run.status == "failed"


def test_an_optional_step_that_succeeded_is_undone(diary: Diary) -> None:
    steps = [diary.undoable("a", optional=True), diary.step("b", errors=[OSError()])]

    Workflow.from_steps("there", steps).run(user=SYSTEM)

    assert diary.lines == ["a", "b", "undo a"]


def test_the_value_is_that_of_the_last_step_that_is_done_and_not_optional(diary: Diary) -> None:
    steps = [diary.step("a", 1), diary.step("b", 2, when=False, default=5), diary.step("c", 3, optional=True)]

    assert Workflow.from_steps("valued", steps).run(user=SYSTEM).value == 1


# --- conditions ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        ({"when": False}, "when is false"),
        ({"when": lambda ctx: 0}, "when is false"),
        ({"unless": True}, "unless is true"),
        ({"unless": lambda ctx: [1], "reason": "not on Sundays"}, "unless is true: not on Sundays"),
        ({"when": lambda ctx: None, "reason": "too small"}, "when is false: too small"),
    ],
)
def test_a_step_whose_condition_says_no_is_skipped_with_the_reason(
    diary: Diary, condition: dict[str, Any], why: str
) -> None:
    """P54."""
    workflow = Workflow.from_steps("skipping", [diary.undoable("a", 1, **condition), diary.step("b", 2)])

    run = workflow.run(user=SYSTEM)

    row = run.step_runs.get(name="a")
    assert run.success
    assert diary.lines == ["b"]
    assert (row.status, row.reason) == ("skipped", why)
    assert run.results == {"b": 2}
    assert run.progress == 100


@pytest.mark.parametrize("condition", [{"when": True}, {"unless": False}, {"when": lambda ctx: "yes"}])
def test_a_step_whose_condition_says_yes_runs(diary: Diary, condition: dict[str, Any]) -> None:
    """P54."""
    Workflow.from_steps("running", [diary.step("a", **condition)]).run(user=SYSTEM)

    assert diary.lines == ["a"]


def test_who_depends_on_a_skipped_step_sees_its_default_or_nothing(diary: Diary) -> None:
    """P54."""
    workflow = Workflow.from_steps(
        "defaults",
        [
            diary.step("a", when=False, default={"rate": 1}),
            diary.step("b", when=False),
            Step("c", lambda ctx: [ctx.results["a"], ctx.results["b"]]),
        ],
    )

    run = workflow.run(user=SYSTEM)

    assert run.value == [{"rate": 1}, None]


def test_a_skipped_step_is_not_undone(diary: Diary) -> None:
    steps = [diary.undoable("a", when=False), diary.step("b", errors=[OSError()])]

    run = Workflow.from_steps("not_undone", steps).run(user=SYSTEM)

    assert diary.lines == ["b"]
    assert run.status == "failed"


def test_a_condition_that_raises_fails_its_step(diary: Diary) -> None:
    def broken(ctx: Any) -> bool:
        raise LookupError("no such thing")

    run = Workflow.from_steps("broken", [diary.undoable("a"), diary.step("b", when=broken)]).run(user=SYSTEM)

    assert run.failed_step == "b"
    assert diary.lines == ["a", "undo a"]


def test_a_condition_reads_what_the_steps_before_did(diary: Diary) -> None:
    steps = [diary.step("a", 5), diary.step("b", when=lambda ctx: ctx.results["a"] > 9)]

    Workflow.from_steps("reading", steps).run(user=SYSTEM)

    assert diary.lines == ["a"]


@pytest.mark.parametrize(
    "default", [lambda ctx: 1 / 0, lambda ctx: object(), float("nan")], ids=["raises", "object", "nan"]
)
@pytest.mark.parametrize("atomic", [False, True])
def test_a_default_that_cannot_be_had_fails_the_optional_step_for_all(
    diary: Diary, default: Any, atomic: bool
) -> None:
    steps = [
        diary.step("a", transactional=True),
        diary.step("b", errors=[OSError()], optional=True, default=default, transactional=True),
    ]

    run = Workflow.from_steps("no_default", steps, atomic=atomic).run(user=SYSTEM)

    assert run.finished
    assert not run.success
    assert run.failed_step == "b"
    assert Run.objects.get().status == run.status


# --- progress ------------------------------------------------------------------------------------


def test_progress_grows_to_a_hundred_and_is_that_only_at_the_end(diary: Diary) -> None:
    """P28."""
    seen: list[int] = []
    steps = [Step(name, lambda ctx: seen.append(Run.objects.get().progress)) for name in "abcdef"]

    run = Workflow.from_steps("six", steps).run(user=SYSTEM)

    assert seen == [0, 16, 33, 50, 66, 83]
    assert run.progress == 100


# --- refused graphs ------------------------------------------------------------------------------


def test_a_circle_is_refused_with_its_path(diary: Diary) -> None:
    """P22."""
    with pytest.raises(DeclarationInvalid, match="a -> b -> a"):
        Workflow.from_steps("circle", [diary.step("a", depends_on=["b"]), diary.step("b", depends_on=["a"])])

    assert diary.lines == []


def test_a_dependency_that_is_not_there_is_refused_by_its_name(diary: Diary) -> None:
    """P23."""
    with pytest.raises(DeclarationInvalid, match="depends_on of step 'a' names 'ghost'"):
        Workflow.from_steps("haunted", [diary.step("a", depends_on=["ghost"])])
