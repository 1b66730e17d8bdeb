"""The verbs of approvals: every way the status of one may change, for who holds the lock of the run's row."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from django.db import models
from django.db.models import F, Q

from flowstate.models.clock import DbNow, host_now
from flowstate.models.statuses import ApprovalStatus

if TYPE_CHECKING:
    from flowstate.models.approval import Approval
    from flowstate.models.step_run import StepRun


class ApprovalQuerySet(models.QuerySet["Approval"]):
    """Filters, and the verbs: one compare-and-set UPDATE each, which returns whether it won."""

    def pending(self) -> Self:
        """Return the approvals that are still to be decided."""
        return self.filter(status=ApprovalStatus.PENDING)

    def decided(self) -> Self:
        """Return the approvals that are not: by people, by time, or with their runs."""
        return self.exclude(status=ApprovalStatus.PENDING)

    def of_steps(self, rows: Collection[StepRun]) -> Self:
        """Return the approvals that these steps wait for, or were settled by: none of their history."""
        mine = Q(pk__in=())
        for row in rows:
            mine |= Q(step_run=row.pk, attempt=row.attempt)
        return self.filter(mine)

    def decide(self, pk: int, *, status: ApprovalStatus, user_id: Any, label: str) -> bool:
        """Decide for ever, in the last moment before it expires at the latest."""
        in_time = Q(expires_at=None) | Q(expires_at__gt=DbNow())
        return self._end(self.filter(in_time, pk=pk), status, decided_by=user_id, decided_by_label=label)

    def expire(self, pk: int) -> bool:
        """Let an approval end whose time is over, by the database's clock."""
        return self._end(self.filter(pk=pk, expires_at__lte=DbNow()), ApprovalStatus.EXPIRED)

    def cancel(self, step_run_ids: Collection[int]) -> int:
        """Cancel what steps do not wait for any more; return how many there were."""
        pending = self.pending().filter(step_run__in=step_run_ids)
        return pending.update(status=ApprovalStatus.CANCELLED, decided_at=host_now())

    def escalate(self, pk: int) -> bool:
        """Open an approval whose time is over to others, for as long as it takes."""
        due = self.pending().filter(pk=pk, escalated_at=None, expires_at__lte=DbNow())
        return due.update(escalated_at=host_now(), expires_at=None, remind_at=None) == 1

    def remind(self, approval: Approval, *, then: datetime | None) -> bool:
        """Note that people were reminded, and when they are to be again."""
        due = self.pending().filter(pk=approval.pk, remind_at=approval.remind_at)
        return due.filter(remind_at__lte=DbNow()).update(remind_at=then) == 1

    def show(self, pk: int, *, seen: str, shown: list[Any], digest: str, anew: bool) -> bool:
        """Show something else than the digest that was seen; `anew`: the votes so far do not count any more."""
        rows = self.pending().filter(pk=pk, digest=seen)
        return rows.update(shown_json=shown, digest=digest, round=F("round") + (1 if anew else 0)) == 1

    def _end(self, rows: Self, status: ApprovalStatus, **columns: Any) -> bool:
        return rows.pending().update(status=status, decided_at=host_now(), **columns) == 1
