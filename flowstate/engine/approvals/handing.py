"""A decision passes to somebody else: one approval for good, or all that a person may decide, for a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import router, transaction

from flowstate.actions.audiences import user_key
from flowstate.engine.approvals.decide import asked_now, committed, held, locked, refuse, who_did
from flowstate.engine.approvals.judge import Voice, Why
from flowstate.engine.approvals.people import Asked, fresh_user, standing_in
from flowstate.engine.approvals.refusals import denied, over
from flowstate.engine.calls.hooks import announce
from flowstate.engine.carry.sweep import move_on
from flowstate.engine.execution import Execution
from flowstate.engine.new_run import label_of
from flowstate.engine.operate.authority import may_operate_all
from flowstate.engine.waits.opening import note
from flowstate.exceptions import FlowstateError
from flowstate.exceptions.approvals import DelegationInvalid, ReassignmentInvalid
from flowstate.models import (
    Approval,
    ApprovalApprover,
    ApprovalAudience,
    ApprovalDelegate,
    EventKind,
    InboxEntry,
)
from flowstate.models.clock import db_now
from flowstate.workflows.context import Context
from flowstate.workflows.functions import call

LONGEST_STANDING_IN = timedelta(days=3660)
"""Whoever is away for longer is not coming back; no time zone takes such a moment out of the calendar."""


def reassign(
    approval: Approval, *, user: Any, to: Any, instead_of: Any = None, reason: str = "", source: str = ""
) -> None:
    """Have `to` decide instead of the person, or of `instead_of`, where the person may operate all runs.

    `to` must be allowed: pass the rules, or be among whom `approver_users` names now; who may operate runs may
    name anybody but themselves for these. Raises `ApprovalDenied`, `AlreadyDecided`, `ApprovalExpired`, `ReassignmentInvalid`.
    """
    execution = held(approval)
    handing = _Handing(user=user, to=to, instead_of=instead_of, reason=reason.strip(), source=source[:200])
    refusal = committed(execution, partial(_reassign, execution, approval.pk, handing))
    if refusal is not None:
        raise refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class _Handing:
    """Who has whom decide instead of whom."""

    user: Any
    to: Any
    instead_of: Any
    reason: str
    source: str


def _reassign(execution: Execution, pk: int, handing: _Handing) -> FlowstateError | None:
    locked(execution)
    asked, ctx = asked_now(execution, pk)
    person, target = fresh_user(handing.user), fresh_user(handing.to)
    giver = person if handing.instead_of is None else fresh_user(handing.instead_of)
    step, source = asked.approval.step, handing.source
    error = (
        _may_not_hand_over(asked, person, giver)
        or _cannot_pass(asked, giver, target)
        or _cannot_take(asked, ctx, person, target)
    )
    if error is not None:
        refuse(execution, step, handing.user, error, source)
    else:
        _hand_over(execution, asked.approval, giver, target)
        words = f"{label_of(giver)} → {label_of(target)}{': ' if handing.reason else ''}{handing.reason}"
        who = who_did(person)
        note(execution, EventKind.APPROVAL_REASSIGNED, step, who=who, detail=words[:500], source=source)
        announce(execution, "approval_reassigned", step)
    if not execution.run.finished:
        move_on(execution)
    return error


def _may_not_hand_over(asked: Asked, person: Any, giver: Any) -> FlowstateError | None:
    """Return why the person may not hand this over; who asked for the run does not choose who decides."""
    if person is None or giver is None:
        return denied(asked.approval, person, Why.NO_PERSON)
    judged = asked.judged(person, standing_in(person, asked.using))
    if isinstance(judged, Why) and judged in (Why.INACTIVE, Why.OWN_REQUEST, Why.STANDS_IN_FOR_REQUESTER):
        return denied(asked.approval, person, judged)
    own = isinstance(judged, Voice) and giver.pk == person.pk and asked.allows(person)
    if not own and not may_operate_all(person):
        return denied(asked.approval, person, Why.NOT_ALLOWED)
    return over(asked.approval)


def _cannot_pass(asked: Asked, giver: Any, target: Any) -> ReassignmentInvalid | None:
    """Return why it cannot pass between these two, whatever the rules."""
    if not asked.allows(giver):
        return _invalid(asked, "who is to hand it over may not decide about it")
    if target is None or not target.is_active:
        return _invalid(asked, "nobody active was named")
    if target.pk == giver.pk:
        return _invalid(asked, "they have it already")
    if asked.approval.four_eyes and target.pk in asked.requesters:
        return _invalid(asked, "who asked for something does not approve it")
    if {giver.pk, target.pk} & {vote.voice_id for vote in asked.votes}:
        return _invalid(asked, "one of the two has voted")
    return None


def _cannot_take(asked: Asked, ctx: Context[Any], person: Any, target: Any) -> ReassignmentInvalid | None:
    """Return why this is nobody who is allowed to decide."""
    if target.pk in {vote.user_id for vote in asked.votes}:
        return _invalid(asked, "they have voted for somebody else")
    users = asked.step.approver_users
    if users is None:
        return None if asked.admits(target) else _invalid(asked, "the rules do not let them decide")
    if asked.allows(target):
        return _invalid(asked, "they are asked already")
    appointed = target.pk != person.pk and may_operate_all(person)
    if appointed or target.pk in {other.pk for other in call(users, ctx)}:
        return None
    return _invalid(asked, "approver_users does not name them")


def _invalid(asked: Asked, problem: str) -> ReassignmentInvalid:
    return ReassignmentInvalid(f"The approval {asked.approval} cannot be handed over like this: {problem}.")


def _hand_over(execution: Execution, approval: Approval, giver: Any, target: Any) -> None:
    using = execution.using
    approvers = ApprovalApprover.objects.using(using)
    approvers.hand_over(approval, of=giver, to=target, to_label=label_of(target))
    key = user_key(target.pk)
    audiences = ApprovalAudience.objects.using(using).named([key], personal=[key])
    InboxEntry.objects.using(using).enter(approval, audiences, exact=False)


# --- for a time ----------------------------------------------------------------------------------------


def delegate(
    *, user: Any, to: Any, until: datetime, since: datetime | None = None, delegator: Any = None
) -> ApprovalDelegate:
    """Let `to` decide whatever the person may, or `delegator`, from `since`, now at the earliest, until then.

    Returns the row.

    For somebody else it takes who may operate all runs. What the delegator has asked for, `to` does not decide
    meanwhile. Raises `DelegationInvalid`.
    """
    using = router.db_for_write(ApprovalDelegate)
    person, target = fresh_user(user), fresh_user(to)
    away = person if delegator is None else fresh_user(delegator)
    now = db_now(using)
    begins = since or now
    problem = _cannot_stand_in(person, away, target) or _no_time(begins, until, now)
    if problem:
        message = f"Nobody can stand in like this: {problem}."
        raise DelegationInvalid(message)
    return ApprovalDelegate.objects.using(using).create(
        delegator_id=away.pk,
        delegate_id=target.pk,
        since=max(begins, now),
        until=until,
        made_by_id=person.pk,
        made_by_label=label_of(person),
    )


def end_delegation(row: ApprovalDelegate, *, user: Any) -> bool:
    """Let nobody stand in any more; False where that is over already. Raises `DelegationInvalid` for who may not."""
    using = router.db_for_write(ApprovalDelegate)
    person = fresh_user(user)
    mine = person is not None and person.is_active and person.pk in (row.delegator_id, row.delegate_id)
    if not mine and (person is None or not may_operate_all(person)):
        message = "Only the two people, and who may operate all runs, end that one stands in for the other."
        raise DelegationInvalid(message)
    with transaction.atomic(using=using):
        return ApprovalDelegate.objects.using(using).end(row.pk)


def _cannot_stand_in(person: Any, away: Any, target: Any) -> str:
    if person is None or not person.is_active or away is None:
        return "a person says so, pass user="
    if away.pk != person.pk and not may_operate_all(person):
        return "for others only who may operate all runs says so"
    if away.pk != person.pk and target is not None and target.pk == person.pk:
        return "nobody appoints themselves"
    if target is None or not target.is_active:
        return "nobody active was named"
    return "nobody stands in for themselves" if target.pk == away.pk else ""


def _no_time(begins: datetime, until: datetime, now: datetime) -> str:
    if begins.tzinfo is None or until.tzinfo is None:
        return "the times have no time zone, take django.utils.timezone.now()"
    if until - now > LONGEST_STANDING_IN:
        return f"it would hold for more than {LONGEST_STANDING_IN.days} days"
    return "" if until > max(begins, now) else "it would be over before it begins"
