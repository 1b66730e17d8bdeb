"""Begins a run: who may, with what input, whether it exists already, and on which way it goes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from django.db import DatabaseError, connections, models, router, transaction

from flowstate.actions.authorize import authorize, authorize_standalone
from flowstate.actions.bound import BoundAction
from flowstate.actions.resolve import find_workflow
from flowstate.engine.calls.hooks import announce_start
from flowstate.engine.calls.inputs import ask_workflow, encoded_input, validated
from flowstate.engine.database.blocks import callers_transaction, flush
from flowstate.engine.drive import drive
from flowstate.engine.execution import Execution, KeyTaken
from flowstate.engine.keys import exclusive_hash, idempotency_hash, input_hash, is_same_input
from flowstate.engine.look.next import Forward
from flowstate.engine.new_run import new_rows, new_run, open_for_workers, open_inline
from flowstate.engine.start.atomic import run_atomic
from flowstate.exceptions import (
    AlreadyRunning,
    FlowstateError,
    IdempotencyKeyReused,
    InsideTransaction,
    StartRefused,
    WorkflowNotFindable,
    WorkflowUnknown,
)
from flowstate.models import Run
from flowstate.models.clock import db_now
from flowstate.models.secrets import refuse_unavailable
from flowstate.workflows.function_context import FUNCTION
from flowstate.workflows.function_step import is_function
from flowstate.workflows.workflow import Workflow

_TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A wish to start a run, as it came in."""

    workflow: type[Workflow]
    action: BoundAction | None
    entity: models.Model | None
    user: Any
    input: Any
    inline: bool
    using: str
    idempotency_key: str | None

    @property
    def name(self) -> str:
        """What is started: the action's key, or the workflow's name."""
        return self.workflow.declaration.name if self.action is None else self.action.key


def start(  # noqa: PLR0913 - all that a start is told, each by name
    *,
    workflow: type[Workflow],
    action: BoundAction | None,
    entity: models.Model | None,
    user: Any,
    input: Any = None,
    idempotency_key: str | None = None,
    inline: bool,
    scope: str = "",
) -> Run:
    """Start a run and return it; with `inline`, after working on it as far as this process may.

    `scope` is the session of an anonymous caller. Raises `ActionDenied`, `InputInvalid` and the
    `StartRefused` family; then no run exists. A key that is known gives its run back, `replayed`, whatever
    would speak against a new one. The run is committed before an external step is called.
    """
    name = workflow.declaration.name if action is None else action.key
    request = Request(
        workflow=workflow,
        action=action,
        entity=entity,
        user=user,
        input=input,
        inline=inline,
        using=router.db_for_write(Run),
        idempotency_key=idempotency_hash(idempotency_key, user=user, scope=scope, name=name, action=action),
    )
    for _try in range(_TRIES):
        try:
            return _begin(request)
        except (FlowstateError, KeyTaken) as refusal:
            known = _known(request)
            if known is not None:
                return known
            if not isinstance(refusal, KeyTaken):
                raise
            _refuse_second(request)  # returns where the other run has ended meanwhile: try again
        except DatabaseError:  # of a COMMIT too, which may have landed all the same
            known = _known_anew(request)
            if known is None:
                raise
            return known
    message = f"{request.name} could not start: other runs on the row begin and end. Try again."
    raise StartRefused(message)


def _begin(request: Request) -> Run:
    if request.action is None:
        authorize_standalone(request.workflow, request.user)
    else:
        authorize(request.action, request.user, request.entity)
    _refuse_misfit(request)
    execution = _prepare(request)
    ask_workflow(execution)
    execution.announce_start = partial(announce_start, execution)
    if not request.inline:
        return _enqueue(execution)
    if execution.run.atomic:
        run_atomic(execution)
        return execution.run
    return _run_inline(execution)


def _prepare(request: Request) -> Execution:
    workflow, action, meta = request.workflow, request.action, request.workflow.declaration.meta
    serializer = workflow.input if action is None else action.input_serializer
    context = {"user": request.user, "entity": request.entity}
    given = validated(serializer, request.input, what=request.name, context=context)
    run = new_run(
        workflow,
        action,
        request.entity,
        request.user,
        input_json=encoded_input(given, request.name),
        idempotency_key=request.idempotency_key,
        input_hash=input_hash(request.input) if request.idempotency_key else "",
        exclusive_key=exclusive_hash(meta, name=request.name, action=action),
        deadline_at=db_now(request.using) + timedelta(seconds=meta.timeout) if meta.timeout else None,
    )
    return Execution(
        run=run,
        rows=new_rows(run, workflow),
        workflow=workflow,
        action=action,
        using=request.using,
        user=request.user,
        journaled=False,
    )


def _run_inline(execution: Execution) -> Run:
    first = open_inline(execution)
    if first is None or execution.step(first.name).external:
        _journal(execution)
    drive(execution, None if first is None else Forward(first.name))
    return execution.run


def _enqueue(execution: Execution) -> Run:
    open_for_workers(execution)
    execution.enqueued = True
    _journal(execution)
    flush(execution)
    return execution.run


def _journal(execution: Execution) -> None:
    """Commit the new run, before an external step may act or others are to work on it."""
    with transaction.atomic(using=execution.using):
        execution.ensure_journaled()
    execution.keep_staged()


def _refuse_misfit(request: Request) -> None:
    """Raise where the workflow cannot be started in this way from here."""
    declaration, entity = request.workflow.declaration, request.entity
    if any(step.sensitive for step in declaration.steps):
        refuse_unavailable()  # before anything is done that could not be recorded then
    if entity is not None and entity._state.db not in (None, request.using):
        message = (
            f"{request.name} works on a row of database {entity._state.db!r}, but the journal is in "
            f"{request.using!r}; both must commit together. Route them to one alias."
        )
        raise StartRefused(message)
    external = [step.name for step in declaration.steps if step.external]
    what = f"has external steps ({', '.join(map(str, external))})"
    if is_function(request.workflow):
        external, what = [FUNCTION], "is a function, which may ask for external steps,"
    if request.inline and external and callers_transaction(request.using):
        message = (
            f"{request.name} {what} and was run inside a "
            "transaction, which could still take its journal away. Call .enqueue(), which joins the "
            "transaction, or call .run() after it, for example in transaction.on_commit."
        )
        raise InsideTransaction(message)
    left = any(step.background or step.queue or step.waits for step in declaration.steps)
    handed_over = not request.inline or left
    retries = [step.retry for step in declaration.steps]
    retries += [step.compensation.retry for step in declaration.steps if step.compensation]
    if handed_over or any(retry is not None and retry.waits for retry in retries):
        _require_findable(request)


def _require_findable(request: Request) -> None:
    name = request.workflow.declaration.name
    try:
        found = find_workflow(name)
    except WorkflowUnknown:
        found = None
    if found is not request.workflow:
        message = (
            f"A worker could not find the workflow {name}, so it may only run inline, without background "
            "steps, waits and retry delays. Define it at the top of a module, or register what a builder made at "
            "import: flowstate.workflows.registry.register(...)."
        )
        raise WorkflowNotFindable(message)


def _known(request: Request) -> Run | None:
    """Return the run that the caller's key names already. Raises `IdempotencyKeyReused` for other input."""
    if request.idempotency_key is None:
        return None
    known = Run.objects.using(request.using).filter(idempotency_key=request.idempotency_key).first()
    if known is None:
        return None
    if not is_same_input(request.input, known.input_hash):
        message = (
            f"This idempotency key belongs to run {known.pk} of {request.name}, which was started with other "
            "input. Use a new key for a new attempt."
        )
        raise IdempotencyKeyReused(message)
    known.replayed = True
    return known


def _known_anew(request: Request) -> Run | None:
    """Return the run of the caller's key where the database has failed, on a new connection if this one is lost."""
    connection = connections[request.using]
    if callers_transaction(request.using):  # only its owner can ask anything now
        return None
    connection.close_if_unusable_or_obsolete()
    try:
        return _known(request)
    except DatabaseError:
        return None


def _refuse_second(request: Request) -> None:
    """Raise `AlreadyRunning` while another live run holds the exclusive key."""
    meta = request.workflow.declaration.meta
    key = exclusive_hash(meta, name=request.name, action=request.action)
    holders = Run.objects.using(request.using).filter(exclusive_key=key)
    if key is None or not holders.exists():
        return
    seen = holders.visible_to(request.user).first()
    which = f" Run {seen.pk} is {seen.status}." if seen else ""
    message = f"{request.name} cannot start: another run holds this row until it ends.{which}"
    raise AlreadyRunning(
        message,
        str(seen.pk) if seen else None,
    )
