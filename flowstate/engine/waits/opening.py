"""How people are asked: whom, about what, until when; and what is written of that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flowstate.actions.audiences import Audience, audience_of, is_of_person, user_key
from flowstate.actions.rules import Rule, all_of
from flowstate.engine.calls.hooks import announce
from flowstate.engine.execution import Execution
from flowstate.engine.waits.requesters import requesters_of
from flowstate.engine.waits.shown import Shown, shown_now, texts_of
from flowstate.exceptions import EntityGone
from flowstate.exceptions.approvals import ApproversMissing
from flowstate.models import (
    Approval,
    ApprovalApprover,
    ApprovalAudience,
    EventKind,
    InboxEntry,
    RunEvent,
    StepRun,
)
from flowstate.models.clock import DbNow
from flowstate.workflows.approvals import MOST_APPROVERS, ApprovalStep
from flowstate.workflows.context import Context
from flowstate.workflows.functions import call


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What is about to be asked."""

    shown: Shown
    quorum: int
    people: tuple[Any, ...]
    """Who is asked by name; empty where rules say who may decide."""
    audiences: Sequence[ApprovalAudience]
    exact: bool


def plan_opening(
    execution: Execution, step: ApprovalStep, ctx: Context[Any], people: Sequence[Any] | None = None
) -> Opening:
    """Return what to ask now; `people` are those who were asked before, where the step's function is not to be.

    Calls the author's functions. Raises what they raise, and `ApproversMissing`.
    """
    shown = shown_now(step, ctx)
    if step.approver_users is None:
        asked: tuple[Any, ...] = ()
        audience = audience_of(rule_of(step.approvers), entity_of(ctx))
    else:
        asked = _people(execution, step, ctx) if people is None else tuple(people)
        audience = Audience(keys=frozenset(user_key(person.pk) for person in asked), exact=True)
    quorum = len(asked) if step.quorum == "all" else step.quorum
    if step.approver_users is not None and len(asked) < max(quorum, 1):
        message = (
            f"Step {step.name} needs {max(quorum, 1)} people to approve, and approver_users gave {len(asked)} who may: "
            "active, and not who asked."
        )
        raise ApproversMissing(message)
    audiences = named(audience, execution.using)
    return Opening(shown=shown, quorum=quorum, people=asked, audiences=audiences, exact=audience.exact)


def open_approval(execution: Execution, row: StepRun, step: ApprovalStep, opening: Opening) -> Approval:
    """Write what is asked, and the history of it; the caller holds the lock of the run's row."""
    using, first = execution.using, first_moment(step)
    approval = Approval.objects.using(using).create(
        run_id=execution.run.pk,
        step_run_id=row.pk,
        step=row.name,
        attempt=row.attempt,
        quorum=opening.quorum,
        four_eyes=step.four_eyes,
        shown_json=opening.shown.items,
        digest=opening.shown.digest,
        expires_at=None if step.expires is None else DbNow(step.expires),
        remind_at=DbNow(first) if step.reminders and first is not None else None,
    )
    ApprovalApprover.objects.using(using).bulk_create(
        ApprovalApprover(approval=approval, user_id=person.pk, user_label=person.get_username()[:150])
        for person in opening.people
    )
    InboxEntry.objects.using(using).enter(approval, opening.audiences, exact=opening.exact)
    note(execution, EventKind.APPROVAL_REQUESTED, row.name, shown=texts_of(opening.shown.items))
    announce(execution, "approval_requested", row.name)
    return approval


def note(
    execution: Execution, kind: EventKind, step: str, who: dict[str, Any] | None = None, **facts: Any
) -> None:
    """Put into the run's history what happened to an approval; `who` are the columns of the person."""
    told = {name: storable(value) for name, value in facts.items() if value not in ("", None)}
    history = RunEvent.objects.using(execution.using)
    history.record(execution.run, kind, step=step, data=told, **(who or {}))


def storable(value: Any) -> Any:
    """Return it without NUL characters where it is text, which PostgreSQL cannot store; it is for people to read."""
    return value.replace("\x00", "\ufffd") if isinstance(value, str) else value


def named(audience: Audience, using: str) -> Sequence[ApprovalAudience]:
    """Return the rows of the words for people."""
    personal = {key for key in audience.keys if is_of_person(key)}
    return ApprovalAudience.objects.using(using).named(audience.keys, personal=personal)


def invite(
    execution: Execution,
    approval: Approval,
    rules: Sequence[Callable[[Any, Any], object]],
    ctx: Context[Any],
) -> None:
    """Have the approval found by those whom the rules are for as the row is now; nobody loses sight of it."""
    audience = audience_of(rule_of(rules), entity_of(ctx))
    entries = InboxEntry.objects.using(execution.using)
    entries.enter(approval, named(audience, execution.using), exact=audience.exact)


def first_moment(step: ApprovalStep) -> float | None:
    """Return the seconds until somebody must look at what was asked: to remind people, or since it expires."""
    if step.expires is None:
        return None
    return step.expires - step.reminders[0] if step.reminders else step.expires


def rule_of(rules: Sequence[Callable[[Any, Any], object]]) -> Rule:
    """Return one rule that asks for all of them."""
    rule = all_of(rules)
    if rule is None:  # the declaration holds at least one
        message = "There are no rules."
        raise ValueError(message)
    return rule


def entity_of(ctx: Context[Any]) -> Any:
    """Return the row of the run; None where it is gone, for those who need not show it."""
    try:
        return ctx.entity
    except EntityGone:
        return None


def _people(execution: Execution, step: ApprovalStep, ctx: Context[Any]) -> tuple[Any, ...]:
    if step.approver_users is None:
        return ()
    given = call(step.approver_users, ctx)
    found = {user.pk: user for user in given if user.is_active}
    if step.four_eyes:
        for key in requesters_of([execution.run], execution.using)[execution.run.pk]:
            found.pop(key, None)
    if len(found) > MOST_APPROVERS:
        message = (
            f"Step {step.name} would ask {len(found)} people, and one approval asks {MOST_APPROVERS} at most: "
            "say who may decide by a rule, as approvers=in_group(...)."
        )
        raise ApproversMissing(message)
    return tuple(found.values())
