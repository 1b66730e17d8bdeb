"""Steps that people decide: how one begins to wait, what its time brings, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from flowstate.engine.calls.contexts import context_of
from flowstate.engine.calls.hooks import announce
from flowstate.engine.execution import Execution
from flowstate.engine.waits.kind import Verdict, Wait, WaitKind
from flowstate.engine.waits.opening import first_moment, invite, note, open_approval, plan_opening
from flowstate.engine.waits.shown import values_of
from flowstate.exceptions import StepError
from flowstate.exceptions.approvals import ApprovalRejected, ApprovalTimeout
from flowstate.models import Approval, ApprovalStatus, Ballot, EventKind, InboxEntry, StepRun, Vote
from flowstate.models.clock import db_now
from flowstate.models.values import encode
from flowstate.workflows.approvals import ApprovalStep
from flowstate.workflows.context import Context


class ApprovalKind(WaitKind):
    """Waits for people. Their votes are rows of their own; the last one settles the step in its own commit."""

    def begin(self, execution: Execution, row: StepRun, step: ApprovalStep, ctx: Context[Any]) -> Wait | None:
        """Return the wait for what the step asks now. Raises `ApproversMissing`."""
        opening = plan_opening(execution, step, ctx)

        def write() -> None:
            open_approval(execution, execution.rows[row.name], step, opening)

        return Wait(until=first_moment(step), write=write)

    def arrived(self, execution: Execution, rows: Sequence[StepRun]) -> Mapping[str, Verdict]:
        """Return what came of the approvals that are decided."""
        found = Approval.objects.using(execution.using).of_steps(rows).decided()
        by_key = {row.pk: row for row in rows}
        return {
            approval.step: verdict_of(execution, by_key[approval.step_run_id], approval) for approval in found
        }

    def time_over(self, execution: Execution, row: StepRun, step: ApprovalStep) -> Verdict:
        """Return that it takes the run's lock to find out: people are reminded, others asked, or it has expired."""
        return Verdict(find_out=partial(_time_over, execution, row, step))

    def forget(self, rows: Sequence[StepRun], using: str) -> None:
        """Cancel what is pending, and take it out of everybody's inbox."""
        keys = [row.pk for row in rows]
        approvals = Approval.objects.using(using)
        approvals.cancel(keys)
        InboxEntry.objects.using(using).leave(approvals.filter(step_run__in=keys))


def verdict_of(execution: Execution, row: StepRun, approval: Approval) -> Verdict:
    """Return what a decided approval means for its step."""
    step = execution.step(row.name)
    if not isinstance(step, ApprovalStep):
        return Verdict()
    votes = Vote.objects.using(execution.using).counting(approval)
    if approval.status == ApprovalStatus.CANCELLED:
        return Verdict(
            error=ApprovalRejected(f"Step {row.name} was not decided: its approval was cancelled.")
        )
    by_time = approval.status == ApprovalStatus.EXPIRED
    approved = step.on_expiry == "approve" if by_time else approval.status == ApprovalStatus.APPROVED
    if not approved and step.on_reject == "fail":
        return Verdict(error=_too_late(step) if by_time else _rejected(step, votes))
    return Verdict(columns={"result_json": _result(approval, votes, approved=approved)})


def next_moment(approval: Approval, step: ApprovalStep, now: datetime) -> datetime | None:
    """Return when people are to be reminded next, after now; None where they are not any more."""
    if approval.expires_at is None:
        return None
    moments = [approval.expires_at - timedelta(seconds=before) for before in step.reminders]
    return min((moment for moment in moments if moment > now), default=None)


def _time_over(execution: Execution, row: StepRun, step: ApprovalStep) -> Verdict | None:
    approvals, now = Approval.objects.using(execution.using), db_now(execution.using)
    approval = approvals.of_steps([row]).pending().first()
    if approval is None:
        return None
    if approval.expires_at is not None and approval.expires_at <= now:
        if step.on_expiry == "escalate":
            _escalate(execution, row, step, approval)
        elif approvals.expire(approval.pk):
            note(execution, EventKind.APPROVAL_EXPIRED, row.name, detail=step.on_expiry)
            announce(execution, "approval_expired", row.name)
            return verdict_of(execution, row, approvals.get(pk=approval.pk))
        return None
    if approval.remind_at is not None and approval.remind_at <= now:
        then = next_moment(approval, step, now)
        if approvals.remind(approval, then=then):
            approval.remind_at = then
            if step.approvers:  # the row may name others by now
                invite(execution, approval, step.approvers, context_of(execution, row))
            note(execution, EventKind.APPROVAL_REMINDED, row.name)
            announce(execution, "approval_reminded", row.name)
    _wait_until(execution, row, approval.remind_at or approval.expires_at)
    return None


def _escalate(execution: Execution, row: StepRun, step: ApprovalStep, approval: Approval) -> None:
    """Ask others too, for as long as it takes."""
    if not Approval.objects.using(execution.using).escalate(approval.pk):
        return
    invite(execution, approval, step.escalate_to, context_of(execution, row))
    _wait_until(execution, row, None)
    note(execution, EventKind.APPROVAL_ESCALATED, row.name)
    announce(execution, "approval_escalated", row.name)


def _wait_until(execution: Execution, row: StepRun, moment: datetime | None) -> None:
    if execution.step_runs.wait_on(row.pk, attempt=row.attempt, until=moment):
        row.reflect(wake_at=moment)


def _too_late(step: ApprovalStep) -> StepError:
    return ApprovalTimeout(f"Step {step.name} was not approved within {step.expires:g} seconds.")


def _rejected(step: ApprovalStep, votes: Sequence[Vote]) -> StepError:
    against = next((vote for vote in votes if vote.ballot == Ballot.REJECT), None)
    if against is None:
        return ApprovalRejected(f"Step {step.name} was rejected.")
    return ApprovalRejected(f"{against.user_label} has rejected step {step.name}: {against.comment}")


def _result(approval: Approval, votes: Sequence[Vote], *, approved: bool) -> dict[str, Any]:
    """Return what is handed on, encoded: what was approved, by whom, and what they added."""
    last = votes[-1] if votes and approval.status != ApprovalStatus.EXPIRED else None
    return {
        "approved": approved,
        "expired": approval.status == ApprovalStatus.EXPIRED,
        "shown": values_of(approval.shown_json),
        "form": None if last is None else last.form_json,
        "who": approval.decided_by_label,
        "user": None if last is None else _plain(last.user_id),
        "comment": "" if last is None else last.comment,
        "at": _plain(approval.decided_at),
        "decisions": [_decision(vote) for vote in votes],
    }


def _decision(vote: Vote) -> dict[str, Any]:
    return {
        "who": vote.user_label,
        "user": _plain(vote.user_id),
        "for": vote.voice_label,
        "vote": str(vote.ballot),
        "comment": vote.comment,
        "form": vote.form_json,
        "at": _plain(vote.at),
    }


def _plain(value: Any) -> Any:
    return encode(value, "A decision")
