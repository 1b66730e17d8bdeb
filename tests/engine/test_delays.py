"""Steps that wait for a time: how they begin, when they are over, and what the run does meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from django.db import connection, transaction
from django.utils import timezone

from flowstate import SYSTEM, DelayStep, Workflow, WorkflowNotFindable
from flowstate.engine.carry.messages import drain
from flowstate.engine.carry.sweep import sweep
from flowstate.models import Run, StepRun, StepStatus
from flowstate.testing import carry_due, move_clock
from tests.kiosk import returns, waits
from tests.kiosk.looking import broken, carry, lines
from tests.kiosk.models import Sale
from tests.kiosk.stall import OnSale
from tests.kiosk.statements import Statements
from tests.kiosk.waits import (
    DAY,
    HOUR,
    Beside,
    Conditional,
    InTime,
    Paused,
    Reminder,
    Scripted,
    Twice,
    UntilThen,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    returns.forget()
    waits.given.clear()
    yield
    returns.forget()
    waits.given.clear()


def gives(value: Any, ctx: Any) -> Any:
    return value


# --- how it begins -----------------------------------------------------------------------------------


def test_a_run_that_waits_for_a_time_says_so_and_holds_nothing() -> None:
    """I12, I29: no lease, no transaction; somebody looks when the time has come, not before."""
    run = Paused.run(user=SYSTEM)

    row = run.refresh().step_runs.get(name="pause")
    assert (run.status, run.waiting_for, run.progress) == ("running", "time", 33)
    assert (row.status, row.lease_until) == ("waiting", None)
    assert row.wake_at is not None
    assert run.wake_at == row.wake_at
    assert abs(row.wake_at - timezone.now() - timedelta(hours=1)) < timedelta(minutes=1)
    assert not connection.in_atomic_block
    assert broken() == []


def test_a_wait_costs_one_commit_more_than_a_step_and_no_statement_while_it_lasts() -> None:
    """C11: the claim is part of the commit before; a drain and a sweep find nothing to do."""
    Paused.run(user=SYSTEM)

    with Statements() as begun:
        Paused.run(user=SYSTEM)
    with Statements() as idle:
        assert drain("flowstate", wake_next=lambda: None, stopping=lambda: False) == 0
        assert sweep() == 0

    assert begun.commits == 3  # the run, the first step with the claim of the wait, the wait
    assert len(idle.work) == 2, idle.work


def test_a_delay_may_be_a_moment_that_a_function_gives(clock: Callable[[float], None]) -> None:
    run = UntilThen.run(user=SYSTEM)

    row = run.step_runs.get(name="pause")
    assert row.wake_at == run.results["then"]
    clock(2 * HOUR - 5)
    assert carry(run) == ""
    clock(6)
    assert carry(run) == "succeeded"


@pytest.mark.parametrize("given", [0, timedelta(0), datetime(2020, 1, 1, tzinfo=UTC)], ids=str)
def test_no_time_to_wait_is_no_wait(given: Any) -> None:
    waits.given.append(lambda ctx: given)

    run = Scripted.run(user=SYSTEM)

    assert run.success
    assert lines() == ["one", "two"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (-1, "is a duration from 0 seconds to 100 years, not -1."),
        ("soon", "is a number of seconds or a timedelta, not 'soon'."),
        (datetime(2020, 1, 1), "is a moment without a time zone"),  # noqa: DTZ001 - that is the mistake
    ],
    ids=["negative", "text", "naive"],
)
def test_what_is_no_time_fails_the_step_and_undoes_what_was_done(given: Any, words: str) -> None:
    waits.given.extend([lambda ctx: given] * 2)

    run = Scripted.run(user=SYSTEM)

    assert run.status == "compensated"
    assert run.failed_step == "pause"
    assert run.error is not None
    assert "What step 'pause' waits for" in run.error["detail"]
    assert words in run.error["detail"]
    assert lines() == ["one", "undo one"]


def test_a_function_that_fails_is_tried_again_as_in_any_step(clock: Callable[[float], None]) -> None:
    """I25."""

    def fail(ctx: Any) -> float:
        raise OSError("no calendar")

    waits.given.extend([fail, lambda ctx: HOUR])
    run = Scripted.run(user=SYSTEM)

    row = run.step_runs.get(name="pause")
    assert (row.status, row.failures, row.attempt) == ("waiting", 1, 2)
    assert [event.data["detail"] for event in run.events.all()] == ["no calendar"]
    clock(HOUR + 1)
    assert carry(run) == "succeeded"
    assert broken() == []


def test_a_wait_that_its_condition_leaves_out_is_skipped(clock: Callable[[float], None]) -> None:
    waits.given.append(lambda ctx: False)
    skipped = Conditional.run(user=SYSTEM)
    waits.given.append(lambda ctx: True)
    waited = Conditional.run(user=SYSTEM)

    assert skipped.success
    assert skipped.value == "skipped"
    assert waited.refresh().waiting_for == "time"
    clock(HOUR + 1)
    assert carry(waited) == "succeeded"
    assert waited.refresh().value is None


def test_a_wait_that_no_worker_could_take_up_is_refused(on_sale: OnSale, sale: Sale) -> None:

    workflow = Workflow.from_steps("nowhere", [DelayStep(1, name="pause")])

    with pytest.raises(WorkflowNotFindable, match="waits"):
        workflow.run(user=SYSTEM)


# --- how it is over ----------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["worker", "sweeper"])
def test_a_timer_fires_once_and_never_early(who: str, clock: Callable[[float], None]) -> None:
    """I26."""
    run = Paused.run(user=SYSTEM)

    def look() -> None:
        if who == "sweeper":
            sweep()
        carry(run)

    clock(HOUR - 5)
    look()
    assert run.refresh().step_runs.get(name="pause").status == "waiting"
    clock(6)
    look()
    look()

    assert run.refresh().success
    assert lines() == ["one", "two"]
    assert [row.attempt for row in run.steps] == [1, 1, 1]
    assert broken() == []


def test_only_the_databases_clock_says_that_a_time_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """I26: whatever this process takes for due, the verb asks the row."""
    run = Paused.run(user=SYSTEM)
    row = run.step_runs.get(name="pause")

    early = StepRun.objects.settle_waiting(
        row.pk, attempt=row.attempt, status=StepStatus.DONE, at=timezone.now(), by_time=True
    )

    assert early is False
    assert StepRun.objects.get(pk=row.pk).status == "waiting"


def test_a_sweep_settles_a_wait_and_leaves_the_next_step_to_workers(clock: Callable[[float], None]) -> None:
    run = Paused.run(user=SYSTEM)

    clock(HOUR + 1)
    assert sweep() == 1

    assert [row.status for row in run.refresh().steps] == ["done", "done", "ready"]
    assert lines() == ["one"]
    assert run.waiting_for == ""


def test_a_short_wait_is_published_so_that_it_ends_on_time(monkeypatch: pytest.MonkeyPatch) -> None:
    published: list[float] = []
    monkeypatch.setattr(
        "flowstate.carriers.celery.CeleryCarrier.carry_run",
        lambda self, run_id, *, queue, delay: published.append(delay),
    )
    for seconds in (30, 61):
        waits.given.append(partial(gives, seconds))
        Scripted.run(user=SYSTEM)

    assert published == [30]


def test_a_branch_works_while_another_waits(clock: Callable[[float], None]) -> None:
    run = Beside.run(user=SYSTEM)

    assert lines() == ["begin", "work"]
    assert run.refresh().waiting_for == "time"
    clock(HOUR + 1)
    assert carry(run) == "succeeded"
    assert lines() == ["begin", "work", "join"]
    assert broken() == []


def test_of_two_timers_the_earlier_is_looked_at_first(clock: Callable[[float], None]) -> None:
    run = Twice.run(user=SYSTEM)

    short, long = (run.step_runs.get(name=name) for name in ("short", "long"))
    assert run.refresh().wake_at == short.wake_at
    clock(HOUR + 1)
    carry(run)
    assert run.refresh().wake_at == long.wake_at
    clock(HOUR)
    assert carry(run) == "succeeded"


def test_rows_that_wait_in_the_callers_transaction_live_and_die_with_it(on_sale: OnSale, sale: Sale) -> None:
    """I14."""
    with transaction.atomic():
        kept = on_sale(Reminder).run(user=SYSTEM)
    with transaction.atomic():
        lost = on_sale(Reminder).run(user=SYSTEM)
        transaction.set_rollback(True)

    assert kept.refresh().waiting_for == "time"
    assert not Run.objects.filter(pk=lost.pk).exists()
    with move_clock(seconds=DAY + 1):
        carry_due()
    sale.refresh_from_db()
    assert sale.status == "reminded"


# --- how it is stopped -------------------------------------------------------------------------------


def test_a_cancelled_run_waits_for_nothing_and_starts_nothing_new(clock: Callable[[float], None]) -> None:
    """I9, I24."""
    run = Paused.run(user=SYSTEM)

    run.cancel(SYSTEM)
    clock(HOUR + 1)
    sweep()
    carry(run)

    row = run.refresh().step_runs.get(name="pause")
    assert (run.status, run.wake_at, run.waiting_for) == ("cancelled", None, "")
    assert (row.status, row.wake_at) == ("cancelled", None)
    assert lines() == ["one", "undo one"]
    assert broken() == []


def test_a_run_that_was_cancelled_while_its_wait_began_does_not_wait() -> None:
    """I24."""

    def cancel(ctx: Any) -> float:
        Run.objects.get().cancel(SYSTEM)
        return HOUR

    waits.given.append(cancel)
    run = Scripted.run(user=SYSTEM)

    assert run.refresh().status == "cancelled"
    assert run.step_runs.get(name="pause").status == "cancelled"
    assert lines() == ["one", "undo one"]
    assert broken() == []


def test_the_deadline_of_a_run_does_not_wait_for_its_timers(clock: Callable[[float], None]) -> None:
    """A14."""
    run = InTime.run(user=SYSTEM)

    assert run.refresh().wake_at == run.deadline_at
    clock(HOUR + 1)
    sweep()
    carry(run)

    assert run.refresh().status == "compensated"
    assert run.error is not None
    assert run.error["code"] == "run_timeout"
    assert lines() == ["one", "undo one"]
    assert broken() == []


def test_a_retry_of_a_run_does_not_wait_again(clock: Callable[[float], None]) -> None:
    returns.errors["two"] = [OSError("no")]
    returns.errors["undo one"] = []
    run = Paused.run(user=SYSTEM)
    clock(HOUR + 1)
    carry(run)
    assert run.refresh().status == "compensated"

    again = run.retry(SYSTEM)

    assert again.success
    assert [row.attempt for row in again.steps] == [1, 1, 1]
    assert lines() == ["one", "two", "undo one", "one", "two"]
