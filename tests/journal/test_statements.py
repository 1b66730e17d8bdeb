"""Two moves in one statement: each wins or loses by itself, and they change what the two verbs change."""

from __future__ import annotations

from typing import Any

import pytest

from flowstate.models import Compensation, StepRun, StepStatus
from flowstate.models.claim import Claim
from flowstate.models.clock import DbNow
from tests.journal.rows import ENDED_AT, a_run, a_step

pytestmark = pytest.mark.django_db

rows = StepRun.objects


def fresh(row: StepRun) -> StepRun:
    return rows.get(pk=row.pk)


def columns(row: StepRun) -> dict[str, Any]:
    return dict(rows.filter(pk=row.pk).values().get())


def finish_and_claim(row: StepRun, following: StepRun) -> tuple[bool, bool]:
    return rows.finish_and_claim(
        row.pk,
        attempt=row.attempt,
        status=StepStatus.DONE,
        at=ENDED_AT,
        following=Claim(pk=following.pk, attempt=following.attempt, lease=30),
        result_json={"a": None},
        data_json=None,
        uncertain=False,
    )


def test_finishing_and_claiming_the_next_changes_what_the_two_verbs_change() -> None:
    """I3, I4."""
    together, apart = a_run(), a_run()
    first, following = (
        a_step(run, StepStatus.RUNNING, attempt=2, uncertain=True) for run in (together, apart)
    )
    nexts = [a_step(run, StepStatus.BLOCKED, attempt=1) for run in (together, apart)]

    assert finish_and_claim(first, nexts[0]) == (True, True)
    rows.finish(
        following.pk,
        attempt=2,
        status=StepStatus.DONE,
        at=ENDED_AT,
        result_json={"a": None},
        data_json=None,
        uncertain=False,
    )
    rows.claim(nexts[1].pk, seen=StepStatus.BLOCKED, attempt=1, lease=30)

    own = {"id", "run_id", "started_at", "lease_until"}
    for one, other in ((first, following), (nexts[0], nexts[1])):
        mine, theirs = columns(one), columns(other)
        assert {name for name in mine if mine[name] != theirs[name]} <= own
        for name in ("started_at", "lease_until"):
            assert (mine[name] is None) == (theirs[name] is None)
    assert finish_and_claim(first, nexts[0]) == (False, False)


def test_who_lost_the_step_or_the_next_one_is_told_which() -> None:
    """I2."""
    run = a_run()
    lost, blocked = a_step(run, StepStatus.RUNNING, attempt=1), a_step(run, StepStatus.BLOCKED)
    held, cancelled = a_step(run, StepStatus.RUNNING), a_step(run, StepStatus.CANCELLED)
    rows.filter(pk=lost.pk).update(attempt=2)

    assert finish_and_claim(lost, blocked) == (False, True)
    assert finish_and_claim(held, cancelled) == (True, False)

    assert (fresh(lost).status, fresh(held).status) == ("running", "done")
    assert (fresh(blocked).status, fresh(cancelled).status) == ("running", "cancelled")


@pytest.mark.parametrize(
    ("token", "wake_in", "won"), [(1, None, (True, True)), (1, 30, (True, False)), (0, -1, (False, True))]
)
def test_an_undoing_is_recorded_and_the_next_one_claimed(
    token: int, wake_in: float | None, won: tuple[bool, bool]
) -> None:
    run = a_run()
    undone = a_step(run, StepStatus.DONE, Compensation.RUNNING, compensation_attempt=1)
    alarm = None if wake_in is None else DbNow(wake_in)
    following = a_step(run, StepStatus.DONE, Compensation.PENDING, wake_at=alarm)

    claim = Claim(pk=following.pk, attempt=0, lease=30)
    assert rows.finish_and_claim_compensation(undone.pk, attempt=token, at=ENDED_AT, following=claim) == won

    undone, following = fresh(undone), fresh(following)
    assert (undone.compensation, undone.lease_until is None) == (
        ("done", True) if won[0] else ("running", False)
    )
    assert following.compensation == ("running" if won[1] else "pending")
    assert following.compensation_attempt == won[1]


def test_a_verb_heeds_the_filter_it_is_called_on() -> None:
    row = a_step(status=StepStatus.BLOCKED)

    assert not rows.filter(name="b").claim(row.pk, seen=StepStatus.BLOCKED, attempt=0, lease=9)
    assert rows.filter(name="a").claim(row.pk, seen=StepStatus.BLOCKED, attempt=0, lease=9)
