"""A run of steps with compensations: forward in order, back in reverse."""

from __future__ import annotations

from typing import Any

import pytest

from flowstate import SYSTEM, CompensationFailed, DeclarationInvalid, StepFailed, Workflow
from flowstate.models import Run
from tests.kiosk.diary import Diary

pytestmark = pytest.mark.django_db(transaction=True)


def test_three_steps_run_in_declared_order(diary: Diary) -> None:
    """P01."""
    steps = [diary.step("a", 1), diary.step("b", 2), diary.step("c", 3)]

    run = Workflow.from_steps("three", steps).run(user=SYSTEM)

    assert run.status == "succeeded"
    assert diary.lines == ["a", "b", "c"]
    assert run.value == 3
    assert run.results == {"a": 1, "b": 2, "c": 3}


def test_completed_steps_are_undone_last_in_first_out(diary: Diary) -> None:
    """P02."""
    steps = [diary.undoable("a"), diary.undoable("b"), diary.step("c", errors=[OSError("no power")])]

    run = Workflow.from_steps("undone", steps).run(user=SYSTEM)

    assert diary.lines == ["a", "b", "c", "undo b", "undo a"]
    assert run.status == "compensated"
    assert run.failed_step == "c"
    assert run.compensated_steps == ["b", "a"]
    assert run.error is not None
    assert run.error["detail"] == "no power"


def test_a_compensation_gets_exactly_what_its_step_returned(diary: Diary) -> None:
    """P03."""
    steps = [diary.undoable("a", {"reservation": "r1"}), diary.step("b", errors=[OSError()])]

    Workflow.from_steps("given_back", steps).run(user=SYSTEM)

    assert diary.undone_with == {"a": {"reservation": "r1"}}


def test_a_step_without_compensation_is_left_alone(diary: Diary) -> None:
    """P04."""
    steps = [diary.step("a", 1), diary.undoable("b"), diary.step("c", errors=[OSError()])]

    run = Workflow.from_steps("partly", steps).run(user=SYSTEM)

    assert diary.lines == ["a", "b", "c", "undo b"]
    assert run.status == "compensated"
    assert run.compensated_steps == ["b"]
    assert run.compensation_errors == {}
    assert run.results["a"] == 1


def test_nothing_is_undone_when_the_first_step_fails(diary: Diary) -> None:
    """P05."""
    steps = [diary.undoable("a", errors=[OSError()]), diary.undoable("b")]

    run = Workflow.from_steps("first_fails", steps).run(user=SYSTEM)

    assert diary.lines == ["a"]
    assert run.status == "failed"
    assert run.failed_step == "a"
    assert run.compensated_steps == []


def test_the_failing_step_is_not_undone_itself(diary: Diary) -> None:
    """P06."""
    steps = [diary.undoable("a"), diary.undoable("b", errors=[OSError()])]

    run = Workflow.from_steps("not_itself", steps).run(user=SYSTEM)

    assert diary.lines == ["a", "b", "undo a"]
    assert run.compensated_steps == ["a"]


def test_a_failing_compensation_does_not_stop_the_others(diary: Diary) -> None:
    """P07, P08."""
    steps = [
        diary.undoable("a"),
        diary.undoable("b", undo_errors=[ValueError("stuck")] * 3),
        diary.undoable("c"),
        diary.step("d", errors=[OSError("no power")]),
    ]

    run = Workflow.from_steps("stuck", steps).run(user=SYSTEM)

    assert diary.lines == ["a", "b", "c", "d", "undo c", "undo b", "undo b", "undo b", "undo a"]
    assert run.status == "attention"
    assert run.compensated_steps == ["c", "a"]
    assert run.error is not None
    assert run.error["detail"] == "no power"
    assert run.compensation_errors["b"]["detail"] == "stuck"
    assert run.compensation_errors["b"]["class"] == "builtins.ValueError"


def test_a_run_whose_undoing_failed_has_a_status_of_its_own(diary: Diary) -> None:
    """P08."""
    steps = [
        diary.undoable("a", undo_errors=[ValueError("stuck")] * 3),
        diary.step("b", errors=[OSError("x")]),
    ]

    run = Workflow.from_steps("apart", steps).run(user=SYSTEM)

    assert list(Run.objects.attention()) == [run]
    stored = Run.objects.get()
    assert stored.status == "attention"
    assert stored.waiting_for == "person"
    assert stored.failed_step == "b"
    assert not stored.finished
    with pytest.raises(CompensationFailed, match="x Undoing failed at a: stuck") as caught:
        stored.raise_for_status()
    assert caught.value.errors == {"a": "stuck"}


def test_a_compensation_is_tried_three_times_where_nothing_else_is_said(diary: Diary) -> None:
    steps = [
        diary.undoable("a", undo_errors=[ValueError("once"), ValueError("twice")]),
        diary.step("b", errors=[OSError()]),
    ]

    run = Workflow.from_steps("third_time", steps).run(user=SYSTEM)

    assert run.status == "compensated"
    assert diary.lines == ["a", "b", "undo a", "undo a", "undo a"]
    assert [event.data["detail"] for event in run.events.all()] == ["once", "twice"]


def test_all_attempts_of_a_compensation_send_one_key_that_is_not_the_steps(diary: Diary) -> None:
    steps = [diary.undoable("a", undo_errors=[ValueError()]), diary.step("b", errors=[OSError()])]

    run = Workflow.from_steps("keys", steps).run(user=SYSTEM)

    assert diary.keys == [f"{run.pk}:a", f"{run.pk}:b", f"{run.pk}:a:undo", f"{run.pk}:a:undo"]


def test_without_rollback_nothing_is_undone(diary: Diary) -> None:
    """P25."""
    steps = [diary.undoable("a"), diary.step("b", errors=[OSError()]), diary.step("c")]

    run = Workflow.from_steps("stays", steps, rollback="none").run(user=SYSTEM)

    assert diary.lines == ["a", "b"]
    assert run.status == "failed"
    assert run.compensated_steps == []
    assert run.step_runs.get(name="c").status == "cancelled"


def test_a_workflow_without_steps_is_no_workflow() -> None:
    """P11."""

    class Empty(Workflow):
        pass

    with pytest.raises(DeclarationInvalid):
        Workflow.from_steps("empty", [])
    with pytest.raises(DeclarationInvalid):
        Empty.run(user=SYSTEM)
    assert not Run.objects.exists()


def test_two_steps_of_one_name_are_refused_by_that_name(diary: Diary) -> None:
    """P12."""
    with pytest.raises(DeclarationInvalid, match="two steps are named 'a'"):
        Workflow.from_steps("twice", [diary.step("a"), diary.step("a")])


def test_class_message_and_traceback_of_any_exception_are_kept(diary: Diary) -> None:
    """P13."""
    run: Any = Workflow.from_steps("boom", [diary.step("a", errors=[LookupError("lost")])]).run(user=SYSTEM)
    stored: Any = Run.objects.get()

    assert stored.error["class"] == "builtins.LookupError"
    assert stored.error["detail"] == "lost"
    assert stored.error["code"] == "step_failed"
    assert stored.error["step"] == "a"
    assert "raise errors.pop(0)" in stored.traceback
    with pytest.raises(StepFailed, match=f"Step a of run {run.pk} .* failed: LookupError: lost") as caught:
        stored.raise_for_status()
    assert caught.value.step == "a"
    assert caught.value.run_id == str(run.pk)


def test_the_caller_who_ran_it_gets_the_original_as_the_cause(diary: Diary) -> None:
    original = LookupError("lost")
    run = Workflow.from_steps("cause", [diary.step("a", errors=[original])]).run(user=SYSTEM)

    with pytest.raises(StepFailed) as caught:
        run.raise_for_status()

    assert caught.value.__cause__ is original
