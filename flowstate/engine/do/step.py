"""Carries out one step: calls the user's code and records what came of it."""

from __future__ import annotations

import logging
import random
import time
from asyncio import CancelledError
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from django.db import connections

from flowstate.engine import entities
from flowstate.engine.branches import abandoned
from flowstate.engine.calls.contexts import context_of
from flowstate.engine.calls.errors import describe
from flowstate.engine.calls.guard import refuse_swallowed_errors, report_row_writes
from flowstate.engine.calls.hooks import announce_step_failed
from flowstate.engine.calls.time_limit import TimeLimit, time_limit, time_limit_until
from flowstate.engine.database.blocks import LostClaim, in_transaction
from flowstate.engine.database.contention import drop_interrupted, is_contention
from flowstate.engine.do.joins import outlives_failure, refuse_failures, winner_of
from flowstate.engine.do.lineage import write_touches
from flowstate.engine.do.outcome import Outcome, finish, record_outcome
from flowstate.engine.execution import Execution, KeyTaken, timeout_of
from flowstate.engine.handover import publish_step
from flowstate.engine.look.counting import count_joins
from flowstate.engine.look.next import Forward, Next
from flowstate.engine.look.run import lock_run, look, read_steps, stop
from flowstate.exceptions import StepInterrupted, StepsFailed, StepTimeout, ValueNotSerializable
from flowstate.models import EventKind, RunEvent, RunStatus, StepRun, StepStatus
from flowstate.models.clock import host_now
from flowstate.models.secrets import Secret, hidden
from flowstate.models.values import encode, refuse_large
from flowstate.redaction import scrubbed
from flowstate.workflows.context import Context
from flowstate.workflows.entities import CreateStep, DeleteStep, UpdateStep
from flowstate.workflows.joins import FirstOf
from flowstate.workflows.steps import UNSET, Kind, Step

logger = logging.getLogger("flowstate.steps")

FAILURES = (Exception, CancelledError)
"""What counts as the failure of a step: an `async def` one may end by the cancelling of a task of its own."""


def run_step(execution: Execution, name: str) -> Next:
    """Carry out a claimed step and return what this process does next.

    Commits the outcome together with the claim of what follows; for a transactional step the rows it wrote
    are part of the same commit. A claim that was lost meanwhile rolls back and returns None.
    """
    row, step = execution.rows[name], execution.step(name)
    try:
        if step.external:
            return _outside(execution, row, step)
        return _inside(execution, row, step)
    except LostClaim:
        return None


def landed(execution: Execution, row: StepRun) -> bool:
    """Return whether the journal holds the good outcome of this very attempt, which nobody else can have written."""
    rows = execution.step_runs.filter(pk=row.pk, attempt=row.attempt)
    return rows.filter(status__in=(StepStatus.DONE, StepStatus.SKIPPED, StepStatus.WAITING)).exists()


def _outside(execution: Execution, row: StepRun, step: Step[Any]) -> Next:
    limit: list[TimeLimit] = []

    def heartbeat() -> None:
        limit[0].restart()
        lease = execution.lease(step)
        if not execution.step_runs.extend_lease(row.pk, attempt=row.attempt, lease=lease):
            raise StepInterrupted

    try:
        with ExitStack() as stack:
            limit.append(stack.enter_context(time_limit(timeout_of(step))))
            stack.enter_context(report_row_writes(execution.using, execution.run.workflow, step.name))
            outcome = attempt(execution, row, step, heartbeat=heartbeat)
    except StepInterrupted:
        drop_interrupted(execution.using)
        return after_failure(execution, row, step, timed_out(row, step), in_doubt=True)
    except FAILURES as err:
        in_doubt = isinstance(err, (*step.unknown_on, ValueNotSerializable, CancelledError))
        return after_failure(execution, row, step, err, in_doubt=in_doubt)
    return in_transaction(
        execution, lambda: record_outcome(execution, row.name, outcome), landed=lambda: landed(execution, row)
    )


def _inside(execution: Execution, row: StepRun, step: Step[Any]) -> Next:
    joined = connections[execution.using].in_atomic_block
    until = time.monotonic() + timeout_of(step)

    def work() -> Next:
        what = f"Step {step.name} of {execution.run.workflow}"
        # All tries of a transaction that met others share the attempt's time: the lease is no longer.
        limit = time_limit_until(until, interrupts=not joined)
        with refuse_swallowed_errors(execution.using, what), limit:
            outcome = attempt(execution, execution.rows[row.name], step, heartbeat=None)
        if outcome.touched:
            write_touches(execution, [(row.name, touch) for touch in outcome.touched])
        return record_outcome(execution, row.name, outcome)

    try:
        return in_transaction(execution, work, landed=lambda: landed(execution, row))
    except StepInterrupted:
        drop_interrupted(execution.using)
        return after_failure(execution, row, step, timed_out(row, step), in_doubt=False)
    except (LostClaim, KeyTaken):
        raise
    except FAILURES as err:
        if joined and is_contention(err):
            raise  # only the caller, whose transaction it is, can start over
        return after_failure(execution, row, step, err, in_doubt=False)


def attempt(
    execution: Execution,
    row: StepRun,
    step: Step[Any],
    *,
    heartbeat: Callable[[], None] | None,
    record_undo: bool = True,
) -> Outcome:
    """Ask the step's condition, call its function or write its rows, and return the outcome, encoded."""
    refuse_failures(execution, row, step)
    workflow = execution.workflow()
    ctx = context_of(execution, row, heartbeat)
    # A step whose outside effect is in doubt has been begun: to skip it now would leave that undone.
    reason = None if row.uncertain else step.condition(workflow, ctx)
    if reason is not None:
        columns = {"reason": scrubbed(reason)[:500], "result_json": default_of(step, ctx)}
        return Outcome(status=StepStatus.SKIPPED, columns=columns)
    result: Any = None
    undo: Any = None
    data: dict[str, Any] = {}
    touched: list[entities.Touched] = []
    if isinstance(step, FirstOf):
        result = winner_of(execution, row)
    elif not isinstance(step, CreateStep | UpdateStep | DeleteStep):
        result = step.call(workflow, ctx)
    else:
        written = entities.perform(step, workflow, ctx, record_undo=record_undo, using=execution.using)
        result, undo, data, touched = written.result, written.undo, written.data, written.touched
    columns = {
        "result_json": encode(_hidden(result, step), f"The result of step {step.name}"),
        "data_json": changes_of(ctx, data, step),
        "undo": undo,
        "uncertain": False,
    }
    return Outcome(status=StepStatus.DONE, columns=columns, touched=touched)


def after_failure(
    execution: Execution, row: StepRun, step: Step[Any], error: BaseException, *, in_doubt: bool
) -> Next:
    """Try again, now or later, while the step's policy allows; otherwise it has failed for good."""
    uncertain = row.uncertain or in_doubt
    failures, attempts = row.failures + 1, (row.attempt, row.attempt + 1)

    def counted() -> bool:
        """Whether the journal holds this failure; only who holds the claim counts one."""
        return execution.step_runs.filter(pk=row.pk, attempt__in=attempts, failures=failures).exists()

    retry = None if isinstance(error, ValueNotSerializable | StepsFailed) else step.retry
    if retry is None or not retry.allows(error, failures):
        outcome = failure_of(execution, row, step, error, failures=failures, uncertain=uncertain)
        return in_transaction(
            execution, lambda: _give_up(execution, row.name, outcome, error), landed=counted
        )
    delay = retry.delay_before(failures, random.random)
    return in_transaction(
        execution, lambda: _again(execution, row.name, step, error, delay, uncertain), landed=counted
    )


def _again(
    execution: Execution,
    name: str,
    step: Step[Any],
    error: BaseException,
    delay: float,
    uncertain: bool,  # noqa: FBT001 - private, one caller
) -> Next:
    row, rows = execution.rows[name], execution.step_runs
    lock_run(execution)
    if execution.run.status != RunStatus.RUNNING:  # somebody stopped the run: nothing is tried again
        failures = row.failures + 1
        outcome = failure_of(execution, row, step, error, failures=failures, uncertain=uncertain)
        return _give_up(execution, name, outcome, error)
    described = describe(error, step=name, action=execution.action)
    RunEvent.objects.using(execution.using).record(
        execution.run,
        EventKind.ATTEMPT_FAILED,
        step=name,
        attempt=row.failures + 1,
        data={**described.error, "again_in": round(delay, 3)},
    )
    if delay == 0:
        if not rows.retry_now(row.pk, attempt=row.attempt, lease=execution.lease(step), uncertain=uncertain):
            raise LostClaim
        execution.know(row, attempt=row.attempt + 1, failures=row.failures + 1, uncertain=uncertain)
        return Forward(name)
    if not rows.retry_later(row.pk, attempt=row.attempt, delay=delay, uncertain=uncertain):
        raise LostClaim
    execution.runs.lower_wake_up(execution.run.pk, delay=delay)
    publish_step(execution, row, delay=delay)
    return look(execution)


def _give_up(execution: Execution, name: str, outcome: Outcome, error: BaseException) -> Next:
    """Record that a step has failed for good; unless it is optional, so has the run."""

    def record() -> None:
        at = host_now()
        finish(execution, execution.rows[name], outcome, at)
        execution.rows[name].reflect(status=outcome.status, ended_at=at, **outcome.columns)
        announce_step_failed(execution, name, error)

    if not outcome.forgiven and not lost_a_race(execution, name):
        return stop(execution, error, step=name, record=record)
    lock_run(execution)
    record()
    count_joins(execution, [name])
    return look(execution)


def lost_a_race(execution: Execution, name: str) -> bool:
    """Return whether a race was decided against the step while it was at work, so that nobody needs it."""
    if not execution.has_races:
        return False
    lock_run(execution)
    read_steps(execution)
    return execution.run.status == RunStatus.RUNNING and name in abandoned(execution.state().steps)


def failure_of(
    execution: Execution,
    row: StepRun,
    step: Step[Any],
    error: BaseException,
    *,
    failures: int,
    uncertain: bool,
) -> Outcome:
    """Return the outcome of a step that has failed for good; `forgiven` if the run goes on without it.

    An optional step whose default cannot be had is not forgiven: what depends on it would miss its value.
    """
    columns: dict[str, Any] = {
        "error": describe(error, step=step.name, action=execution.action).error,
        "failures": failures,
        "uncertain": uncertain,
    }
    forgiven = outlives_failure(execution, step)
    if step.optional and step.default is not UNSET:
        try:
            columns["result_json"] = default_of(step, context_of(execution, row))
        except Exception:
            logger.exception("The default of step %s of %s failed.", step.name, execution.run.workflow)
            forgiven = False
    status = StepStatus.UNKNOWN if uncertain else StepStatus.FAILED
    return Outcome(status=status, columns=columns, forgiven=forgiven)


def timed_out(row: StepRun, step: Step[Any]) -> StepTimeout:
    """Return the error of an attempt that took too long."""
    limit, attempt_number = timeout_of(step), row.failures + 1
    return StepTimeout(f"Step {step.name} took longer than {limit:g} seconds in attempt {attempt_number}.")


def default_of(step: Step[Any], ctx: Context[Any]) -> Any:
    """Return the step's default, encoded; None where it has none."""
    value = step.default_value(ctx)
    return None if value is UNSET else encode(value, f"The default of step {step.name}")


def _hidden(result: Any, step: Step[Any]) -> Any:
    """Return what a function returned with what is sensitive marked; keys of rows and options are none."""
    return hidden(result, step.sensitive) if step.kind in (Kind.EXTERNAL, Kind.TRANSACTIONAL) else result


def changes_of(ctx: Context[Any], stored: dict[str, Any], step: Step[Any]) -> dict[str, Any] | None:
    """Return what a step has set in the shared data, encoded; None where that is nothing."""
    changes = {**ctx.changes, **stored}
    if not changes:
        return None
    encoded: dict[str, Any] = {}
    for key, value in changes.items():
        secret = step.sensitive is True or (step.sensitive and key in step.sensitive)
        encoded[key] = encode(
            Secret(value) if secret else value, f"The data {key!r} that step {step.name} set"
        )
    refuse_large(encoded, f"The data that step {step.name} set")
    return encoded
