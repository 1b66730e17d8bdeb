"""Where runs stand, as operators ask: the statuses, and those that are stuck, wait, or failed today. All by an index."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import models
from django.db.models import Q
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _

from flowstate.admin.run_list.window import LONGEST_LOOK
from flowstate.models import RunStatus, WaitingFor
from flowstate.models.clock import DbNow, host_now
from flowstate.models.statuses import LIVE

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from flowstate.models import Run

OVERDUE = 60.0
"""Seconds for which a run may be due before it counts as stuck: workers, or a sweeper, have looked at it by then."""

ENDED_BADLY = (RunStatus.FAILED, RunStatus.COMPENSATED)


class Standing(models.TextChoices):
    """What the list can be filtered by, beside the statuses."""

    ATTENTION = RunStatus.ATTENTION.value, _("needs attention")
    STUCK = "stuck", _("stuck")
    WAITING = "waiting", _("waiting")
    RUNNING = RunStatus.RUNNING.value, _("running")
    COMPENSATING = RunStatus.COMPENSATING.value, _("undoing")
    FAILED_TODAY = "failed_today", _("failed today")
    FAILED = RunStatus.FAILED.value, _("failed")
    COMPENSATED = RunStatus.COMPENSATED.value, _("undone")
    CANCELLED = RunStatus.CANCELLED.value, _("cancelled")
    SUCCEEDED = RunStatus.SUCCEEDED.value, _("succeeded")

    @property
    def by_index(self) -> bool:
        """Whether an index leads to these, so that all of them are found however old they are."""
        return self in _ROWS or self.value in LIVE

    def of(self, runs: QuerySet[Run]) -> QuerySet[Run]:
        """Return those of the runs that stand so; one query more where an index leads to them."""
        if self in _ROWS:
            return runs.filter(pk__in=_keys(_ROWS[self](runs)))
        if self.value in LIVE:
            return runs.filter(pk__in=_keys(live(runs).filter(status=self.value)))
        return runs.filter(status=self.value)


def live(runs: QuerySet[Run]) -> QuerySet[Run]:
    """Return the runs that have not ended, by the index of wake-ups, the next first."""
    return runs.filter(wake_at__isnull=False).order_by("wake_at")


def needing_a_person(runs: QuerySet[Run]) -> QuerySet[Run]:
    """Return the runs that a person must act on, and those above them."""
    rows: Any = runs
    attention: QuerySet[Run] = rows.attention().order_by("wake_at")
    return attention


def stuck(runs: QuerySet[Run]) -> QuerySet[Run]:
    """Return the runs that are due for so long that nobody seems to look."""
    return runs.filter(wake_at__lte=DbNow(-OVERDUE)).order_by("wake_at")


def waiting(runs: QuerySet[Run]) -> QuerySet[Run]:
    """Return the live runs that wait for a time, an event or a person, those in attention not among them."""
    return live(runs).filter(WAITS)


def ended_today(runs: QuerySet[Run]) -> QuerySet[Run]:
    """Return the runs that have ended since midnight, as the reader's clock has it, the latest first."""
    return runs.filter(ended_at__gte=_midnight()).order_by("-ended_at")


def failed_today(runs: QuerySet[Run]) -> QuerySet[Run]:
    """Return those that have failed since midnight, undone or not."""
    return ended_today(runs).filter(status__in=ENDED_BADLY)


WAITS = ~Q(waiting_for=WaitingFor.NOTHING) & ~Q(status=RunStatus.ATTENTION)
_ROWS: dict[Any, Any] = {
    Standing.ATTENTION: needing_a_person,
    Standing.STUCK: stuck,
    Standing.WAITING: waiting,
    Standing.FAILED_TODAY: failed_today,
}


def _keys(runs: QuerySet[Run]) -> list[UUID]:
    # Read first: the order of the page would have the database walk through all runs for these.
    return list(runs.values_list("pk", flat=True)[:LONGEST_LOOK])


def _midnight() -> datetime:
    return localtime(host_now()).replace(hour=0, minute=0, second=0, microsecond=0)
