"""Looks at a run under the lock of its row, and writes what `decide` says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import DateTimeField, Value
from django.db.models.functions import Least
from django.db.models.lookups import GreaterThan

from flowstate.conf import settings
from flowstate.engine.decide import Advance, Attention, End, Rest, Undo, decide
from flowstate.engine.errors import describe
from flowstate.engine.execution import Execution
from flowstate.engine.handover import publish_step
from flowstate.engine.hooks import announce, announce_end
from flowstate.engine.outputs import output_of, record_problem
from flowstate.exceptions import RunTimeout
from flowstate.models import Compensation, Run, RunStatus, StepRun, StepStatus, WaitingFor
from flowstate.models.clock import DbNow, host_now


@dataclass(frozen=True, slots=True)
class Forward:
    """Go on with this step, which this process has claimed."""

    step: str


@dataclass(frozen=True, slots=True)
class Backward:
    """Go on with undoing this step; claimed if its compensation is the user's code."""

    step: str


Next = Forward | Backward | None
"""What the process does next; None: nothing, others do or somebody must act."""


def lock_run(execution: Execution) -> None:
    """Lock the run's row until the transaction ends; always before the rows of its steps."""
    runs = Run.objects.using(execution.using).select_for_update()
    fresh = runs.only("status", "cancelled_at").get(pk=execution.run.pk)
    execution.run.reflect(status=fresh.status, cancelled_at=fresh.cancelled_at)


def look(execution: Execution) -> Next:
    """Read the steps again, decide and write; the caller holds the lock of the run's row."""
    read_steps(execution)
    match decide(execution.state()):
        case Advance(ready):
            if _deadline_passed(execution):
                return stop(execution, RunTimeout(_timeout_words(execution)), step="")
            return _advance(execution, ready)
        case Undo(due):
            return _undo(execution, due)
        case End(status):
            end_run(execution, status)
        case Attention():
            _need_attention(execution)
        case Rest():
            _plan_wake_up(execution)
    return None


def proceed(execution: Execution, record: Callable[[], None]) -> Next:
    """Record that a step was undone and go on from what is known, without reading the steps again.

    What is known to have settled has settled for good, and each write is a compare-and-set. Where that is
    not enough, or somebody was faster, the run is looked at under its lock.
    """
    decision = decide(execution.state())
    match decision:
        case End(status) if end_run(execution, status):
            record()
            return None
        case Attention() if _need_attention(execution):
            record()
            return None
        case Undo(due):
            record()
            if _claimed_undoing(execution, execution.rows[due[0]]):
                return Backward(due[0])
            lock_run(execution)
        case _:
            lock_run(execution)
            record()
    return look(execution)


def read_steps(execution: Execution) -> None:
    """Replace the rows in memory by what the journal holds now."""
    rows = StepRun.objects.using(execution.using).for_run(execution.run.pk)
    execution.rows = {row.name: row for row in rows}
    for row in execution.rows.values():
        row.run = execution.run


def stop(execution: Execution, error: BaseException, *, step: str) -> Next:
    """Turn the run round because it failed: nothing new starts; the caller holds the run's lock."""
    run = execution.run
    described = describe(error, step=step, action=execution.action)
    if Run.objects.using(execution.using).begin_undoing(
        run.pk,
        wake_in=settings().lease_grace,
        error=described.error,
        traceback=described.traceback,
        step=step,
    ):
        run.reflect(
            status=RunStatus.COMPENSATING,
            error=described.error,
            failed_step=step,
            traceback=described.traceback,
        )
        run.cause = error
        StepRun.objects.using(execution.using).stop_unstarted(run.pk)
    return look(execution)


def claim_successor(execution: Execution, row: StepRun) -> bool:
    """Claim the step that only waited for the one just finished, without a look at the run."""
    step = execution.step(row.name)
    rows = StepRun.objects.using(execution.using)
    if execution.run.deadline_at is not None:
        deadline = Value(execution.run.deadline_at, output_field=DateTimeField())
        rows = rows.filter(GreaterThan(deadline, DbNow()))
    won = rows.claim(row.pk, seen=StepStatus.BLOCKED, attempt=row.attempt, lease=execution.lease(step))
    if won:
        execution.know(row, status=StepStatus.RUNNING, attempt=row.attempt + 1, started_at=host_now())
    return won


def _advance(execution: Execution, unblocked: tuple[str, ...]) -> Next:
    rows = StepRun.objects.using(execution.using)
    mine: StepRun | None = None
    for row in execution.rows.values():
        if row.name in unblocked:
            if mine is None and execution.belongs_here(row):
                mine = _claimed(execution, row, StepStatus.BLOCKED)
            elif rows.make_ready(row.pk):
                row.reflect(status=StepStatus.READY)
                if execution.carried or not execution.belongs_here(row):
                    publish_step(execution, row)
        elif mine is None and row.status == StepStatus.READY and execution.belongs_here(row):
            mine = _claimed(execution, row, StepStatus.READY)
    _plan_wake_up(execution, claimed=mine)
    return None if mine is None else Forward(mine.name)


def _claimed(execution: Execution, row: StepRun, seen: StepStatus) -> StepRun | None:
    rows = StepRun.objects.using(execution.using)
    lease = execution.lease(execution.step(row.name))
    won = (
        rows.claim_due(row.pk, lease=lease)
        if seen == StepStatus.READY
        else rows.claim(row.pk, seen=seen, attempt=row.attempt, lease=lease)
    )
    if not won:
        return None
    row.reflect(status=StepStatus.RUNNING, attempt=row.attempt + 1, started_at=host_now())
    return row


def _undo(execution: Execution, due: tuple[str, ...]) -> Next:
    """Take the first of the due steps that may be undone now; the run's wake-up is early enough as it is."""
    if execution.passive:
        return None
    for name in due:
        if _claimed_undoing(execution, execution.rows[name]):
            return Backward(name)
    _plan_wake_up(execution)
    return None


def _claimed_undoing(execution: Execution, row: StepRun) -> bool:
    """Claim the undoing of a step; an inverse is carried out in the transaction that records it, unclaimed."""
    step = execution.step(row.name)
    if step.derives_inverse:
        return True
    rows, lease = StepRun.objects.using(execution.using), execution.lease(step)
    won = rows.claim_compensation(row.pk, attempt=row.compensation_attempt, lease=lease)
    if won:
        attempt = row.compensation_attempt + 1
        row.reflect(compensation=Compensation.RUNNING, compensation_attempt=attempt)
    return won


def _need_attention(execution: Execution) -> bool:
    won = Run.objects.using(execution.using).need_attention(execution.run.pk)
    if won:
        execution.know(execution.run, status=RunStatus.ATTENTION, waiting_for=WaitingFor.PERSON)
        announce(execution, "attention")
    return won


def end_run(execution: Execution, status: RunStatus) -> bool:
    """End the run, with its value if it ended well; False where somebody moved it meanwhile."""
    run = execution.run
    value, problem = output_of(execution) if status == RunStatus.SUCCEEDED else (None, "")
    ended_at = host_now()
    runs = Run.objects.using(execution.using)
    if not runs.end(run.pk, was=RunStatus(run.status), status=status, at=ended_at, value=value):
        return False
    execution.know(
        run,
        status=status,
        value_json=value,
        ended_at=ended_at,
        wake_at=None,
        waiting_for=WaitingFor.NOTHING,
        exclusive_key=None,
    )
    record_problem(execution, problem)
    announce_end(execution, status)
    return True


def _deadline_passed(execution: Execution) -> bool:
    run = execution.run
    if run.deadline_at is None:
        return False
    return Run.objects.using(execution.using).filter(pk=run.pk, deadline_at__lte=DbNow()).exists()


def _plan_wake_up(execution: Execution, claimed: StepRun | None = None) -> None:
    """Store when somebody must look at the run next, should this process not come back.

    Too early is harmless, too late is a defect: what this process holds counts with the end of its lease,
    what it left to others with the moment from which they may take it.
    """
    run = execution.run
    moments = _moments_of_others(execution, claimed)
    if run.deadline_at is not None and run.status == RunStatus.RUNNING:
        moments.append(run.deadline_at)
    mine = DbNow(settings().lease_grace if claimed is None else execution.lease(execution.step(claimed.name)))
    if claimed is None and moments:
        moment: datetime | DbNow | Least = min(moments)
    else:
        moment = Least(mine, Value(min(moments), output_field=DateTimeField())) if moments else mine
    waiting_for = WaitingFor.NOTHING if claimed else _waiting_for(execution)
    Run.objects.using(execution.using).set_wake_up(run.pk, moment, waiting_for)


def _moments_of_others(execution: Execution, claimed: StepRun | None) -> list[datetime]:
    moments = []
    for row in execution.rows.values():
        if row is claimed:
            continue
        if row.lease_until is not None:
            moments.append(row.lease_until)
        elif row.status == StepStatus.READY or row.compensation == Compensation.PENDING:
            mine_too = claimed is not None and row.wake_at is None and execution.belongs_here(row)
            if not mine_too and (row.status == StepStatus.READY or row.wake_at is not None):
                moments.append(row.wake_at or host_now())
    return moments


def _waiting_for(execution: Execution) -> WaitingFor:
    now = host_now()
    waits = [row for row in execution.rows.values() if row.wake_at is not None and row.wake_at > now]
    at_work = any(row.lease_until is not None for row in execution.rows.values())
    return WaitingFor.TIME if waits and not at_work else WaitingFor.NOTHING


def _timeout_words(execution: Execution) -> str:
    limit = execution.declaration.meta.timeout
    return f"Run {execution.run.pk} ({execution.run.label}) took longer than its {limit} seconds."
