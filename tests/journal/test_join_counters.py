"""The counter of a join, on its own row: who settles the last of its steps is told so, and nobody else."""

from __future__ import annotations

import pytest

from flowstate.models import StepRun, StepStatus
from flowstate.models.claim import Claim
from tests.journal.rows import a_step

pytestmark = pytest.mark.django_db

rows = StepRun.objects


def test_a_join_is_counted_down_to_the_last_and_that_one_claims_it() -> None:
    """I7: each is one compare-and-set, so that of those who settle at once exactly one finds itself the last."""
    row = a_step(status=StepStatus.BLOCKED, missing=3)
    claim = Claim(pk=row.pk, attempt=0, lease=9, missing=1)

    counted = [rows.count_down_but_last(row.pk) for _settled in range(3)]

    assert counted == [True, True, False]
    assert StepRun.objects.get(pk=row.pk).missing == 1
    assert [rows.claim_join(claim), rows.claim_join(claim)] == [True, False]
    assert StepRun.objects.get(pk=row.pk).missing == 0


def test_only_what_is_blocked_is_counted_down_and_never_below_nothing() -> None:
    """I7"""
    begun, blocked = a_step(status=StepStatus.DONE, missing=1), a_step(status=StepStatus.BLOCKED, missing=2)

    assert rows.count_down([begun.pk, blocked.pk], by=2) == 1
    assert rows.count_down([begun.pk, blocked.pk]) == 0
