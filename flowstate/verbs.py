"""Resolves the engine late: the verbs that declarations and rows offer, but the engine carries out.

Everything else imports upwards only. These few arrows would point back (an action starts a run, a run
cancels itself), so they are named here, in one place, and bound at call time.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from django.db import models

    from flowstate.engine.approvals.inbox import InboxPage
    from flowstate.models import Approval, ApprovalDelegate, Event, LineageEntry, Run
    from flowstate.models.undo_preview import StepPreview


def start(**request: Any) -> Run:
    """Start a run; the arguments and the errors are those of `flowstate.engine.start.run.start`."""
    from flowstate.engine.start.run import start as engine_start  # late: the engine sits above

    return engine_start(**request)


def deliver_event(
    name: str,
    key: Any,
    payload: Any = None,
    *,
    event_id: str | None = None,
    once: bool = False,
    sensitive: bool | Collection[str] = False,
) -> Event:
    """Deliver an event from outside to every run that waits for it, or with `once` to the oldest.

    An event that nobody waits for yet is kept for whoever does next. Two of one `event_id` count once. `sensitive`,
    True or keys of the payload, is stored encrypted, as is what an `EventStep` for it calls so.
    Raises `EventInvalid` and `InboxFull`; see `flowstate.engine.events.deliver_event`.
    """
    from flowstate.engine.events import deliver_event as engine_deliver  # late: the engine sits above

    return engine_deliver(name, key, payload, event_id=event_id, once=once, sensitive=sensitive)


def cancel(run: Run, *, user: Any, reason: str = "") -> None:
    """Cancel a live run; see `flowstate.engine.operate.verbs.cancel`."""
    from flowstate.engine.operate.verbs import cancel as engine_cancel  # late: the engine sits above

    engine_cancel(run, user=user, reason=reason)


def retry(run: Run, *, user: Any, from_step: str | None = None) -> Run:
    """Go on with a run that needs a person or ended badly; see `flowstate.engine.operate.verbs.retry`."""
    from flowstate.engine.operate.verbs import retry as engine_retry  # late: the engine sits above

    return engine_retry(run, user=user, from_step=from_step)


def resume(run: Run, *, user: Any) -> None:
    """Have a run go on now; see `flowstate.engine.operate.resume.resume`."""
    from flowstate.engine.operate.resume import resume as engine_resume  # late: the engine sits above

    engine_resume(run, user=user)


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


def approve(approval: Approval, **said: Any) -> None:
    """Vote for an approval; the arguments and the errors are those of `flowstate.engine.approvals.decide.approve`."""
    from flowstate.engine.approvals.decide import approve as engine_approve  # late: the engine sits above

    engine_approve(approval, **said)


def reject(approval: Approval, **said: Any) -> None:
    """Reject an approval; see `flowstate.engine.approvals.decide.reject`."""
    from flowstate.engine.approvals.decide import reject as engine_reject  # late: the engine sits above

    engine_reject(approval, **said)


def reassign(approval: Approval, **to: Any) -> None:
    """Hand a decision on; see `flowstate.engine.approvals.handing.reassign`."""
    from flowstate.engine.approvals.handing import reassign as engine_reassign  # late: the engine sits above

    engine_reassign(approval, **to)


def may_decide(approval: Approval, *, user: Any) -> bool:
    """Return whether the person may vote now; see `flowstate.engine.approvals.inbox.may_decide`."""
    from flowstate.engine.approvals.inbox import may_decide as engine_may  # late: the engine sits above

    return engine_may(user, approval)


def inbox_of(user: Any, *, after: int = 0, limit: int = 50) -> InboxPage:
    """Return a page of what a person may decide now, the longest waiting first: `approvals`, and `after` for the next.

    `count_text` says how many wait, as "7" or "50+". See `flowstate.engine.approvals.inbox.inbox_of`.
    """
    from flowstate.engine.approvals.inbox import inbox_of as engine_inbox  # late: the engine sits above

    return engine_inbox(user, after=after, limit=limit)


def delegate(
    *, user: Any, to: Any, until: datetime, since: datetime | None = None, delegator: Any = None
) -> ApprovalDelegate:
    """Let `to` decide whatever the person may, from `since`, or now, until then; return the row.

    Who may operate all runs says so for others, as `delegator`. Raises `DelegationInvalid`.
    """
    from flowstate.engine.approvals.handing import delegate as engine_delegate  # late: the engine sits above

    return engine_delegate(user=user, to=to, until=until, since=since, delegator=delegator)


def end_delegation(row: ApprovalDelegate, *, user: Any) -> bool:
    """Let nobody stand in any more; False where that is over already. Raises `DelegationInvalid`."""
    from flowstate.engine.approvals.handing import end_delegation as engine_end  # late: the engine sits above

    return engine_end(row, user=user)
