"""Undoes one step: by its derived inverse, or by the compensation its author wrote."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import connections

from flowstate.engine import entities
from flowstate.engine.calls.contexts import compensation_context_of
from flowstate.engine.calls.errors import describe
from flowstate.engine.calls.guard import refuse_swallowed_errors
from flowstate.engine.calls.hooks import announce_undone
from flowstate.engine.calls.time_limit import TimeLimit, time_limit, time_limit_until
from flowstate.engine.database.blocks import LostClaim, in_transaction
from flowstate.engine.database.contention import drop_interrupted, is_contention
from flowstate.engine.do.step import FAILURES
from flowstate.engine.execution import Execution, timeout_of
from flowstate.engine.handover import publish_run
from flowstate.engine.look.next import Look, Next
from flowstate.engine.look.run import lock_run, look, proceed
from flowstate.engine.undo.child_runs import undo_child
from flowstate.engine.undo.conflicts import (
    invert,
    kept_error,
    record_overwritten,
    record_skipped,
    told_apart,
)
from flowstate.exceptions import StepInterrupted, StepTimeout
from flowstate.models import Compensation, EventKind, RunEvent, StepRun, StepStatus
from flowstate.models.claim import Claim
from flowstate.models.clock import host_now
from flowstate.workflows.policies import Retry
from flowstate.workflows.steps import Step

logger = logging.getLogger("flowstate.steps")

DEFAULT_RETRY = Retry(max_attempts=3, delay=0)
"""The budget of a compensation where nothing is declared: at once, so that a caller sees the outcome."""


def undo_step(execution: Execution, name: str) -> Next:
    """Undo a step whose turn it is and return what this process does next.

    One failing undoing never stops the others: it is recorded and the run goes on with the next.
    """
    row, step = execution.rows[name], execution.step(name)
    try:
        if step.derives_inverse:
            return _by_inverse(execution, row, step)
        if step.undone_by_run:
            return undo_child(execution, name)
        if step.external or step.waits:
            return _outside(execution, row, step)
        return _inside(execution, row, step)
    except LostClaim:  # nobody may have looked since this process recorded the undoing before
        return Look()


def _by_inverse(execution: Execution, row: StepRun, step: Step[Any]) -> Next:
    def work() -> Next:
        undone = invert(execution, row, step)
        if undone.overwritten:
            record_overwritten(execution, step, undone)
        return _undone(execution, row, execution.step_runs.undo_in_place)

    joined = connections[execution.using].in_atomic_block
    try:
        return in_transaction(
            execution, work, landed=_landed_by(execution, row, row.compensation_attempt + 1)
        )
    except LostClaim:
        raise
    except Exception as err:
        if not is_contention(err):
            kept = told_apart(execution, row, err)
            return in_transaction(execution, partial(_leave, execution, row, step, kept))
        if joined:
            raise  # only the caller, whose transaction it is, can start over
        logger.warning(
            "Others hold rows that undoing step=%s of run=%s needs; it is tried again.", row.name, row.run_id
        )
        return None  # nothing is claimed, and the run's wake-up stands


def _leave(execution: Execution, row: StepRun, step: Step[Any], error: Exception) -> Next:
    """Record that an inverse could not be carried out: for a person, or settled where the step says so."""
    lock_run(execution)
    rows, kept = execution.step_runs, kept_error(execution, step, error)
    if isinstance(error, entities.ConflictSkipped):
        record_skipped(execution, step, kept)
        won = rows.waive_in_place(row.pk, attempt=row.compensation_attempt, error=kept)
    else:
        won = rows.fail_in_place(row.pk, attempt=row.compensation_attempt, error=kept)
    if not won:
        raise LostClaim
    return look(execution)


def _outside(execution: Execution, row: StepRun, step: Step[Any]) -> Next:
    limit: list[TimeLimit] = []

    def heartbeat() -> None:
        limit[0].restart()
        rows, lease = execution.step_runs, execution.lease(step)
        if not rows.extend_compensation_lease(row.pk, attempt=row.compensation_attempt, lease=lease):
            raise StepInterrupted

    ctx = compensation_context_of(execution, row, heartbeat)
    try:
        with time_limit(timeout_of(step)) as running:
            limit.append(running)
            step.call_compensation(execution.workflow(), ctx, _result_of(row))
    except StepInterrupted:
        drop_interrupted(execution.using)
        return _failed(execution, row, step, _timed_out(step))
    except FAILURES as err:
        return _failed(execution, row, step, err)
    landed = _landed_by(execution, row, row.compensation_attempt)
    return in_transaction(execution, lambda: _finish(execution, row), landed=landed)


def _inside(execution: Execution, row: StepRun, step: Step[Any]) -> Next:
    joined = connections[execution.using].in_atomic_block
    until = time.monotonic() + timeout_of(step)

    def work() -> Next:
        what = f"The compensation of step {step.name} of {execution.run.workflow}"
        ctx = compensation_context_of(execution, row)
        with (
            refuse_swallowed_errors(execution.using, what),
            time_limit_until(until, interrupts=not joined),
        ):
            step.call_compensation(execution.workflow(), ctx, _result_of(row))
        return _finish(execution, row)

    try:
        return in_transaction(execution, work, landed=_landed_by(execution, row, row.compensation_attempt))
    except StepInterrupted:
        drop_interrupted(execution.using)
        return _failed(execution, row, step, _timed_out(step))
    except LostClaim:
        raise
    except FAILURES as err:
        if joined and is_contention(err):
            raise  # only the caller, whose transaction it is, can start over
        return _failed(execution, row, step, err)


def _finish(execution: Execution, row: StepRun) -> Next:
    rows = execution.step_runs

    def record_and_claim(following: Claim) -> bool:
        won, claimed = rows.finish_and_claim_compensation(
            row.pk,
            attempt=row.compensation_attempt,
            at=row.compensation_ended_at or host_now(),
            following=following,
        )
        if not won:
            raise LostClaim
        return claimed

    return _undone(execution, row, rows.finish_compensation, record_and_claim)


def _undone(
    execution: Execution,
    row: StepRun,
    verb: Callable[..., bool],
    record_and_claim: Callable[[Claim], bool] | None = None,
) -> Next:
    """Record with the verb that the step was undone, and claim what follows."""

    def record() -> None:
        if not verb(row.pk, attempt=row.compensation_attempt, at=ended_at):
            raise LostClaim

    ended_at = host_now()
    row.reflect(compensation=Compensation.DONE, compensation_ended_at=ended_at)
    announce_undone(execution, row.name)
    return proceed(execution, row.name, record, record_and_claim)


def _landed_by(execution: Execution, row: StepRun, attempt: int) -> Callable[[], bool]:
    """Return what asks whether the journal holds this very undoing.

    An inverse is not claimed, so another worker may have carried it out under the same token: only the moment
    at which it ended tells the two apart.
    """

    def landed() -> bool:
        mine = {"compensation_attempt": attempt, "compensation_ended_at": row.compensation_ended_at}
        return execution.step_runs.filter(pk=row.pk, compensation=Compensation.DONE, **mine).exists()

    return landed


def _failed(execution: Execution, row: StepRun, step: Step[Any], error: BaseException) -> Next:
    own = step.compensation.retry if step.compensation else None
    retry = own or step.retry or DEFAULT_RETRY
    failures = row.compensation_failures + 1
    described = describe(error, step=step.name, action=execution.action)
    if not retry.allows(error, failures):
        return in_transaction(execution, lambda: _give_up(execution, row, described.error))
    delay = retry.delay_before(failures, random.random)
    return in_transaction(execution, lambda: _again(execution, row, described.error, delay))


def _give_up(execution: Execution, row: StepRun, error: dict[str, Any]) -> Next:
    lock_run(execution)
    rows = execution.step_runs
    if not rows.fail_compensation(row.pk, attempt=row.compensation_attempt, error=error):
        raise LostClaim
    return look(execution)


def _again(execution: Execution, row: StepRun, error: dict[str, Any], delay: float) -> Next:
    lock_run(execution)
    RunEvent.objects.using(execution.using).record(
        execution.run,
        EventKind.COMPENSATION_ATTEMPT_FAILED,
        step=row.name,
        attempt=row.compensation_failures + 1,
        data={**error, "again_in": round(delay, 3)},
    )
    rows = execution.step_runs
    if not rows.retry_compensation(row.pk, attempt=row.compensation_attempt, delay=delay):
        raise LostClaim
    if delay:
        execution.runs.lower_wake_up(execution.run.pk, delay=delay)
        publish_run(execution, row.queue, delay=delay)
    return look(execution)


def _result_of(row: StepRun) -> Any:
    """Return what the compensation is given: the step's result, or None when nobody knows what happened."""
    return row.result if row.status == StepStatus.DONE else None


def _timed_out(step: Step[Any]) -> StepTimeout:
    return StepTimeout(f"The compensation of step {step.name} took longer than {timeout_of(step):g} seconds.")
