"""Carries out a whole workflow in one transaction: everything or nothing, in one commit.

Three ways lead here. Without external steps nothing is stored before the transaction: it inserts the run,
and its steps at the end. With external steps, or in a worker, the run and its steps are committed as
`running` first, since something may happen outside that only those rows can tell of.
"""

from __future__ import annotations

import time
from asyncio import CancelledError
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from django.db import IntegrityError, connections, transaction

from flowstate.conf import settings
from flowstate.engine.calls.errors import Described, describe
from flowstate.engine.calls.guard import refuse_swallowed_errors
from flowstate.engine.calls.hooks import announce_end, announce_step_done, announce_step_failed
from flowstate.engine.calls.outputs import output_of, record_problem
from flowstate.engine.calls.time_limit import time_limit
from flowstate.engine.database.blocks import (
    LostClaim,
    callers_transaction,
    commit,
    flush,
    in_transaction,
)
from flowstate.engine.database.contention import is_contention
from flowstate.engine.do.joins import outlives_failure
from flowstate.engine.do.lineage import write_touches
from flowstate.engine.do.outcome import Outcome
from flowstate.engine.do.step import FAILURES, attempt, failure_of
from flowstate.engine.drive import drive
from flowstate.engine.execution import Execution, KeyTaken, insert, timeout_of
from flowstate.engine.look.next import Next
from flowstate.engine.look.parents import lock_ancestors, tell_end
from flowstate.engine.look.run import lock_run, look, read_steps, stop
from flowstate.engine.new_run import new_rows, skip_untaken
from flowstate.exceptions import RunTimeout, StepInterrupted, StepsFailed, StepTimeout, ValueNotSerializable
from flowstate.models import EventKind, RunEvent, RunStatus, StepRun, StepStatus
from flowstate.models.clock import DbNow, host_now
from flowstate.models.processes import own_name
from flowstate.workflows.choices import ChoiceStep
from flowstate.workflows.steps import Step

ROLLED_BACK = "rolled back with the whole run"


class _Failed(Exception):
    """A step failed for good: leave the transaction, so that it rolls back."""

    def __init__(self, step: str, error: BaseException, *, in_doubt: bool = False) -> None:
        super().__init__(step, error)
        self.step, self.error, self.in_doubt = step, error, in_doubt


def run_atomic(execution: Execution) -> None:
    """Carry out all steps in one transaction, record how it ended, and undo outside effects if it failed."""
    if not execution.journaled and any(step.external for step in execution.declaration.steps):
        _journal_as_running(execution)
    started = time.monotonic()
    tries = 0

    def work() -> None:
        nonlocal tries
        tries += 1
        if tries > 1:  # the rows in memory tell of a transaction that was rolled back
            _forget(execution)
        _carry_out(execution, started)

    following: Next = None
    try:
        commit(execution, work, landed=lambda: _landed(execution))
    except _Failed as failure:
        following = _record_failure(execution, failure)
    except LostClaim:  # cancelled meanwhile, or another worker's by now
        following = _give_way(execution)
    except IntegrityError as err:  # a deferred constraint, which the database checks at COMMIT
        following = _record_failure(execution, _Failed(execution.declaration.order[-1], err))
    flush(execution)
    drive(execution, following)


def _landed(execution: Execution) -> bool:
    """Return whether the journal holds the good end of this run; others may have ended it in another way."""
    return execution.runs.filter(pk=execution.run.pk, status=RunStatus.SUCCEEDED).exists()


def atomic_lease(execution: Execution) -> float:
    """Return the seconds for which one process may hold the whole run."""
    limit = execution.declaration.meta.timeout
    steps = sum(timeout_of(step) for step in execution.declaration.steps)
    return (steps if limit is None else limit) + settings().lease_grace


def _carry_out(execution: Execution, started: float) -> None:
    """Do all steps in the caller's transaction, and end the run in it."""
    run = execution.run
    if not execution.journaled and (run.idempotency_key or run.exclusive_key):
        run.reflect(wake_at=DbNow(atomic_lease(execution)))
        _insert_run(execution)
    if not execution.journaled:
        execution.announce_start()
    skip_untaken(execution)  # an inherited choice has been answered already
    for name in execution.declaration.order:
        if not execution.rows[name].settled:
            _refuse_late(execution, started, name)
            _carry_out_step(execution, execution.rows[name], execution.step(name))
            if isinstance(execution.step(name), ChoiceStep):
                skip_untaken(execution)
    _end(execution)


def _carry_out_step(execution: Execution, row: StepRun, step: Step[Any]) -> None:
    row.reflect(status=StepStatus.RUNNING, started_at=host_now(), attempt=max(row.attempt, 1))
    while True:
        try:
            with _savepoint(execution, step), _watched(execution, step):
                outcome = attempt(
                    execution, row, step, heartbeat=None, record_undo=execution.run.parent_id is not None
                )
        except (StepInterrupted, *FAILURES) as err:
            outcome_of_failure = _after_error(execution, row, step, err)
            if outcome_of_failure is None:
                continue
            outcome = outcome_of_failure
        row.reflect(status=outcome.status, ended_at=host_now(), **outcome.columns)
        execution.touched.extend((row.name, touch) for touch in outcome.touched)
        if outcome.status == StepStatus.DONE:
            announce_step_done(execution, row.name)
        return


def _after_error(execution: Execution, row: StepRun, step: Step[Any], err: BaseException) -> Outcome | None:
    """Return how an optional step settles, or None to try again in place; otherwise leave the transaction."""
    if is_contention(err):
        raise err
    error = _timed_out(step, row) if isinstance(err, StepInterrupted) else err
    silent = (StepInterrupted, ValueNotSerializable, CancelledError)  # these do not say that nothing happened
    in_doubt = step.external and isinstance(err, (*silent, *step.unknown_on))
    if isinstance(err, StepInterrupted) and not connections[execution.using].is_usable():
        row.reflect(uncertain=row.uncertain or in_doubt)
        raise _Failed(step.name, error, in_doubt=row.uncertain) from err  # the transaction is lost with it
    row.reflect(failures=row.failures + 1, uncertain=row.uncertain or in_doubt)
    retry = None if isinstance(error, StepsFailed) else step.retry
    if retry is not None and retry.allows(error, row.failures):
        described = describe(error, step=step.name, action=execution.action)
        execution.attempts_failed.append((row.name, row.failures, described.error))
        return None
    outcome = failure_of(execution, row, step, error, failures=row.failures, uncertain=row.uncertain)
    if not outcome.forgiven:
        raise _Failed(step.name, error, in_doubt=row.uncertain) from err
    announce_step_failed(execution, row.name, error)
    return outcome


def _end(execution: Execution) -> None:
    """Store that every step has settled and the run has ended well, in the caller's transaction."""
    run, rows = execution.run, list(execution.rows.values())
    value, problem = output_of(execution)
    if execution.journaled:
        lock_run(execution)
        _settle_rows(execution, rows)
        _end_row(execution, value)
    elif run.wake_at is not None:  # inserted as running, with its keys
        execution.step_runs.insert(rows)
        _end_row(execution, value)
    else:
        run.reflect(status=RunStatus.SUCCEEDED, value_json=value, ended_at=host_now())
        insert(run, rows, execution.using)
    write_touches(execution, execution.touched)
    record_problem(execution, problem)
    _record_attempts(execution)
    announce_end(execution, RunStatus.SUCCEEDED)
    execution.stage(execution.now_journaled)


def _end_row(execution: Execution, value: Any) -> None:
    run = execution.run
    runs = execution.runs
    ended_at = host_now()
    lock_ancestors(execution)
    if not runs.end(run.pk, was=RunStatus.RUNNING, status=RunStatus.SUCCEEDED, at=ended_at, value=value):
        raise LostClaim  # cancelled meanwhile: nothing of this transaction may stay
    execution.know(
        run,
        status=RunStatus.SUCCEEDED,
        value_json=value,
        ended_at=ended_at,
        wake_at=None,
        exclusive_key=None,
    )
    tell_end(execution, RunStatus.SUCCEEDED, value)


def _settle_rows(execution: Execution, rows: list[StepRun]) -> None:
    for row in rows:
        if row.name in execution.inherited:
            continue
        columns = {
            name: getattr(row, name)
            for name in ("reason", "failures", "uncertain", "result_json", "data_json", "undo", "error")
        }
        steps = execution.step_runs
        at = row.ended_at or host_now()
        if not steps.finish(row.pk, attempt=row.attempt, status=StepStatus(row.status), at=at, **columns):
            raise LostClaim


def _insert_run(execution: Execution) -> None:
    try:
        execution.runs.insert(execution.run)
    except IntegrityError as err:
        raise KeyTaken from err


def _journal_as_running(execution: Execution) -> None:
    """Commit the run and its steps as claimed, before the transaction in which outside calls are made."""
    open_as_running(execution)
    in_transaction(execution, lambda: None)


def open_as_running(execution: Execution) -> None:
    """Let every step of a new run that has not settled be this process's; nothing is stored yet."""
    lease = atomic_lease(execution)
    execution.run.reflect(wake_at=DbNow(lease))
    for row in execution.rows.values():
        if row.name not in execution.inherited:
            row.reflect(status=StepStatus.RUNNING, attempt=1, lease_until=DbNow(lease), claimed_by=own_name())


def _forget(execution: Execution) -> None:
    """Take the rows in memory back to what the journal holds."""
    execution.attempts_failed.clear()
    execution.touched.clear()
    if execution.journaled:
        read_steps(execution)
    else:
        execution.run.reflect(wake_at=None, status=RunStatus.RUNNING, ended_at=None)
        execution.rows = new_rows(execution.run, execution.workflow)


def _record_failure(execution: Execution, failure: _Failed) -> Next:
    """Record, after the rollback, how the run failed; return what is to be undone outside."""
    rows = execution.rows
    for row in rows.values():
        if row.name not in execution.inherited:
            _reflect_rollback(row, execution.step(row.name))
    described = describe(failure.error, step=failure.step, action=execution.action)
    status = StepStatus.UNKNOWN if failure.in_doubt else StepStatus.FAILED
    rows[failure.step].reflect(status=status, error=described.error, ended_at=host_now())

    def work() -> Next:
        if not execution.journaled:
            _insert_failed(execution, described, failure.error)
            execution.stage(execution.now_journaled)
            return None
        lock_run(execution)
        _settle_rows(execution, list(rows.values()))
        _record_attempts(execution)
        return stop(execution, failure.error, step=failure.step)

    try:
        following = commit(execution, work)
    except LostClaim:  # another worker's by now, which sees to the rest
        following = None
    execution.run.cause = failure.error
    return following


def _give_way(execution: Execution) -> Next:
    """Return what is to be undone after a cancel; nothing where the claim is another worker's by now."""
    try:
        return commit(execution, lambda: _record_lost(execution))
    except LostClaim:
        return None


def _record_lost(execution: Execution) -> Next:
    """Record what the rollback of a cancelled run left; do nothing where the claim itself was lost."""
    lock_run(execution)
    if execution.run.status == RunStatus.RUNNING:
        return None
    for row in execution.rows.values():
        if row.name not in execution.inherited:
            _reflect_rollback(row, execution.step(row.name))
    _settle_rows(execution, list(execution.rows.values()))
    return look(execution)


def _reflect_rollback(row: StepRun, step: Step[Any]) -> None:
    """Tell what the rollback left of a step: outside effects stay, rows do not."""
    if step.external and row.status in (StepStatus.DONE, StepStatus.UNKNOWN):
        return
    reason = ROLLED_BACK if row.status == StepStatus.DONE else ""
    row.reflect(status=StepStatus.CANCELLED, reason=reason, result_json=None, data_json=None, undo=None)


def _insert_failed(execution: Execution, described: Described, error: BaseException) -> None:
    step = described.error["step"]
    execution.run.reflect(
        status=RunStatus.FAILED,
        error=described.error,
        traceback=described.traceback,
        failed_step=step,
        ended_at=host_now(),
        wake_at=None,
        exclusive_key=None,
    )
    try:
        insert(execution.run, list(execution.rows.values()), execution.using)
    except IntegrityError as err:
        raise KeyTaken from err
    _record_attempts(execution)
    execution.announce_start()
    announce_step_failed(execution, step, error)
    announce_end(execution, RunStatus.FAILED)


def _record_attempts(execution: Execution) -> None:
    for name, number, error in execution.attempts_failed:
        RunEvent.objects.using(execution.using).record(
            execution.run, EventKind.ATTEMPT_FAILED, step=name, attempt=number, data={**error, "again_in": 0}
        )


def _refuse_late(execution: Execution, started: float, name: str) -> None:
    limit = execution.declaration.meta.timeout
    if limit is not None and time.monotonic() - started > limit:
        words = f"Run {execution.run.pk} ({execution.run.label}) took longer than its {limit:g} seconds."
        raise _Failed(name, RunTimeout(words))


def _savepoint(execution: Execution, step: Step[Any]) -> AbstractContextManager[Any]:
    """Return a savepoint where the transaction must outlive the step's failure, else nothing."""
    retried = step.retry is not None and step.retry.max_attempts > 1
    outlives = retried or outlives_failure(execution, step)
    return transaction.atomic(using=execution.using) if outlives else nullcontext()


@contextmanager
def _watched(execution: Execution, step: Step[Any]) -> Iterator[None]:
    # A statement that is interrupted leaves the connection unusable: only outside calls, and steps whose
    # failure ends the transaction anyway, are interrupted.
    outlives = step.retry is not None or outlives_failure(execution, step)
    free = not connections[execution.using].in_atomic_block or not callers_transaction(execution.using)
    interrupts = step.external or (free and not outlives)
    what = f"Step {step.name} of {execution.run.workflow}"
    with (
        refuse_swallowed_errors(execution.using, what),
        time_limit(timeout_of(step), interrupts=interrupts),
    ):
        yield


def _timed_out(step: Step[Any], row: StepRun) -> StepTimeout:
    words = f"Step {step.name} took longer than {timeout_of(step):g} seconds in attempt {row.failures + 1}."
    return StepTimeout(words)
