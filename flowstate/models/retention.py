"""How long ended runs are kept: for each status, and for each workflow or action."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q

from flowstate.models.statuses import ENDED

_STATUSES = [status.value for status in ENDED]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Seconds for which ended runs are kept, by status; what is not named is kept for ever."""

    statuses: Mapping[str, float | None] = field(default_factory=dict)
    workflows: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    """By the name of a workflow or an action; the first that fits a run counts before `statuses`."""

    def over(self, now: datetime) -> Q:
        """Return the condition of the runs that need not be kept any longer."""
        found, known = Q(pk__in=()), Q()
        for name, kept in self.workflows.items():
            whose = Q(action=name) | Q(workflow=name)
            found |= whose & known & _over({**self.statuses, **kept}, now)
            known &= ~whose
        return found | (known & _over(self.statuses, now))

    def latest(self, now: datetime) -> datetime | None:
        """Return the moment since which none of the runs that have ended is over; None if all are kept."""
        every = [self.statuses, *({**self.statuses, **kept} for kept in self.workflows.values())]
        shortest = [seconds for kept in every for seconds in kept.values() if seconds is not None]
        return now - timedelta(seconds=min(shortest)) if shortest else None


def retention_of(given: Any) -> Retention:
    """Return what FLOWSTATE["RETENTION"] says. Raises ValueError, in words for who wrote it.

    It is one duration, or a dict of them by status, in which "workflows" may be a dict by the names of workflows
    and actions, each with a duration or a dict by status. A duration is seconds, a timedelta, or None: for ever.
    """
    if not isinstance(given, Mapping):
        return Retention(statuses=_by_status(given, "it"))
    named = given.get("workflows", {})
    if not isinstance(named, Mapping) or not all(isinstance(name, str) for name in named):
        message = f"'workflows' is a dict by the names of workflows and actions, not {named!r}"
        raise ValueError(message)
    statuses = {status: kept for status, kept in given.items() if status != "workflows"}
    return Retention(
        statuses=_by_status(statuses, "it"),
        workflows={name: _by_status(kept, name) for name, kept in named.items()},
    )


def _by_status(given: Any, whose: str) -> dict[str, float | None]:
    by_status = given if isinstance(given, Mapping) else dict.fromkeys(_STATUSES, given)
    return dict(_checked(by_status, whose))


def _checked(given: Mapping[Any, Any], whose: str) -> Iterator[tuple[str, float | None]]:
    for status, kept in given.items():
        if status not in _STATUSES:
            message = f"{whose} names {status!r}; runs end as {', '.join(_STATUSES)}"
            raise ValueError(message)
        seconds = kept.total_seconds() if isinstance(kept, timedelta) else kept
        wrong = isinstance(seconds, bool) or not isinstance(seconds, int | float | None)
        if wrong or (seconds is not None and seconds < 0):
            message = (
                f"{whose} keeps {status} runs for {kept!r}, which is no time: seconds, a timedelta, or None"
            )
            raise ValueError(message)
        yield str(status), seconds


def _over(kept: Mapping[str, float | None], now: datetime) -> Q:
    found = Q(pk__in=())
    for status, seconds in kept.items():
        if seconds is not None:
            found |= Q(status=status, ended_at__lt=now - timedelta(seconds=seconds))
    return found
