"""A person votes: judged, written and, if that decides it, the run moved on, all in one transaction.

The transaction begins with the lock of the run's row, so that of two votes, or of a vote and the end of its time,
one comes first and the other sees it. What is refused is written down as well, and raised after that commit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db import router

from flowstate.engine.approvals.judge import Voice, Why, outcome
from flowstate.engine.approvals.people import Asked, Standing, fresh_user, standing_in
from flowstate.engine.approvals.refusals import form_problem, stands_against
from flowstate.engine.approvals.showing import refuse_changed
from flowstate.engine.calls.contexts import context_of
from flowstate.engine.calls.hooks import announce
from flowstate.engine.carry.sweep import move_on
from flowstate.engine.database.blocks import flush, in_transaction
from flowstate.engine.do.waiting import settle_waits
from flowstate.engine.execution import Execution
from flowstate.engine.functions.learn import learn_what_matters
from flowstate.engine.loading import load
from flowstate.engine.look.run import lock_run, read_steps
from flowstate.engine.new_run import label_of
from flowstate.engine.waits.opening import entity_of, note, storable
from flowstate.engine.waits.requesters import requesters_of
from flowstate.exceptions import EntityGone, FlowstateError, InputInvalid, RunConflict
from flowstate.exceptions.approvals import ApprovalChanged, ReasonMissing
from flowstate.models import (
    Approval,
    ApprovalApprover,
    ApprovalStatus,
    Ballot,
    EventKind,
    Run,
    Vote,
)
from flowstate.workflows.approvals import ApprovalStep
from flowstate.workflows.context import Context

LONGEST_COMMENT = 4_000
LONGEST_SOURCE = 200

_DECIDED = {
    ApprovalStatus.APPROVED: EventKind.APPROVAL_APPROVED,
    ApprovalStatus.REJECTED: EventKind.APPROVAL_REJECTED,
}


class JustExpired(Exception):  # control flow of the engine, not an error for people
    """Time was over between two statements: nothing of this attempt is to stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a person says, checked as far as that can be without the approval."""

    ballot: Ballot
    comment: str
    form: Any = None
    """Encoded."""
    seen: str = ""
    """The digest of what was shown to them; empty where nobody knows."""
    source: str = ""
    problem: FlowstateError | None = None
    """Why it cannot be taken, told to who may decide."""


def approve(
    approval: Approval,
    *,
    user: Any,
    comment: str = "",
    form: Any = None,
    shown_digest: str = "",
    source: str = "",
) -> None:
    """Vote for it. The last vote that is needed settles the step, and workers go on with the run.

    `form` is what the step's `form=` asks for, `shown_digest` what the person was shown, `source` where they came
    from. Raises `ApprovalDenied`, `AlreadyDecided`, `ApprovalExpired`, `AlreadyVoted`, `InputInvalid`, and
    `ApprovalChanged`: then the approval shows what there is now. Each refusal is committed to the history.
    """
    execution = held(approval)
    encoded, problem = form_problem(step_of(execution, approval), form, user)
    said = Said(
        ballot=Ballot.APPROVE,
        comment=comment.strip(),
        form=encoded,
        seen=shown_digest,
        source=source,
        problem=problem or _too_long(comment),
    )
    _vote(execution, approval, user, said)


def reject(approval: Approval, *, user: Any, reason: str, shown_digest: str = "", source: str = "") -> None:
    """Reject it, which decides it. Raises what `approve` does, and `ReasonMissing` without a reason."""
    problem: FlowstateError | None = _too_long(reason)
    if not reason.strip():
        message = f"A rejection says why: {approval} stays pending until it is rejected with a reason."
        problem = ReasonMissing(message)
    said = Said(
        ballot=Ballot.REJECT, comment=reason.strip(), seen=shown_digest, source=source, problem=problem
    )
    _vote(held(approval), approval, user, said)


# --- what every verb of approvals needs --------------------------------------------------------------


def held(approval: Approval) -> Execution:
    """Return a hold on the approval's run that begins nothing: workers go on with it."""
    execution = load(approval.run_id, using=router.db_for_write(Run))
    execution.passive = True
    learn_what_matters(execution)
    return execution


def step_of(execution: Execution, approval: Approval) -> ApprovalStep:
    """Return the declaration of the approval's step. Raises `RunConflict` where the code has made it another kind."""
    step = execution.step(approval.step)
    if not isinstance(step, ApprovalStep):
        message = (
            f"Step {approval.step} of run {approval.run_id} is no ApprovalStep any more: cancel the run."
        )
        raise RunConflict(message)
    return step


def locked(execution: Execution) -> None:
    """Lock the run, read its steps, and let what was over by time be over first."""
    lock_run(execution)
    read_steps(execution)
    settle_waits(execution)


def committed(execution: Execution, work: Callable[[], FlowstateError | None]) -> FlowstateError | None:
    """Return the refusal that `work` returns, once it is committed; begin again where time was over in between."""
    try:
        refusal = in_transaction(execution, work)
    except JustExpired:
        refusal = in_transaction(execution, work)
    flush(execution)
    return refusal


def asked_now(execution: Execution, pk: int) -> tuple[Asked, Context[Any]]:
    """Return the approval with all that says who may decide, read now, and the context for what is shown."""
    using = execution.using
    approval = Approval.objects.using(using).get(pk=pk)
    row = execution.rows[approval.step]
    ctx = context_of(execution, row)
    asked = Asked(
        approval=approval,
        run=execution.run,
        step=step_of(execution, approval),
        entity=entity_of(ctx),
        votes=Vote.objects.using(using).counting(approval),
        approvers=list(ApprovalApprover.objects.using(using).filter(approval=pk)),
        requesters=requesters_of([execution.run], using)[execution.run.pk],
        using=using,
    )
    return asked, ctx


def who_did(user: Any) -> dict[str, Any]:
    """Return the columns of the history that say who."""
    return {"actor_id": getattr(user, "pk", None), "actor_label": "" if user is None else label_of(user)}


def refuse(execution: Execution, step: str, user: Any, error: FlowstateError, source: str) -> FlowstateError:
    """Write down that somebody was refused, and return the error, to be raised after the commit."""
    note(
        execution,
        EventKind.APPROVAL_REFUSED,
        step,
        who=who_did(user),
        detail=str(error)[:500],
        code=error.code,
        source=source[:LONGEST_SOURCE],
    )
    return error


# --- a vote --------------------------------------------------------------------------------------------


def _vote(execution: Execution, approval: Approval, user: Any, said: Said) -> None:
    refusal = committed(execution, partial(_judge_and_write, execution, approval.pk, user, said))
    if refusal is not None:
        raise refusal


def _judge_and_write(execution: Execution, pk: int, user: Any, said: Said) -> FlowstateError | None:
    locked(execution)
    asked, ctx = asked_now(execution, pk)
    step = asked.approval.step
    error = _refusal(execution, asked, ctx, user, said)
    if error is not None:
        refuse(execution, step, user, error, said.source)
    if execution.run.finished:
        return error
    move_on(execution)
    return error


def _refusal(
    execution: Execution, asked: Asked, ctx: Context[Any], user: Any, said: Said
) -> FlowstateError | None:
    """Write the vote; return what stands against it, and then nothing of it was written."""
    person = fresh_user(user)
    standing = Standing(of=None, away=()) if person is None else standing_in(person, execution.using)
    judged = Why.NO_PERSON if person is None else asked.judged(person, standing)
    problem = stands_against(asked, user, judged) or said.problem
    if problem is not None or not isinstance(judged, Voice):
        return problem
    try:
        refuse_changed(execution, asked, ctx, seen=said.seen, needed=said.ballot == Ballot.APPROVE)
    except (ApprovalChanged, EntityGone) as changed:
        return changed
    voices = {other.pk: other for other in (person, *standing.away)}
    _write(execution, asked, person, voices[judged.pk], said)
    return None


def _write(execution: Execution, asked: Asked, person: Any, voice: Any, said: Said) -> None:
    using, approval = execution.using, asked.approval
    vote = Vote.objects.using(using).create(
        approval=approval,
        round=approval.round,
        user_id=person.pk,
        user_label=label_of(person),
        voice_id=voice.pk,
        voice_label=label_of(voice),
        ballot=said.ballot,
        comment=said.comment,
        form_json=said.form,
        digest=approval.digest,
        source=storable(said.source)[:LONGEST_SOURCE],
    )
    status = outcome([vote.ballot for vote in (*asked.votes, vote)], approval.quorum)
    kind = _DECIDED.get(status, EventKind.APPROVAL_VOTED)
    if status != ApprovalStatus.PENDING:
        decided = Approval.objects.using(using).decide(
            approval.pk, status=status, user_id=person.pk, label=label_of(person)
        )
        if not decided:  # it expired between two statements: nothing of this vote is to stay
            raise JustExpired
    note(
        execution,
        kind,
        approval.step,
        who=who_did(person),
        detail=said.comment[:500],
        vote=str(said.ballot),
        for_user="" if voice.pk == person.pk else label_of(voice),
        source=said.source[:LONGEST_SOURCE],
    )
    announce(execution, str(kind), approval.step)


def _too_long(comment: str) -> FlowstateError | None:
    if len(comment) <= LONGEST_COMMENT and "\x00" not in comment:
        return None
    message = f"A comment is text of at most {LONGEST_COMMENT} characters."
    return InputInvalid(message, {"comment": [message]})
