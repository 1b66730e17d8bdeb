"""Finds the steps again that a function has asked for in another process: by calling it, which begins nothing."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flowstate.engine.calls.errors import describe
from flowstate.engine.calls.time_limit import time_limit
from flowstate.engine.database.blocks import LostClaim, in_transaction
from flowstate.engine.database.contention import drop_interrupted
from flowstate.engine.do.step import FAILURES
from flowstate.engine.execution import Execution, timeout_of
from flowstate.engine.functions.leave import leave
from flowstate.engine.functions.passes import TOO_LONG, Pass, recorded_in
from flowstate.engine.loading import load
from flowstate.engine.look.next import Backward, Forward, Next
from flowstate.engine.look.run import lock_run, look
from flowstate.exceptions import StepInterrupted, StepUnknown, WorkflowUnknown
from flowstate.exceptions.shapes import ShapeChanged
from flowstate.models import Run, StepRun, StepStatus
from flowstate.workflows.function_context import FUNCTION
from flowstate.workflows.function_step import UndeclaredStep, is_function
from flowstate.workflows.steps import Kind, Step


def learn(execution: Execution) -> ShapeChanged | None:
    """Call the function of a run for the steps that it asks for; return why some of them were not found.

    Nothing begins, and what it raises is left aside: only what it asks for counts. Takes as long as a call of
    the function may take.
    """
    called, problem = Pass(execution), ""
    try:
        with time_limit(timeout_of(execution.step(FUNCTION))):
            called.play()
    except StepInterrupted:
        drop_interrupted(execution.using)
        problem = TOO_LONG
    except FAILURES as err:
        problem = f"{type(err).__name__}: {err}"
    execution.learned |= called.declared
    if called.refusal is not None or not problem:
        return called.refusal
    message = f"Run {execution.run.pk} ({execution.run.label}) is a function that came to {problem}."
    return ShapeChanged(message, "", problem)


def learn_what_matters(execution: Execution) -> None:
    """Learn the steps of a function, where what becomes of one that others began is said by its code.

    For whoever settles steps without carrying them out. Where it is not found, the step stays as it is.
    """
    if any(_matters(row) and _unknown(execution, row.name) for row in execution.rows.values()):
        learn(execution)


def learn_inverses(execution: Execution) -> None:
    """Learn the steps of a function that has written rows: what they name says of which models records may be."""
    if any(row.undo is not None and _unknown(execution, row.name) for row in execution.rows.values()):
        learn(execution)


def asked_elsewhere(run_id: UUID, name: str, using: str) -> Step[Any] | None:
    """Return a step as the function of a run asks for it; None where it is not found."""
    try:
        execution = load(run_id, using=using)
    except (Run.DoesNotExist, StepUnknown, WorkflowUnknown):
        return None
    if is_function(execution.workflow):
        learn(execution)
    return execution.learned.get(name)


def _matters(row: StepRun) -> bool:
    if row.kind == Kind.APPROVAL:
        return row.status in (StepStatus.WAITING, StepStatus.DONE)
    return row.optional and row.status == StepStatus.RUNNING


def misfit(execution: Execution) -> ShapeChanged | None:
    """Return what a function of this code asks for otherwise than the journal has it; None where it fits."""
    problem = learn(execution)
    own = (step.name for step in recorded_in(execution) if not step.taken_over)
    lost = next((name for name in own if _unknown(execution, name)), None)
    return problem if lost is None or problem is not None else _not_come_to(execution, lost)


def _unknown(execution: Execution, name: str) -> bool:
    return isinstance(execution.step(name), UndeclaredStep)


def _not_come_to(execution: Execution, name: str) -> ShapeChanged:
    expected = f"{name} ({execution.rows[name].kind})"
    message = (
        f"Run {execution.run.pk} ({execution.run.label}) has recorded the step {expected}, but "
        f"{execution.run.workflow} does not come to it. Deploy code that asks as before, or cancel the run; it waits."
    )
    return ShapeChanged(message, expected, "")


def learned_or_left(execution: Execution, following: Forward | Backward) -> Next:
    """Return what is to be done next: the same, its step being known now, or what follows from its not being found."""
    problem = learn(execution)
    if not _unknown(execution, following.step):
        _hold_longer(execution, following)
        return following
    refusal = problem or _not_come_to(execution, following.step)
    try:
        if isinstance(following, Forward):
            return leave(execution, following.step, refusal)
        return in_transaction(execution, lambda: _cannot_undo(execution, following.step, refusal))
    except LostClaim:
        return None


def _hold_longer(execution: Execution, following: Forward | Backward) -> None:
    """Let the claim hold for as long as the step says, which was not known when it was made."""
    row, rows = execution.rows[following.step], execution.step_runs
    lease = execution.lease(execution.step(following.step))
    if isinstance(following, Forward):
        if rows.hold_longer(row.pk, attempt=row.attempt, lease=lease):
            row.reflect(reason="")
    else:
        rows.extend_compensation_lease(row.pk, attempt=row.compensation_attempt, lease=lease)


def _cannot_undo(execution: Execution, name: str, refusal: ShapeChanged) -> Next:
    """Record that nobody knows how to undo a step: once all else is undone, a person must act."""
    lock_run(execution)
    row = execution.rows[name]
    error = describe(refusal, step=name, action=execution.action).error
    rows = execution.step_runs
    verb = rows.fail_in_place if execution.step(name).derives_inverse else rows.fail_compensation
    if not verb(row.pk, attempt=row.compensation_attempt, error=error):
        raise LostClaim
    return look(execution)
