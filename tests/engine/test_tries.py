"""Trying again at once, what counts as a try, and outcomes that nobody knows."""

from __future__ import annotations

from typing import Any

import pytest

from flowstate import SYSTEM, Context, Retry, Step, Workflow, step
from flowstate.models import Run, StepRun
from tests.kiosk.diary import Diary
from tests.kiosk.models import Entry

pytestmark = pytest.mark.django_db(transaction=True)

AT_ONCE = Retry(max_attempts=3, delay=0)


def test_a_step_that_fails_twice_and_then_succeeds_is_executed_three_times(diary: Diary) -> None:
    """P14, P15: the retries happen at once."""
    steps = [diary.step("a", "in the end", errors=[OSError("one"), OSError("two")], retry=AT_ONCE)]

    run = Workflow.from_steps("third", steps).run(user=SYSTEM)

    row = run.step_runs.get()
    assert run.success
    assert run.value == "in the end"
    assert diary.lines == ["a", "a", "a"]
    assert (row.failures, row.attempt) == (2, 3)
    assert [(event.kind, event.attempt, event.data["detail"]) for event in run.events.order_by("pk")] == [
        ("attempt_failed", 1, "one"),
        ("attempt_failed", 2, "two"),
    ]


def test_when_all_attempts_fail_the_steps_before_are_undone_once(diary: Diary) -> None:
    """P16."""
    errors: list[BaseException] = [OSError("one"), OSError("two"), OSError("three")]
    steps = [diary.undoable("a"), diary.step("b", errors=errors, retry=AT_ONCE)]

    run = Workflow.from_steps("exhausted", steps).run(user=SYSTEM)

    assert diary.lines == ["a", "b", "b", "b", "undo a"]
    assert run.error is not None
    assert run.error["detail"] == "three"
    assert run.step_runs.get(name="b").failures == 3


def test_an_exception_of_another_type_is_not_tried_again(diary: Diary) -> None:
    """P17."""
    retry = Retry(max_attempts=3, delay=0, on=[ConnectionError])
    steps = [diary.step("a", errors=[ConnectionError(), ValueError("other")], retry=retry)]

    run = Workflow.from_steps("picky", steps).run(user=SYSTEM)

    assert diary.lines == ["a", "a"]
    assert run.error is not None
    assert run.error["detail"] == "other"


def test_what_is_never_worth_a_try_gives_up_at_once(diary: Diary) -> None:
    """P17."""
    retry = Retry(max_attempts=3, delay=0, give_up_on=[LookupError])
    steps = [diary.step("a", errors=[KeyError("gone")], retry=retry)]

    run = Workflow.from_steps("gives_up", steps).run(user=SYSTEM)

    assert diary.lines == ["a"]
    assert run.status == "failed"


def test_the_attempt_counts_failures_and_the_key_stays() -> None:
    """I5."""
    seen: list[tuple[int, str]] = []

    def fail_once(ctx: Any) -> None:
        seen.append((ctx.attempt, ctx.idempotency_key))
        if ctx.attempt == 1:
            raise OSError

    run = Workflow.from_steps("counted", [Step("a", fail_once, retry=AT_ONCE)]).run(user=SYSTEM)

    assert seen == [(1, f"{run.pk}:a"), (2, f"{run.pk}:a")]


def test_a_transactional_step_that_is_tried_again_leaves_only_the_last_trys_rows() -> None:
    def write_and_fail_once(ctx: Any) -> None:
        Entry.objects.create(what=f"attempt {ctx.attempt}")
        if ctx.attempt == 1:
            raise OSError

    workflow = Workflow.from_steps(
        "rewritten", [Step("a", write_and_fail_once, transactional=True, retry=AT_ONCE)]
    )

    run = workflow.run(user=SYSTEM)

    assert run.success
    assert [entry.what for entry in Entry.objects.all()] == ["attempt 2"]


def test_a_later_retry_is_left_to_a_worker(diary: Diary) -> None:
    """P14: the delay is a moment in the journal, nobody sleeps."""
    run = Delayed.run(user=SYSTEM)

    row = StepRun.objects.get()
    assert run.status == "running"
    assert row.status == "ready"
    assert row.failures == 1
    assert row.lease_until is None
    run.refresh()
    assert row.wake_at is not None
    assert run.wake_at is not None
    assert run.wake_at <= row.wake_at
    assert run.waiting_for == "time"


class Delayed(Workflow):
    @step(retry=Retry(max_attempts=2, delay=30, jitter=False))
    def fail(self, ctx: Context[Any]) -> None:
        raise OSError


# --- unknown outcomes ----------------------------------------------------------------------------


def test_an_exception_that_does_not_say_so_leaves_the_outcome_unknown_and_is_undone(diary: Diary) -> None:
    steps = [diary.undoable("pay", errors=[ConnectionError("no answer")], unknown_on=[ConnectionError])]

    run = Workflow.from_steps("doubt", steps).run(user=SYSTEM)

    assert run.step_runs.get().status == "unknown"
    assert diary.lines == ["pay", "undo pay"]
    assert diary.undone_with == {"pay": None}
    assert run.status == "compensated"
    assert run.compensated_steps == ["pay"]
    assert run.failed_step == "pay"


def test_the_doubt_stays_when_a_later_attempt_fails_in_another_way(diary: Diary) -> None:
    errors: list[BaseException] = [ConnectionError("no answer"), ValueError("refused")]
    steps = [diary.undoable("pay", errors=errors, unknown_on=[ConnectionError], retry=Retry(2, delay=0))]

    run = Workflow.from_steps("sticky", steps).run(user=SYSTEM)

    assert run.step_runs.get().status == "unknown"
    assert diary.lines == ["pay", "pay", "undo pay"]


def test_a_success_clears_the_doubt(diary: Diary) -> None:
    steps = [
        diary.undoable("pay", 7, errors=[ConnectionError()], unknown_on=[ConnectionError], retry=AT_ONCE),
        diary.step("b", errors=[OSError()]),
    ]

    run = Workflow.from_steps("cleared", steps).run(user=SYSTEM)

    row = run.step_runs.get(name="pay")
    assert (row.status, row.uncertain) == ("done", False)
    assert diary.undone_with == {"pay": 7}


def test_an_unknown_step_without_a_compensation_ends_the_run_as_failed(diary: Diary) -> None:
    steps = [diary.step("pay", errors=[ConnectionError()], unknown_on=[ConnectionError])]

    run = Workflow.from_steps("undoubted", steps).run(user=SYSTEM)

    assert run.step_runs.get().status == "unknown"
    assert run.status == "failed"


def test_a_compensation_without_a_result_still_knows_the_forward_key() -> None:
    seen: list[str] = []

    def pay(ctx: Any) -> None:
        raise ConnectionError

    def refund(ctx: Any, result: Any) -> None:
        seen.extend([ctx.forward_key, ctx.idempotency_key])

    run = Workflow.from_steps("forward", [Step("pay", pay, refund, unknown_on=[ConnectionError])]).run(
        user=SYSTEM
    )

    assert seen == [f"{run.pk}:pay", f"{run.pk}:pay:undo"]


def test_a_transactional_step_is_never_in_doubt(diary: Diary) -> None:
    steps = [
        diary.undoable("a", errors=[ConnectionError()], unknown_on=[ConnectionError], transactional=True)
    ]

    run = Workflow.from_steps("certain", steps).run(user=SYSTEM)

    assert run.step_runs.get().status == "failed"
    assert diary.lines == ["a"]


def test_an_optional_step_in_doubt_does_not_stop_the_run(diary: Diary) -> None:
    steps = [
        diary.undoable("a", errors=[ConnectionError()], unknown_on=[ConnectionError], optional=True),
        diary.step("b"),
    ]

    run = Workflow.from_steps("shrug", steps).run(user=SYSTEM)

    assert run.success
    assert run.step_runs.get(name="a").status == "unknown"


def test_an_optional_step_in_doubt_is_undone_when_the_run_fails(diary: Diary) -> None:
    steps = [
        diary.undoable("a", errors=[ConnectionError()], unknown_on=[ConnectionError], optional=True),
        diary.step("b", errors=[OSError()]),
    ]

    run = Workflow.from_steps("undone_too", steps).run(user=SYSTEM)

    assert diary.lines == ["a", "b", "undo a"]
    assert run.compensated_steps == ["a"]


def test_the_default_of_an_optional_step_stands_in_for_it_in_doubt_too(diary: Diary) -> None:
    seen: list[Any] = []
    steps = [
        diary.step("a", errors=[ConnectionError()], unknown_on=[ConnectionError], optional=True, default=0),
        Step("b", lambda ctx: seen.append(ctx.results["a"])),
    ]

    run = Workflow.from_steps("stand_in", steps).run(user=SYSTEM)

    assert run.success
    assert seen == [0]


def test_the_row_of_a_finished_run_holds_no_lease(diary: Diary) -> None:
    """I9."""
    steps = [diary.undoable("a"), diary.step("b", errors=[OSError()])]

    Workflow.from_steps("leaseless", steps).run(user=SYSTEM)

    assert Run.objects.get().wake_at is None
    assert not StepRun.objects.exclude(lease_until=None, wake_at=None).exists()


def test_a_step_in_doubt_is_tried_again_whatever_its_condition_says_by_then(diary: Diary) -> None:
    """I15: skipped, its effect would stay and nobody would undo it."""
    answers = [True, False]
    doubtful = diary.step(
        "a",
        errors=[TimeoutError()],
        when=lambda ctx: answers.pop(0),
        retry=Retry(delay=0),
        unknown_on=[TimeoutError],
    )

    run = Workflow.from_steps("doubtful", [doubtful]).run(user=SYSTEM)

    assert run.success
    assert run.step_runs.get().status == "done"
    assert answers == [False]
