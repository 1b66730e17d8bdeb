"""Carries out the step that a function is: calls it, and has begin what it asks for, or ends it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connections
from django.db.models import Q

from flowstate.engine.calls.guard import report_row_writes
from flowstate.engine.calls.time_limit import time_limit
from flowstate.engine.database.blocks import LostClaim, in_transaction
from flowstate.engine.database.contention import drop_interrupted, is_contention
from flowstate.engine.do.outcome import Outcome, record_outcome
from flowstate.engine.do.step import (
    FAILURES,
    after_failure,
    changes_of,
    landed,
    timed_out,
)
from flowstate.engine.execution import Execution, KeyTaken, timeout_of
from flowstate.engine.functions.leave import leave
from flowstate.engine.functions.passes import TOO_LONG, Pass
from flowstate.engine.look.next import Next
from flowstate.engine.look.run import go_on, lock_run, look
from flowstate.engine.new_run import new_row
from flowstate.exceptions import StepInterrupted, WorkflowNotFindable
from flowstate.models import RunStatus, StepRun, StepStatus
from flowstate.models.clock import DbNow, host_now
from flowstate.models.values import encode
from flowstate.workflows.function_context import FUNCTION
from flowstate.workflows.steps import Step


@dataclass(frozen=True, slots=True)
class Wish:
    """What a function has asked for that is to begin, and after which steps."""

    steps: Sequence[Step[Any]]
    after: tuple[str, ...]


def play(execution: Execution) -> Next:
    """Call the claimed function of a run and return what this process does next.

    Commits the rows of the steps that it asked for, or its own outcome. Where it does not ask as the journal
    has it, the run is left to a person. A claim that was lost meanwhile changes nothing.
    """
    try:
        return _play(execution, execution.rows[FUNCTION], execution.step(FUNCTION))
    except LostClaim:
        return None


def _play(execution: Execution, row: StepRun, step: Step[Any]) -> Next:
    joined = connections[execution.using].in_atomic_block
    called = Pass(execution)
    try:
        with (
            time_limit(timeout_of(step), interrupts=not joined),
            report_row_writes(execution.using, execution.run.workflow, step.name),
        ):
            called.play()
        came: Wish | Outcome = _what_came(execution, called, step)
    except StepInterrupted:
        drop_interrupted(execution.using)
        if not called.cut_short(TOO_LONG):
            return after_failure(execution, row, step, timed_out(row, step), in_doubt=False)
        came = Wish((), ())
    except KeyTaken:
        raise
    except FAILURES as err:
        if joined and is_contention(err):
            raise  # only the caller, whose transaction it is, can start over
        return after_failure(execution, row, step, err, in_doubt=False)
    execution.learned |= called.declared
    if called.refusal is not None:
        return leave(execution, FUNCTION, called.refusal)
    return in_transaction(
        execution, lambda: _record(execution, came), landed=lambda: _has_landed(execution, row, came)
    )


def _has_landed(execution: Execution, row: StepRun, came: Wish | Outcome) -> bool:
    """Return whether the journal holds what this very call came to, and the claims made with it still hold."""
    if isinstance(came, Outcome):
        return landed(execution, row)
    names, steps = [step.name for step in came.steps], execution.step_runs
    asking = steps.filter(pk=row.pk, attempt=row.attempt, status=StepStatus.BLOCKED)
    if asking.values_list("depends_on", flat=True).first() != names:
        return False
    begun = steps.filter(run_id=row.run_id, name__in=names)
    return not begun.filter(Q(attempt__gt=1) | Q(lost__gt=0) | Q(lease_until__lte=DbNow())).exists()


def _what_came(execution: Execution, called: Pass, step: Step[Any]) -> Wish | Outcome:
    if called.interrupted or called.refusal is not None:
        _refuse_unfindable(execution, called.wish)
        return Wish(called.wish, called.before)
    columns = {
        "result_json": encode(called.returned, f"What {execution.run.workflow} returned"),
        "data_json": changes_of(called.context, {}, step),
        "reason": "",
    }
    return Outcome(status=StepStatus.DONE, columns=columns)


def _record(execution: Execution, came: Wish | Outcome) -> Next:
    if isinstance(came, Outcome):
        return record_outcome(execution, FUNCTION, came)
    lock_run(execution)
    row, rows = execution.rows[FUNCTION], execution.step_runs
    if execution.run.status != RunStatus.RUNNING:  # somebody stopped the run: nothing new begins
        if not rows.finish(row.pk, attempt=row.attempt, status=StepStatus.CANCELLED, at=host_now()):
            raise LostClaim
        return look(execution)
    names = [step.name for step in came.steps]
    missing = sum(name not in execution.rows or not execution.rows[name].settled for name in names)
    if not rows.ask(row.pk, attempt=row.attempt, depends_on=names, missing=missing):
        raise LostClaim
    row.reflect(
        status=StepStatus.BLOCKED,
        depends_on=names,
        missing=missing,
        lease_until=None,
        wake_at=None,
        lost=0,
        reason="",
    )
    _put_down(execution, came)
    execution.learned |= {step.name: step for step in came.steps}
    return go_on(execution)


def _put_down(execution: Execution, wish: Wish) -> None:
    """Insert the rows of the steps; those that were taken over and never begun are there."""
    after = list(wish.after)
    known = [execution.rows[step.name] for step in wish.steps if step.name in execution.rows]
    for row in known:
        if row.status == StepStatus.BLOCKED:
            execution.step_runs.ask_again(row.pk, depends_on=after)
            row.reflect(depends_on=after, missing=0)
    seq = 1 + max((row.seq for row in execution.rows.values() if row.name != FUNCTION), default=-1)
    new: list[StepRun] = []
    for step in wish.steps:
        if step.name not in execution.rows:
            row = new_row(execution.run, step, seq + len(new))
            row.reflect(depends_on=after)
            new.append(row)
    execution.step_runs.insert(new)
    execution.grow(new)


def _refuse_unfindable(execution: Execution, steps: Sequence[Step[Any]]) -> None:
    """Raise where another process would have to go on with a function that it cannot find."""
    if execution.declaration.findable:
        return
    for step in steps:
        waits = step.background or step.queue or step.waits or (step.retry is not None and step.retry.waits)
        if waits:
            message = (
                f"A worker could not find the function {execution.run.workflow}, so its step {step.name} can neither "
                "be in the background nor wait, also not for another try. Define the function at the top of a module."
            )
            raise WorkflowNotFindable(message)
