"""What happened in a run, in the order of time: the rows and the history read together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowstate.models.statuses import Compensation, StepStatus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from flowstate.models.run import Run
    from flowstate.models.run_event import RunEvent
    from flowstate.models.step_run import StepRun


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEntry:
    """One thing that happened."""

    at: datetime
    what: str
    """"started", a step's or a compensation's status, a kind of run event, or the run's end."""
    step: str = ""
    attempt: int | None = None
    who: str = ""
    detail: str = ""


def timeline_of(run: Run) -> list[TimelineEntry]:
    """Return the entries of a run, oldest first. Two queries where steps and events are not prefetched."""
    entries = [TimelineEntry(at=run.started_at, what="started", who=run.requested_by_label)]
    for row in run.steps:
        entries.extend(_of_step(row))
    entries.extend(_of_event(event) for event in run.events.all())
    if run.ended_at is not None:
        entries.append(TimelineEntry(at=run.ended_at, what=run.status, detail=_detail(run.error)))
    return sorted(entries, key=lambda entry: entry.at)


def _of_step(row: StepRun) -> Iterator[TimelineEntry]:
    if row.ended_at is not None and row.status != StepStatus.CANCELLED:
        yield TimelineEntry(
            at=row.ended_at,
            what=row.status,
            step=row.name,
            attempt=row.failures + 1 if row.status == StepStatus.DONE else row.failures or None,
            detail=row.reason or _detail(row.error),
        )
    if row.compensation_ended_at is not None and row.compensation != Compensation.NONE:
        waived = (
            row.compensation == Compensation.WAIVED
        )  # by whom and why is an event; here, what it failed of
        yield TimelineEntry(
            at=row.compensation_ended_at,
            what=f"compensation {Compensation.FAILED if waived else row.compensation}",
            step=row.name,
            detail=_detail(row.compensation_error),
        )


def _of_event(event: RunEvent) -> TimelineEntry:
    return TimelineEntry(
        at=event.at,
        what=event.kind,
        step=event.step,
        attempt=event.attempt,
        who=event.actor_label,
        detail=str(event.data.get("detail", "")),
    )


def _detail(error: dict[str, Any] | None) -> str:
    return str((error or {}).get("detail", ""))
