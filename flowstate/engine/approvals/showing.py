"""Whether what is shown is still so: a decision is about what was seen, and nothing else."""

from __future__ import annotations

from typing import Any

from django.db import router

from flowstate.engine.approvals.people import Asked
from flowstate.engine.execution import Execution
from flowstate.engine.new_run import label_of
from flowstate.engine.waits.opening import invite, note
from flowstate.engine.waits.shown import shown_now, texts_of
from flowstate.exceptions import EntityGone
from flowstate.exceptions.approvals import ApprovalChanged
from flowstate.models import Approval, EventKind, Run, RunEvent
from flowstate.workflows.context import Context


def refuse_changed(execution: Execution, asked: Asked, ctx: Context[Any], *, seen: str, needed: bool) -> None:
    """Raise `ApprovalChanged` unless there is now what was shown, and what was shown is what was `seen`.

    Then the approval shows what there is, and who has voted is asked again, where the step says so. Raises
    `EntityGone` where the row is gone and `needed`: a rejection does without it.
    """
    approval, step = asked.approval, asked.step
    try:
        now = shown_now(step, ctx)
    except EntityGone:
        if needed:
            raise
        return
    old = _what_was_seen(execution, approval, seen)
    if now.digest != approval.digest:
        _show(execution, asked, now.items, now.digest)
        if step.approvers:  # the row may name others by now
            invite(execution, approval, step.approvers, ctx)
    elif seen in ("", approval.digest):
        return
    message = (
        f"What {approval} is about has changed since it was shown; nothing was decided. Look at it as it is now, and "
        "decide again."
    )
    raise ApprovalChanged(message, old, texts_of(now.items), now.digest)


def note_view(approval: Approval, *, user: Any, source: str = "") -> None:
    """Write down, once for each person, that they have looked at it: not before they may."""
    using = router.db_for_write(Run)
    history = RunEvent.objects.using(using)
    facts = {"kind": EventKind.APPROVAL_VIEWED, "step": approval.step, "actor_id": user.pk}
    for known in history.filter(run=approval.run_id, **facts).values_list("data", flat=True):
        if known.get("approval") == approval.pk and known.get("digest") == approval.digest:
            return
    data = {"approval": approval.pk, "digest": approval.digest, "source": source[:200]}
    history.record(Run(pk=approval.run_id), actor_label=label_of(user), data=data, **facts)


def _show(execution: Execution, asked: Asked, items: list[Any], digest: str) -> None:
    approval, again = asked.approval, asked.step.ask_again and bool(asked.votes)
    approvals = Approval.objects.using(execution.using)
    if not approvals.show(approval.pk, seen=approval.digest, shown=items, digest=digest, anew=again):
        return
    note(
        execution,
        EventKind.APPROVAL_CHANGED,
        approval.step,
        detail="Who had voted is asked again." if again else "",
        digest=approval.digest,
        old=texts_of(approval.shown_json),
        new=texts_of(items),
    )


def _what_was_seen(execution: Execution, approval: Approval, seen: str) -> list[dict[str, str]]:
    """Return what the digest stands for, now or earlier; nothing where nobody knows."""
    if seen in ("", approval.digest):
        return texts_of(approval.shown_json)
    changes = RunEvent.objects.using(execution.using).filter(
        run=approval.run_id, step=approval.step, kind=EventKind.APPROVAL_CHANGED
    )
    for data in changes.values_list("data", flat=True):
        if data.get("digest") == seen:
            return list(data["old"])
    return []
