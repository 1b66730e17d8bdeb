"""What stands against a vote, in words that say what to do."""

from __future__ import annotations

from typing import Any

from flowstate.engine.approvals.judge import ANSWERED, Voice, Why
from flowstate.engine.approvals.people import Asked
from flowstate.engine.calls.inputs import validated
from flowstate.exceptions import FlowstateError, InputInvalid, ValueNotSerializable
from flowstate.exceptions.approvals import AlreadyDecided, AlreadyVoted, ApprovalDenied, ApprovalExpired
from flowstate.models import Approval, ApprovalStatus
from flowstate.models.values import encode
from flowstate.workflows.approvals import ApprovalStep

_WORDS = {
    Why.NO_PERSON: "people decide it: pass user=",
    Why.INACTIVE: "the account is not active",
    Why.OWN_REQUEST: "who asked for something does not approve it",
    Why.STANDS_IN_FOR_REQUESTER: "who stands in for the one that asked does not approve it",
    Why.NOT_ALLOWED: "it is for others to decide",
}


def stands_against(asked: Asked, user: Any, judged: Voice | Why) -> FlowstateError | None:
    """Return why the person cannot decide: they may not, it is over, or they have voted; None where they can.

    Who may not is told nothing else.
    """
    if isinstance(judged, Why) and judged not in ANSWERED:
        return denied(asked.approval, user, judged)
    ended = over(asked.approval)
    if ended is not None:
        return ended
    return None if isinstance(judged, Voice) else _answered(asked.approval, judged)


def denied(approval: Approval, user: Any, why: Why) -> ApprovalDenied:
    """Return the error of who may not decide."""
    key = getattr(user, "pk", None)
    who = "Nobody" if key is None else f"User {key}"
    return ApprovalDenied(f"{who} may not decide about {approval}: {_WORDS[why]}.", str(why))


def over(approval: Approval) -> FlowstateError | None:
    """Return why nobody can decide it any more; None while it is pending."""
    match approval.status:
        case ApprovalStatus.PENDING:
            return None
        case ApprovalStatus.EXPIRED:
            return ApprovalExpired(f"It is too late to decide about {approval}: it has expired.")
        case ApprovalStatus.CANCELLED:
            message = f"Nobody needs to decide about {approval} any more: it was cancelled."
            return AlreadyDecided(message, approval.status)
    by = f" by {approval.decided_by_label}" if approval.decided_by_label else ""
    message = f"The approval {approval} is decided: it was {approval.status}{by}, and that stands."
    return AlreadyDecided(message, approval.status)


def form_problem(step: ApprovalStep, form: Any, user: Any) -> tuple[Any, FlowstateError | None]:
    """Return what the person has filled in, encoded, or what is wrong with it."""
    if step.form is None and not form:
        return None, None
    what = f"The form of {step.name}"
    try:
        return encode(validated(step.form, form, what=what, context={"user": user}), what), None
    except ValueNotSerializable as err:
        return None, InputInvalid(str(err), {"non_field_errors": [str(err)]})
    except InputInvalid as err:
        return None, err


def _answered(approval: Approval, why: Why) -> AlreadyVoted:
    if why == Why.VOTED:
        return AlreadyVoted(f"You have voted about {approval}; a vote is not taken back.")
    return AlreadyVoted(f"Somebody who stands in for you has voted about {approval}.")
