"""The numbers above the list of runs: each by an index, counted up to a limit, and a link to what it counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import Count, Q
from django.utils.translation import gettext

from flowstate.admin import display, links
from flowstate.admin.run_list.kinds import (
    ENDED_BADLY,
    WAITS,
    Standing,
    ended_today,
    live,
    needing_a_person,
)
from flowstate.admin.run_list.window import LONGEST_LOOK
from flowstate.models import Run, RunStatus
from flowstate.models.clock import DbNow, host_now

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite
    from django.db.models import QuerySet
    from django.http import HttpRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """One number; `tone` is that of a badge, where it is worth one."""

    label: str
    text: str
    meaning: str
    tone: str
    url: str


def numbers_of(site: AdminSite, request: HttpRequest) -> list[Number]:
    """Return the numbers of the runs that this user may see. Four queries, whatever there is."""
    seen = Run.objects.visible_to(request.user)
    going = _of_live(seen)
    attention = needing_a_person(seen)[:LONGEST_LOOK].count()
    failed, ended = _of_today(seen)
    overdue = _longest_overdue(seen)
    url = links.list_url(site, Run)

    def number(standing: Standing, text: str, meaning: str, tone: str = "", label: str = "") -> Number:
        return Number(
            label=label or str(standing.label),
            text=text,
            meaning=meaning,
            tone=tone,
            url=f"{url}?status__exact={standing.value}",
        )

    return [
        number(
            Standing.RUNNING,
            _counted(going["running"]),
            gettext("Runs that go on; those that wait are among them."),
        ),
        number(
            Standing.WAITING,
            _counted(going["waiting"]),
            gettext("Live runs that wait for a time, an event or a person."),
        ),
        number(
            Standing.ATTENTION,
            _counted(attention),
            gettext("Runs that a person must act on, and those above them."),
            "alarm" if attention else "",
        ),
        number(
            Standing.FAILED_TODAY,
            f"{failed}+" if ended >= LONGEST_LOOK else str(failed),
            gettext("Runs that have failed since midnight, undone or not."),
            "bad" if failed else "",
        ),
        number(
            Standing.STUCK,
            overdue,
            gettext("How long the run that has waited longest for a worker is due."),
            label=gettext("Oldest waiting for a worker"),
        ),
    ]


def _counted(count: int) -> str:
    return f"{count}+" if count >= LONGEST_LOOK else str(count)


def _of_live(seen: QuerySet[Run]) -> dict[str, int]:
    runs: Any = live(seen)[:LONGEST_LOOK]
    counted: dict[str, int] = runs.aggregate(
        running=Count("pk", filter=Q(status=RunStatus.RUNNING)), waiting=Count("pk", filter=WAITS)
    )
    return counted


def _of_today(seen: QuerySet[Run]) -> tuple[int, int]:
    """Return how many have failed today, and how many runs were looked at for it."""
    runs: Any = ended_today(seen)[:LONGEST_LOOK]
    counted = runs.aggregate(failed=Count("pk", filter=Q(status__in=ENDED_BADLY)), ended=Count("pk"))
    return counted["failed"], counted["ended"]


def _longest_overdue(seen: QuerySet[Run]) -> str:
    due = seen.filter(wake_at__lte=DbNow()).order_by("wake_at")
    first = due.values_list("wake_at", flat=True).first()
    return gettext("none") if first is None else display.duration((host_now() - first).total_seconds())
