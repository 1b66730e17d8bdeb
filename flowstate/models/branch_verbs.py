"""The verbs of steps that nobody has begun: what lets them begin, and what keeps them from it."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import models
from django.db.models import Case, F, Q, Value, When

from flowstate.models.clock import DbNow, host_now
from flowstate.models.statuses import UNSTARTED, StepStatus

if TYPE_CHECKING:
    from flowstate.models.step_run import StepRun

    Steps = models.QuerySet[StepRun]
else:
    Steps = models.QuerySet

_STOPPED = Case(When(uncertain=True, then=Value(StepStatus.UNKNOWN)), default=Value(StepStatus.CANCELLED))
"""What becomes of a step that is not to start any more."""


class BranchVerbs(Steps):
    """One compare-and-set UPDATE each; a set of steps counts how many of them it won."""

    def make_ready(self, pk: int) -> bool:
        """Let a blocked step be claimed."""
        blocked = self.filter(pk=pk, status=StepStatus.BLOCKED)
        return blocked.update(status=StepStatus.READY, missing=0, wake_at=DbNow()) == 1

    def count_down(self, pks: Collection[int], *, by: int = 1) -> int:
        """Have blocked steps wait for so many fewer, which the open transaction has settled; return how many do."""
        waiting = self.filter(pk__in=pks, status=StepStatus.BLOCKED, missing__gte=by)
        return waiting.update(missing=F("missing") - by)

    def count_down_but_last(self, pk: int) -> bool:
        """Have a blocked step wait for one step fewer, unless that was the last: then it is to be claimed."""
        waiting = self.filter(pk=pk, status=StepStatus.BLOCKED, missing__gt=1)
        return waiting.update(missing=F("missing") - 1) == 1

    def block_again(self, pks: Collection[int]) -> int:
        """Have what nobody has claimed of these wait for one step more, which had settled; return how many do.

        A function was claimed for what it asked before.
        """
        unclaimed = Q(status=StepStatus.READY) & (Q(attempt=0) | Q(kind="function"))
        waiting = self.filter(unclaimed | Q(status=StepStatus.BLOCKED), pk__in=pks)
        return waiting.update(status=StepStatus.BLOCKED, missing=F("missing") + 1, wake_at=None)

    def leave_out(self, pks: Collection[int], *, reason: str) -> int:
        """Skip blocked steps that no taken branch leads to; return how many."""
        return self.filter(pk__in=pks, status=StepStatus.BLOCKED).update(
            status=StepStatus.SKIPPED, reason=reason, ended_at=host_now()
        )

    def abandon(self, pks: Collection[int], *, reason: str) -> int:
        """Cancel what a race was decided against and has not started; return how many.

        A step whose effect is in doubt becomes unknown, as when the whole run stops.
        """
        unstarted = self.filter(pk__in=pks, status__in=UNSTARTED)
        return unstarted.update(status=_STOPPED, reason=reason, wake_at=None, ended_at=host_now())

    def stop_unstarted(self, run_id: UUID) -> int:
        """Cancel what has not started; a step whose effect is in doubt becomes unknown. Return how many."""
        # A child run that is at work is stopped by itself, and then settles its step.
        unstarted = self.filter(run_id=run_id, status__in=UNSTARTED)
        return unstarted.exclude(kind="workflow", status=StepStatus.WAITING).update(
            status=_STOPPED, wake_at=None, ended_at=host_now()
        )
