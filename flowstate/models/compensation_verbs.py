"""The verbs of undoing: every way the status of a step's compensation may change."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from django.db import models
from django.db.models import F

from flowstate.models.claim import Claim
from flowstate.models.clock import DbNow, host_now
from flowstate.models.processes import own_name
from flowstate.models.statements import Move, move, move_both
from flowstate.models.statuses import Compensation

if TYPE_CHECKING:
    from flowstate.models.step_run import StepRun

    Steps = models.QuerySet[StepRun]
else:
    Steps = models.QuerySet


class CompensationVerbs(Steps):
    """One compare-and-set UPDATE each, which returns whether it won."""

    def claim_compensation(self, pk: int, *, attempt: int, lease: float) -> bool:
        """Take the undoing of a step for `lease` seconds."""
        return move(self, _claiming(Claim(pk=pk, attempt=attempt, lease=lease)))

    def leave_to_run(self, pk: int, *, attempt: int, undone_by: UUID) -> bool:
        """Have a run of its own undo the step: that run holds it, without a lease, until it ends."""
        return _moved(
            self.filter(pk=pk, compensation=Compensation.PENDING, compensation_attempt=attempt),
            compensation=Compensation.RUNNING,
            compensation_attempt=F("compensation_attempt") + 1,
            compensation_started_at=host_now(),
            undone_by_id=undone_by,
            wake_at=None,
        )

    def undo_in_place(self, pk: int, *, attempt: int, at: datetime) -> bool:
        """Record an inverse that this very transaction carries out: claim and finish in one."""
        becomes = {
            "compensation": Compensation.DONE,
            "compensation_attempt": attempt + 1,
            "compensation_ended_at": at,
            "wake_at": None,
        }
        seen = {"compensation": Compensation.PENDING, "compensation_attempt": attempt}
        return move(self, Move(pk, seen, becomes))

    def fail_in_place(self, pk: int, *, attempt: int, error: dict[str, Any]) -> bool:
        """Record that an inverse could not be carried out."""
        return _moved(
            self.filter(pk=pk, compensation=Compensation.PENDING, compensation_attempt=attempt),
            compensation=Compensation.FAILED,
            compensation_attempt=F("compensation_attempt") + 1,
            compensation_failures=F("compensation_failures") + 1,
            compensation_error=error,
            compensation_ended_at=host_now(),
            wake_at=None,
        )

    def waive_in_place(self, pk: int, *, attempt: int, error: dict[str, Any]) -> bool:
        """Record that an inverse met a conflict, and that the step stays as it is then."""
        return _moved(
            self.filter(pk=pk, compensation=Compensation.PENDING, compensation_attempt=attempt),
            compensation=Compensation.WAIVED,
            compensation_attempt=F("compensation_attempt") + 1,
            compensation_error=error,
            compensation_ended_at=host_now(),
            wake_at=None,
        )

    def finish_compensation(self, pk: int, *, attempt: int, at: datetime) -> bool:
        """Record that a claimed undoing succeeded."""
        return move(self, _finishing(pk, attempt, at))

    def finish_and_claim_compensation(
        self, pk: int, *, attempt: int, at: datetime, following: Claim
    ) -> tuple[bool, bool]:
        """Record that a claimed undoing succeeded and claim the next; return whether each was won.

        One statement, but two compare-and-sets: who lost the first must roll back the second.
        """
        won = move_both(self, _finishing(pk, attempt, at), _claiming(following))
        if won == 1:
            done = {"compensation": Compensation.DONE, "compensation_attempt": attempt}
            finished = self.filter(pk=pk, **done).exists()
            return finished, not finished
        return won == 2, won == 2

    def fail_compensation(self, pk: int, *, attempt: int, error: dict[str, Any]) -> bool:
        """Record that a claimed undoing failed for good."""
        return _moved(
            self.filter(pk=pk, compensation=Compensation.RUNNING, compensation_attempt=attempt),
            compensation=Compensation.FAILED,
            compensation_failures=F("compensation_failures") + 1,
            compensation_error=error,
            compensation_ended_at=host_now(),
            lease_until=None,
        )

    def retry_compensation(self, pk: int, *, attempt: int, delay: float) -> bool:
        """Count a failed undoing and let it be claimed again after `delay` seconds."""
        return _moved(
            self.filter(pk=pk, compensation=Compensation.RUNNING, compensation_attempt=attempt),
            compensation=Compensation.PENDING,
            compensation_failures=F("compensation_failures") + 1,
            lease_until=None,
            wake_at=DbNow(delay),
        )

    def lose_compensation_lease(self, pk: int, *, attempt: int) -> bool:
        """Take an undoing away from a claimant whose lease is over, so that it is tried again."""
        return _moved(
            self.filter(
                pk=pk,
                compensation=Compensation.RUNNING,
                compensation_attempt=attempt,
                lease_until__lte=DbNow(),
            ),
            compensation=Compensation.PENDING,
            compensation_lost=F("compensation_lost") + 1,
            lease_until=None,
        )

    def reopen_compensations(self, run_id: UUID) -> int:
        """Let the failed undoings of a run be tried again with a fresh budget; return how many."""
        return self.filter(run_id=run_id, compensation=Compensation.FAILED).update(
            compensation=Compensation.PENDING,
            compensation_failures=0,
            compensation_lost=0,
            compensation_error=None,
            compensation_ended_at=None,
        )

    def waive(self, pk: int, *, attempt: int) -> bool:
        """Record that a person leaves a step as it is whose undoing failed; of what it failed stays."""
        return _moved(self._failed(pk, attempt), compensation=Compensation.WAIVED)

    def force(self, pk: int, *, attempt: int, at: datetime) -> bool:
        """Record an inverse that this very transaction carries out after it had failed."""
        return _moved(
            self._failed(pk, attempt),
            compensation=Compensation.DONE,
            compensation_attempt=F("compensation_attempt") + 1,
            compensation_error=None,
            compensation_ended_at=at,
        )

    def fail_again(self, pk: int, *, attempt: int, error: dict[str, Any]) -> bool:
        """Record that an inverse which had failed could not be forced either."""
        return _moved(
            self._failed(pk, attempt),
            compensation_attempt=F("compensation_attempt") + 1,
            compensation_failures=1,
            compensation_lost=0,
            compensation_error=error,
            compensation_ended_at=host_now(),
        )

    def _failed(self, pk: int, attempt: int) -> Self:
        return self.filter(pk=pk, compensation=Compensation.FAILED, compensation_attempt=attempt)

    def give_away(self, pks: Iterable[int]) -> int:
        """Leave the undoing of these steps to the run that took them over; return how many."""
        return self.filter(pk__in=pks, compensation__in=(Compensation.PENDING, Compensation.FAILED)).update(
            compensation=Compensation.NONE, reason="taken over by another run"
        )

    def extend_compensation_lease(self, pk: int, *, attempt: int, lease: float) -> bool:
        """Let a claim on an undoing hold for another `lease` seconds from now."""
        rows = self.filter(pk=pk, compensation=Compensation.RUNNING, compensation_attempt=attempt)
        return _moved(rows, lease_until=DbNow(lease))


def _moved(rows: models.QuerySet[StepRun], **columns: Any) -> bool:
    return rows.update(**columns) == 1


def _claiming(claim: Claim) -> Move:
    return Move(
        claim.pk,
        {
            "compensation": Compensation.PENDING,
            "compensation_attempt": claim.attempt,
            "wake_at": DbNow(),  # a failed undoing may wait before it is tried again
        },
        {
            "compensation": Compensation.RUNNING,
            "compensation_attempt": claim.attempt + 1,
            "compensation_started_at": host_now(),
            "lease_until": DbNow(claim.lease),
            "claimed_by": own_name(),
            "wake_at": None,
        },
    )


def _finishing(pk: int, attempt: int, at: datetime) -> Move:
    return Move(
        pk,
        {"compensation": Compensation.RUNNING, "compensation_attempt": attempt},
        {"compensation": Compensation.DONE, "compensation_ended_at": at, "lease_until": None},
    )
