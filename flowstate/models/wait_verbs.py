"""The verbs of steps that wait: how a wait begins, and how it is settled."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from django.db import models
from django.db.models import F, Q

from flowstate.models.clock import DbNow
from flowstate.models.statuses import StepStatus

if TYPE_CHECKING:
    from flowstate.models.step_run import StepRun

    Steps = models.QuerySet[StepRun]
else:
    Steps = models.QuerySet


class WaitVerbs(Steps):
    """Filters, and one compare-and-set UPDATE each, for who holds the lock of the run's row."""

    def waiting_in(self, run_id: UUID) -> Self:
        """Return the steps of one run that wait, in their order."""
        return self.filter(run_id=run_id, status=StepStatus.WAITING).order_by("seq")

    def children_of(self, run_id: UUID) -> list[UUID]:
        """Return the child runs that the steps of one run wait for, in their order."""
        waiting = self.waiting_in(run_id).filter(kind="workflow")
        return list(waiting.values_list("child_id", flat=True))

    def child_of(self, pk: int) -> UUID:
        """Return the child run that one step waits for."""
        child: UUID = self.filter(pk=pk).values_list("child_id", flat=True).get()
        return child

    def over(self) -> Self:
        """Return, of steps that wait, those whose time is over."""
        return self.filter(wake_at__lte=DbNow())

    def begin_waiting(
        self,
        pk: int,
        *,
        attempt: int,
        until: float | datetime | None,
        default: Any = None,
        child: UUID | None = None,
    ) -> bool:
        """Let a claimed step wait for so many seconds, until a moment, or for as long as it takes.

        `default` is encoded: what stands for the result should the step fail and be optional.
        """
        moment = DbNow(until) if isinstance(until, int | float) else until
        claimed = self.filter(pk=pk, status=StepStatus.RUNNING, attempt=attempt)
        waiting = {"status": StepStatus.WAITING, "lease_until": None, "wake_at": moment}
        return claimed.update(**waiting, result_json=default, child_id=child) == 1

    def settle_waiting(
        self,
        pk: int,
        *,
        attempt: int,
        status: StepStatus,
        at: datetime,
        by_time: bool = False,
        **outcome: Any,
    ) -> bool:
        """Settle a step that waits; `by_time` only if its time is over, by the database's clock."""
        waiting = self.filter(pk=pk, status=StepStatus.WAITING, attempt=attempt)
        if by_time:
            waiting = waiting.filter(Q(wake_at__lte=DbNow()))
        return waiting.update(status=status, wake_at=None, ended_at=at, **outcome) == 1

    def lose_waiting(self, pk: int, *, reason: str) -> bool:
        """Note, once, that a race was decided against a step whose child run is at work; it waits for its end."""
        at_work = self.filter(pk=pk, kind="workflow", status=StepStatus.WAITING, reason="")
        return at_work.update(reason=reason) == 1

    def wait_on(self, pk: int, *, attempt: int, until: datetime | None) -> bool:
        """Let a step wait longer, or shorter, than it does."""
        return self.filter(pk=pk, status=StepStatus.WAITING, attempt=attempt).update(wake_at=until) == 1

    def wait_anew(self, pk: int, *, attempt: int, until: float | None) -> bool:
        """Let a step that is done wait once more, above the token seen: what it waited for does not hold any more."""
        done = self.filter(pk=pk, status=StepStatus.DONE, attempt=attempt)
        moment = None if until is None else DbNow(until)
        waiting = {"status": StepStatus.WAITING, "wake_at": moment, "result_json": None, "ended_at": None}
        return done.update(**waiting, attempt=F("attempt") + 1) == 1

    def wait_again(self, pk: int, *, attempt: int, delay: float) -> bool:
        """Count a failure of a step that waits, and let it be begun again after `delay` seconds."""
        waiting = self.filter(pk=pk, status=StepStatus.WAITING, attempt=attempt)
        begun = {"status": StepStatus.READY, "failures": F("failures") + 1, "wake_at": DbNow(delay)}
        return waiting.update(**begun) == 1
