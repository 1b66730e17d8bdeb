"""The verbs of steps: each moves a row once, and only from where it expects it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from flowstate.models import Compensation, StepRun, StepStatus
from flowstate.models.claim import Claim
from flowstate.models.clock import DbNow, db_now
from tests.journal.rows import ENDED_AT, a_run, a_step

pytestmark = pytest.mark.django_db

ERROR = {"code": "x", "detail": "no"}
rows = StepRun.objects

Verb = Callable[[StepRun], bool]

# Each verb with the status it begins at, the compensation it begins at, and where it leads.
FORWARD: dict[str, tuple[StepStatus, Verb, StepStatus]] = {
    "claim": (
        StepStatus.BLOCKED,
        lambda row: rows.claim(row.pk, seen=StepStatus.BLOCKED, attempt=row.attempt, lease=9),
        StepStatus.RUNNING,
    ),
    "claim_due": (
        StepStatus.READY,
        lambda row: rows.claim_due(row.pk, attempt=row.attempt, lease=9),
        StepStatus.RUNNING,
    ),
    "make_ready": (StepStatus.BLOCKED, lambda row: rows.make_ready(row.pk), StepStatus.READY),
    "claim_join": (
        StepStatus.BLOCKED,
        lambda row: rows.claim_join(Claim(pk=row.pk, attempt=row.attempt, lease=9, missing=0)),
        StepStatus.RUNNING,
    ),
    "finish": (
        StepStatus.RUNNING,
        lambda row: rows.finish(row.pk, attempt=row.attempt, status=StepStatus.DONE, at=ENDED_AT),
        StepStatus.DONE,
    ),
    "begin_waiting": (
        StepStatus.RUNNING,
        lambda row: rows.begin_waiting(row.pk, attempt=row.attempt, until=9),
        StepStatus.WAITING,
    ),
    "settle_waiting": (
        StepStatus.WAITING,
        lambda row: rows.settle_waiting(row.pk, attempt=row.attempt, status=StepStatus.DONE, at=ENDED_AT),
        StepStatus.DONE,
    ),
    "wait_again": (
        StepStatus.WAITING,
        lambda row: rows.wait_again(row.pk, attempt=row.attempt, delay=9),
        StepStatus.READY,
    ),
    "retry_later": (
        StepStatus.RUNNING,
        lambda row: rows.retry_later(row.pk, attempt=row.attempt, delay=9, uncertain=False),
        StepStatus.READY,
    ),
    "retry_now": (
        StepStatus.RUNNING,
        lambda row: rows.retry_now(row.pk, attempt=row.attempt, lease=9, uncertain=False),
        StepStatus.RUNNING,
    ),
}

BACKWARD: dict[str, tuple[Compensation, Verb, Compensation]] = {
    "claim_compensation": (
        Compensation.PENDING,
        lambda row: rows.claim_compensation(row.pk, attempt=row.compensation_attempt, lease=9),
        Compensation.RUNNING,
    ),
    "undo_in_place": (
        Compensation.PENDING,
        lambda row: rows.undo_in_place(row.pk, attempt=row.compensation_attempt, at=ENDED_AT),
        Compensation.DONE,
    ),
    "fail_in_place": (
        Compensation.PENDING,
        lambda row: rows.fail_in_place(row.pk, attempt=row.compensation_attempt, error=ERROR),
        Compensation.FAILED,
    ),
    "finish_compensation": (
        Compensation.RUNNING,
        lambda row: rows.finish_compensation(row.pk, attempt=row.compensation_attempt, at=ENDED_AT),
        Compensation.DONE,
    ),
    "fail_compensation": (
        Compensation.RUNNING,
        lambda row: rows.fail_compensation(row.pk, attempt=row.compensation_attempt, error=ERROR),
        Compensation.FAILED,
    ),
    "retry_compensation": (
        Compensation.RUNNING,
        lambda row: rows.retry_compensation(row.pk, attempt=row.compensation_attempt, delay=9),
        Compensation.PENDING,
    ),
    "waive_in_place": (
        Compensation.PENDING,
        lambda row: rows.waive_in_place(row.pk, attempt=row.compensation_attempt, error=ERROR),
        Compensation.WAIVED,
    ),
    "waive": (
        Compensation.FAILED,
        lambda row: rows.waive(row.pk, attempt=row.compensation_attempt),
        Compensation.WAIVED,
    ),
    "force": (
        Compensation.FAILED,
        lambda row: rows.force(row.pk, attempt=row.compensation_attempt, at=ENDED_AT),
        Compensation.DONE,
    ),
    "fail_again": (
        Compensation.FAILED,
        lambda row: rows.fail_again(row.pk, attempt=row.compensation_attempt, error=ERROR),
        Compensation.FAILED,
    ),
}


def fresh(row: StepRun) -> StepRun:
    return rows.get(pk=row.pk)


def columns(row: StepRun) -> dict[str, Any]:
    return dict(rows.filter(pk=row.pk).values().get())


@pytest.mark.parametrize("verb", FORWARD)
def test_a_verb_wins_once_and_loses_the_second_time(verb: str) -> None:
    was, move, becomes = FORWARD[verb]
    row = a_step(status=was)

    first, after = move(row), columns(row)
    second = move(row)

    assert (first, second) == (True, False)
    assert after["status"] == becomes
    assert columns(row) == after


@pytest.mark.parametrize("verb", BACKWARD)
def test_a_verb_of_undoing_wins_once_and_loses_the_second_time(verb: str) -> None:
    """I17."""
    was, move, becomes = BACKWARD[verb]
    row = a_step(status=StepStatus.DONE, compensation=was)

    first, after = move(row), columns(row)
    second = move(row)

    assert (first, second) == (True, False)
    assert after["compensation"] == becomes
    assert columns(row) == after


@pytest.mark.parametrize("verb", FORWARD)
@pytest.mark.parametrize("status", StepStatus)
def test_a_verb_moves_a_step_from_nowhere_else(verb: str, status: StepStatus) -> None:
    was, move, _becomes = FORWARD[verb]
    row = a_step(status=status)
    before = columns(row)

    assert move(row) == (status == was)

    assert (columns(row) == before) == (status != was)


@pytest.mark.parametrize("verb", BACKWARD)
@pytest.mark.parametrize("status", Compensation)
def test_a_verb_of_undoing_moves_a_step_from_nowhere_else(verb: str, status: Compensation) -> None:
    was, move, _becomes = BACKWARD[verb]
    row = a_step(status=StepStatus.DONE, compensation=status)
    before = columns(row)

    assert move(row) == (status == was)

    assert (columns(row) == before) == (status != was)


@pytest.mark.parametrize("verb", ["finish", "retry_later", "retry_now"])
def test_who_holds_an_old_token_changes_nothing(verb: str) -> None:
    """I2."""
    _was, move, _becomes = FORWARD[verb]
    row = a_step(status=StepStatus.RUNNING, attempt=3)
    rows.filter(pk=row.pk).update(attempt=4)
    before = columns(row)

    assert not move(row)
    assert not rows.extend_lease(row.pk, attempt=3, lease=99)

    assert columns(row) == before


@pytest.mark.parametrize("verb", ["claim", "claim_due", "retry_now"])
def test_every_claim_raises_the_token_by_one(verb: str) -> None:
    """I3."""
    was, move, _becomes = FORWARD[verb]
    row = a_step(status=was, attempt=5)

    move(row)

    assert fresh(row).attempt == 6


def test_a_claim_holds_for_its_lease_and_clears_the_alarm() -> None:
    row = a_step()
    before = db_now("default")

    rows.claim_due(row.pk, attempt=row.attempt, lease=30)

    row = fresh(row)
    assert row.lease_until is not None
    assert timedelta(seconds=29) < row.lease_until - before < timedelta(seconds=40)
    assert row.wake_at is None
    assert row.started_at is not None


def test_a_step_is_not_claimed_before_its_time() -> None:
    """I26."""
    row = a_step(wake_at=DbNow(30))

    assert not rows.claim_due(row.pk, attempt=row.attempt, lease=9)
    assert not rows.due().exists()


def test_finishing_lets_go_of_the_lease_and_stores_the_outcome() -> None:
    row = a_step(status=StepStatus.RUNNING)

    rows.finish(
        row.pk, attempt=0, status=StepStatus.DONE, at=ENDED_AT, result_json={"a": 1}, undo={"version": 1}
    )

    row = fresh(row)
    assert (row.lease_until, row.result, row.undo) == (None, {"a": 1}, {"version": 1})
    assert row.ended_at == ENDED_AT
    assert row.settled


def test_failures_are_counted_by_retries_and_by_nothing_else() -> None:
    """I25."""
    now, later = (a_step(status=StepStatus.RUNNING) for _number in range(2))

    rows.retry_now(now.pk, attempt=0, lease=9, uncertain=True)
    rows.retry_later(later.pk, attempt=0, delay=9, uncertain=False)

    assert [fresh(row).failures for row in (now, later)] == [1, 1]
    assert [fresh(row).uncertain for row in (now, later)] == [True, False]
    assert [fresh(row).lease_until is None for row in (now, later)] == [False, True]


@pytest.mark.parametrize(
    ("kind", "in_doubt"), [("external", True), ("transactional", False), ("update", False)]
)
def test_a_lease_is_lost_only_when_it_is_over(kind: str, in_doubt: bool) -> None:
    held = a_step(status=StepStatus.RUNNING, kind=kind)
    over = a_step(status=StepStatus.RUNNING, kind=kind, lease_until=DbNow(-1))

    assert not rows.lose_lease(held.pk, attempt=0)
    assert rows.lose_lease(over.pk, attempt=0)
    assert not rows.lose_lease(over.pk, attempt=0)

    over = fresh(over)
    assert (over.status, over.lost, over.failures, over.uncertain) == ("ready", 1, 0, in_doubt)
    assert rows.due().get() == over


def test_a_doubt_that_was_there_stays_when_the_lease_is_lost() -> None:
    over = a_step(status=StepStatus.RUNNING, kind="transactional", uncertain=True, lease_until=DbNow(-1))

    rows.lose_lease(over.pk, attempt=0)

    assert fresh(over).uncertain


def test_stopping_cancels_what_has_not_started_and_nothing_else() -> None:
    run = a_run()
    steps = {status: a_step(run, status) for status in StepStatus}
    doubt = a_step(run, StepStatus.READY, uncertain=True)
    other = a_step(a_run(), StepStatus.BLOCKED)

    stopped = rows.stop_unstarted(run.pk)

    assert stopped == 4
    for status, row in steps.items():
        unstarted = status in {StepStatus.BLOCKED, StepStatus.READY, StepStatus.WAITING}
        assert fresh(row).status == (StepStatus.CANCELLED if unstarted else status)
    assert fresh(doubt).status == "unknown"
    assert fresh(other).status == "blocked"
    assert not run.step_runs.exclude(wake_at=None).exists()


def test_claiming_all_takes_the_unstarted_ones_of_one_run() -> None:
    run = a_run()
    blocked, ready, done = (
        a_step(run, status) for status in (StepStatus.BLOCKED, StepStatus.READY, StepStatus.DONE)
    )
    other = a_step(a_run(), StepStatus.BLOCKED)

    assert rows.claim_all(run.pk, lease=9) == 2
    assert rows.claim_all(run.pk, lease=9) == 0

    assert [fresh(row).status for row in (blocked, ready, done, other)] == [
        "running",
        "running",
        "done",
        "blocked",
    ]
    assert [fresh(row).attempt for row in (blocked, ready, done)] == [1, 1, 0]


def test_failed_compensations_are_reopened_with_a_fresh_budget() -> None:
    run = a_run()
    failed = a_step(
        run,
        StepStatus.DONE,
        Compensation.FAILED,
        compensation_failures=3,
        compensation_error=ERROR,
        compensation_attempt=3,
    )
    waived = a_step(run, StepStatus.DONE, Compensation.WAIVED)

    assert rows.reopen_compensations(run.pk) == 1

    failed = fresh(failed)
    assert (failed.compensation, failed.compensation_failures, failed.compensation_error) == (
        "pending",
        0,
        None,
    )
    assert failed.compensation_attempt == 3
    assert fresh(waived).compensation == "waived"


def test_waiving_keeps_what_it_failed_of_and_forcing_does_not() -> None:
    failed: dict[str, Any] = {"compensation_attempt": 3, "compensation_error": ERROR}
    waived, forced, again = (
        a_step(a_run(), StepStatus.DONE, Compensation.FAILED, **failed) for _ in range(3)
    )

    rows.waive(waived.pk, attempt=3)
    rows.force(forced.pk, attempt=3, at=ENDED_AT)
    rows.fail_again(again.pk, attempt=3, error={"code": "other"})

    waived, forced, again = map(fresh, (waived, forced, again))
    assert (waived.compensation, waived.compensation_error) == ("waived", ERROR)
    assert (forced.compensation, forced.compensation_error) == ("done", None)
    assert (forced.compensation_attempt, forced.compensation_ended_at) == (4, ENDED_AT)
    assert (again.compensation, again.compensation_error) == ("failed", {"code": "other"})
    assert (again.compensation_attempt, again.compensation_failures) == (4, 1)


def test_what_was_undone_or_is_being_undone_is_not_given_away() -> None:
    run = a_run()
    steps = {status: a_step(run, StepStatus.DONE, status) for status in Compensation}

    given = rows.give_away([row.pk for row in steps.values()])

    assert given == 2
    for status, row in steps.items():
        given_away = status in {Compensation.PENDING, Compensation.FAILED}
        assert fresh(row).compensation == (Compensation.NONE if given_away else status)


def test_a_failed_undoing_that_waits_is_not_claimed_by_its_old_token() -> None:
    row = a_step(status=StepStatus.DONE, compensation=Compensation.RUNNING, compensation_attempt=1)
    rows.retry_compensation(row.pk, attempt=1, delay=30)

    assert not rows.claim_compensation(row.pk, attempt=0, lease=9)
    assert not rows.finish_compensation(row.pk, attempt=1, at=ENDED_AT)

    row = fresh(row)
    assert (row.compensation, row.compensation_failures) == ("pending", 1)
    assert row.wake_at is not None
    assert row.lease_until is None
