"""Steps that wait: one mechanism for times and whatever else comes from outside the run.

A waiting step is claimed like any other, in the transaction that finished the step before. Its author's
functions are called between two commits; then one commit makes it `waiting`, without lease and worker, and
plans when to look next. It is settled under the lock of the run's row, by a compare-and-set, in whichever
process learns first that what it waits for has come; that calls nobody's code.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any

from django.db import connections, transaction

from flowstate.engine.calls.contexts import context_of
from flowstate.engine.calls.errors import describe
from flowstate.engine.calls.guard import report_row_writes
from flowstate.engine.calls.hooks import announce_step_done, announce_step_failed
from flowstate.engine.calls.time_limit import time_limit
from flowstate.engine.database.blocks import LostClaim, callers_transaction, in_transaction
from flowstate.engine.database.contention import drop_interrupted, is_contention
from flowstate.engine.do.joins import refuse_failures
from flowstate.engine.do.outcome import Outcome, record_outcome
from flowstate.engine.do.step import (
    FAILURES,
    after_failure,
    default_of,
    landed,
    timed_out,
)
from flowstate.engine.execution import Execution, KeyTaken, timeout_of
from flowstate.engine.handover import publish_run, publish_step
from flowstate.engine.look.counting import count_down
from flowstate.engine.look.next import Next
from flowstate.engine.look.run import lock_run, look, read_steps, stop
from flowstate.engine.waits.kind import Verdict, Wait
from flowstate.engine.waits.kinds import WAIT_KINDS
from flowstate.exceptions import StepInterrupted
from flowstate.models import EventKind, RunEvent, RunStatus, StepRun, StepStatus
from flowstate.models.clock import host_now
from flowstate.redaction import scrubbed
from flowstate.workflows.steps import UNSET, Step

SOON = 60.0
"""Seconds up to which the end of a wait is also published, so that it comes on time; later ones are swept."""


# --- how a wait begins -----------------------------------------------------------------------------


def begin_waiting(execution: Execution, name: str) -> Next:
    """Let a claimed step wait, and return what this process does next.

    Commits the wait together with the claim of another step, if one is ready; or the outcome of a step that
    is skipped, fails or has nothing to wait for. A claim that was lost meanwhile changes nothing.
    """
    row, step = execution.rows[name], execution.step(name)
    try:
        return _begin(execution, row, step)
    except LostClaim:
        return None


def _begin(execution: Execution, row: StepRun, step: Step[Any]) -> Next:
    joined = connections[execution.using].in_atomic_block
    try:
        with (
            time_limit(timeout_of(step), interrupts=not joined),
            report_row_writes(execution.using, execution.run.workflow, step.name),
        ):
            planned, default = _plan(execution, row, step)
    except StepInterrupted:
        drop_interrupted(execution.using)
        return after_failure(execution, row, step, timed_out(row, step), in_doubt=False)
    except KeyTaken:
        raise
    except FAILURES as err:
        if joined and is_contention(err):
            raise  # only the caller, whose transaction it is, can start over
        return after_failure(execution, row, step, err, in_doubt=False)
    if isinstance(planned, Outcome):
        outcome = planned
        return in_transaction(
            execution,
            lambda: record_outcome(execution, row.name, outcome),
            landed=lambda: landed(execution, row),
        )
    wait = planned
    following = in_transaction(
        execution,
        lambda: _store(execution, execution.rows[row.name], wait, default),
        landed=lambda: landed(execution, row),
    )
    return _second_look(execution, row, step) if wait.to_match and following is None else following


def _second_look(execution: Execution, row: StepRun, step: Step[Any]) -> Next:
    """Find out whether what the step waits for is there already: only now can whoever brings it see the wait.

    A process that dies before this is replaced by the sweeper: the claim's wake-up still stands.
    """
    kind = WAIT_KINDS[step.kind]
    if callers_transaction(execution.using):
        # Until the caller commits, nobody who delivers meanwhile can see the wait.
        transaction.on_commit(partial(_look_later, execution, row), using=execution.using, robust=True)
    kind.match(execution, execution.rows[row.name])
    return in_transaction(execution, lambda: look_again(execution))


def look_again(execution: Execution) -> Next:
    """Lock the run, settle what has come for its steps, and look."""
    lock_run(execution)
    if execution.run.finished:
        return None
    read_steps(execution)
    return settle_waits(execution) or look(execution)


def _look_later(execution: Execution, row: StepRun) -> None:
    WAIT_KINDS[row.kind].match(execution, row)


def match_waits(execution: Execution) -> None:
    """Find out whether what the run's steps wait for is there; locks no run."""
    for row in execution.rows.values():
        if row.status == StepStatus.WAITING:
            WAIT_KINDS[row.kind].match(execution, row)


def _plan(execution: Execution, row: StepRun, step: Step[Any]) -> tuple[Wait | Outcome, Any]:
    """Call the author's functions; return what to wait for, or what came of the step, and its default.

    The default is asked for now, since whoever settles the wait holds locks.
    """
    refuse_failures(execution, row, step)
    ctx = context_of(execution, row)
    reason = step.condition(execution.workflow(), ctx)
    if reason is not None:
        columns = {"reason": scrubbed(reason)[:500], "result_json": default_of(step, ctx)}
        return Outcome(status=StepStatus.SKIPPED, columns=columns), None
    wait = WAIT_KINDS[step.kind].begin(execution, row, step, ctx)
    if wait is None:
        return Outcome(status=StepStatus.DONE), None
    return wait, default_of(step, ctx) if step.optional and step.default is not UNSET else None


def _store(execution: Execution, row: StepRun, wait: Wait, default: Any) -> Next:
    rows = execution.step_runs
    lock_run(execution)
    if execution.run.status != RunStatus.RUNNING:  # somebody stopped the run: nothing new begins
        if not rows.finish(row.pk, attempt=row.attempt, status=StepStatus.CANCELLED, at=host_now()):
            raise LostClaim
        return look(execution)
    if not rows.begin_waiting(
        row.pk, attempt=row.attempt, until=wait.until, default=default, child=wait.child
    ):
        raise LostClaim
    wait.write()
    _publish_end(execution, row, wait.until)
    return None if wait.to_match else look(execution)


def _publish_end(execution: Execution, row: StepRun, until: float | datetime | None) -> None:
    if until is None:
        return
    delay = (until - host_now()).total_seconds() if isinstance(until, datetime) else until
    if delay <= SOON:
        publish_run(execution, row.queue, delay=max(delay, 0.0))


# --- how it is settled -----------------------------------------------------------------------------


def something_came(execution: Execution) -> bool:
    """Return whether a wait of the run, as this process knows it, can be settled. Locks nothing."""
    if execution.run.status != RunStatus.RUNNING:
        return False
    return any(True for _found in _come(execution))


def settle_waits(execution: Execution) -> Next:
    """Settle what has come for the run's steps; the caller holds the lock of its row and looks afterwards.

    What is returned is to be done next, where a failure has turned the run round.
    """
    following: Next = None
    for row, verdict, by_time in _come(execution):
        if execution.run.status != RunStatus.RUNNING:
            break
        following = settle(execution, row, verdict, by_time=by_time)
    return following


def _come(execution: Execution) -> Iterator[tuple[StepRun, Verdict, bool]]:
    """Yield the steps for which something has come, with what, and whether it is their time."""
    waiting = [
        row
        for row in execution.rows.values()
        if row.status == StepStatus.WAITING and execution.step(row.name).tells_what_came
    ]
    if not waiting:
        return
    arrived = {
        name: verdict
        for kind in {row.kind for row in waiting}
        for name, verdict in WAIT_KINDS[kind]
        .arrived(execution, [w for w in waiting if w.kind == kind])
        .items()
    }
    rows = execution.step_runs.waiting_in(execution.run.pk)
    over = set(rows.over().values_list("pk", flat=True))
    for row in waiting:
        if row.name in arrived:
            yield row, arrived[row.name], False
        elif row.pk in over:
            yield row, WAIT_KINDS[row.kind].time_over(execution, row, execution.step(row.name)), True


def settle(execution: Execution, row: StepRun, verdict: Verdict, *, by_time: bool = False) -> Next:
    """Settle one step that waits; the caller holds the lock of the run's row and looks afterwards.

    A failure that is not forgiven turns the run round; then what is to be done next is returned.
    """
    if verdict.find_out is not None:
        found = verdict.find_out()
        return None if found is None else settle(execution, row, found)
    if verdict.error is not None:
        return _fail(execution, row, verdict.error, by_time=by_time)
    columns = {"result_json": None, **verdict.columns}  # not the default, which stood there meanwhile
    if _settled(execution, row, StepStatus.DONE, by_time=by_time, **columns):
        announce_step_done(execution, row.name)
        if verdict.told is not None:
            history = RunEvent.objects.using(execution.using)
            history.record(execution.run, EventKind.EVENT_RECEIVED, step=row.name, data=dict(verdict.told))
    return None


def _fail(execution: Execution, row: StepRun, error: Exception, *, by_time: bool) -> Next:
    """Begin to wait once more while the step's policy allows; otherwise it has failed for good."""
    step, failures = execution.step(row.name), row.failures + 1
    if step.retry is not None and step.retry.allows(error, failures):
        _wait_again(execution, row, error, step.retry.delay_before(failures, random.random))
        return None
    described = describe(error, step=row.name, action=execution.action)
    columns = {"error": described.error, "failures": failures}
    if not _settled(execution, row, StepStatus.FAILED, by_time=by_time, **columns):
        return None
    announce_step_failed(execution, row.name, error)
    return None if step.optional else stop(execution, error, step=row.name)


def _wait_again(execution: Execution, row: StepRun, error: Exception, delay: float) -> None:
    rows = execution.step_runs
    if not rows.wait_again(row.pk, attempt=row.attempt, delay=delay):
        return
    WAIT_KINDS[row.kind].forget([row], execution.using)
    described = describe(error, step=row.name, action=execution.action)
    RunEvent.objects.using(execution.using).record(
        execution.run,
        EventKind.ATTEMPT_FAILED,
        step=row.name,
        attempt=row.failures + 1,
        data={**described.error, "again_in": round(delay, 3)},
    )
    execution.runs.lower_wake_up(execution.run.pk, delay=delay)
    if delay:
        publish_step(execution, row, delay=delay)


def _settled(
    execution: Execution, row: StepRun, status: StepStatus, *, by_time: bool, **columns: Any
) -> bool:
    rows, at = execution.step_runs, host_now()
    won = rows.settle_waiting(row.pk, attempt=row.attempt, status=status, at=at, by_time=by_time, **columns)
    if won:
        row.reflect(status=status, ended_at=at, wake_at=None, **columns)
        count_down(execution, [row.name])
        WAIT_KINDS[row.kind].forget([row], execution.using)
    return won
