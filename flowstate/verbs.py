"""Resolves the engine late: the verbs that declarations and rows offer, but the engine carries out.

Everything else imports upwards only. These few arrows would point back (an action starts a run, a run
cancels itself), so they are named here, in one place, and bound at call time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django.db import models

    from flowstate.models import Event, LineageEntry, Run
    from flowstate.models.undo_preview import StepPreview


def start(**request: Any) -> Run:
    """Start a run; the arguments and the errors are those of `flowstate.engine.start.run.start`."""
    from flowstate.engine.start.run import start as engine_start  # late: the engine sits above

    return engine_start(**request)


def deliver_event(
    name: str, key: Any, payload: Any = None, *, event_id: str | None = None, once: bool = False
) -> Event:
    """Deliver an event from outside to every run that waits for it, or with `once` to the oldest.

    An event that nobody waits for yet is kept for whoever does next. Two of one `event_id` count once.
    Raises `EventInvalid` and `InboxFull`; see `flowstate.engine.events.deliver_event`.
    """
    from flowstate.engine.events import deliver_event as engine_deliver  # late: the engine sits above

    return engine_deliver(name, key, payload, event_id=event_id, once=once)


def cancel(run: Run, *, user: Any, reason: str = "") -> None:
    """Cancel a live run; see `flowstate.engine.operate.verbs.cancel`."""
    from flowstate.engine.operate.verbs import cancel as engine_cancel  # late: the engine sits above

    engine_cancel(run, user=user, reason=reason)


def retry(run: Run, *, user: Any) -> Run:
    """Go on with a run that needs a person or ended badly; see `flowstate.engine.operate.verbs.retry`."""
    from flowstate.engine.operate.verbs import retry as engine_retry  # late: the engine sits above

    return engine_retry(run, user=user)


def waive(run: Run, *, user: Any, step: str, reason: str) -> None:
    """Leave as it is what could not be undone; see `flowstate.engine.operate.resolve.waive`."""
    from flowstate.engine.operate.resolve import waive as engine_waive  # late: the engine sits above

    engine_waive(run, user=user, step=step, reason=reason)


def force(run: Run, *, user: Any, step: str, reason: str = "") -> None:
    """Undo what could not be undone over foreign values; see `flowstate.engine.operate.resolve.force`."""
    from flowstate.engine.operate.resolve import force as engine_force  # late: the engine sits above

    engine_force(run, user=user, step=step, reason=reason)


def preview_undo(run: Run) -> list[StepPreview]:
    """Return what undoing a run would do now; see `flowstate.engine.undo.preview.preview_undo`."""
    from flowstate.engine.undo.preview import preview_undo as engine_preview  # late: the engine sits above

    return engine_preview(run)


def runs_of(row: models.Model, *, limit: int, visible_to: Any) -> list[LineageEntry]:
    """Return which runs and steps touched a row; see `flowstate.engine.do.lineage.runs_of`."""
    from flowstate.engine.do.lineage import runs_of as engine_runs_of  # late: the engine sits above

    return engine_runs_of(row, limit=limit, visible_to=visible_to)
