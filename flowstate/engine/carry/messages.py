"""What a worker does when a message comes: looks whether there is work, claims it and goes on from there.

A message is only a hint. Lost, doubled, late or reordered, it changes nothing: the rows decide. One that
finds nothing to do has cost one statement.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from uuid import UUID

from django.db import DatabaseError, router, transaction

from flowstate.conf import settings
from flowstate.engine.database.blocks import in_transaction
from flowstate.engine.database.contention import is_contention
from flowstate.engine.decide import Advance, Rest, decide
from flowstate.engine.do.waiting import look_again, something_came
from flowstate.engine.drive import drive
from flowstate.engine.execution import Execution
from flowstate.engine.functions.learn import learn_what_matters
from flowstate.engine.loading import hold
from flowstate.engine.look.next import Forward, Next
from flowstate.engine.look.recheck import to_recheck
from flowstate.engine.look.run import lock_run, look_anew, read_steps
from flowstate.engine.start.atomic import atomic_lease, run_atomic
from flowstate.exceptions import StepUnknown, WorkflowUnknown
from flowstate.models import Run, RunStatus, StepRun, StepStatus, WaitingFor
from flowstate.models.clock import host_now
from flowstate.workflows.steps import Kind

logger = logging.getLogger("flowstate.carrier")


SLICE = 0.2
"""Seconds after which a drain begins no further run: Celery's prefetch must not hold wake-ups back."""

PUT_OFF = 10.0
"""Seconds for which a run that this worker cannot move on is left alone."""

STAY = 1.0
"""Seconds after which a run that takes long is left to whoever is free, between two of its steps."""


def carry_run(run_id: str, *, queue: str) -> str:
    """Work on a run as far as this worker may; return its status afterwards, "" if there was nothing to do."""
    execution = _load(UUID(run_id), queue)
    return "" if execution is None else _carry(execution)


def drain(queue: str, *, wake_next: Callable[[], None], stopping: Callable[[], bool]) -> int:
    """Work on what is due for a queue, one run to its end after the other; return how many were taken up.

    Begins no further run after 0.2 s, and none once `stopping()`. `wake_next` is called before the first
    step if there is more to do, so that others join in and a long step holds nobody up, and at the end.
    """
    using = router.db_for_write(Run)
    steps, queues = StepRun.objects.using(using), _served(queue)
    until = time.monotonic() + SLICE
    taken: set[UUID] = set()
    while not stopping() and time.monotonic() < until:
        rows = steps.of_next_run(queues)
        if not rows:
            return len(taken)
        if _has_branches(rows, queues) or (not taken and len(steps.due_runs(queues, limit=2)) == 2):
            wake_next()
        _take_next(rows, queue, using, taken)
    wake_next()
    return len(taken)


def _has_branches(rows: list[StepRun], queues: list[str]) -> bool:
    """Return whether more than one step of a run may be begun now by who serves these queues."""
    now = host_now()
    ready = (row for row in rows if row.status == StepStatus.READY and row.queue in queues)
    return sum(row.wake_at is None or row.wake_at <= now for row in ready) > 1


def _served(queue: str) -> list[str]:
    """Return how steps name the queue; those that name none wait in the default one."""
    return [queue, ""] if queue == settings().default_queue else [queue]


def _take_next(rows: list[StepRun], queue: str, using: str, taken: set[UUID]) -> None:
    run_id = rows[0].run_id
    execution = _hold(rows, queue, using)
    if execution is None or run_id in taken:
        # Not ours to do, or it did not move: out of the way, or it would be the next one again and again.
        _put_off(run_id, using)
    else:
        _carry(execution)
    taken.add(run_id)


def _put_off(run_id: UUID, using: str) -> None:
    try:
        with transaction.atomic(using=using):  # a moment is only raised under the lock of the run's row
            if Run.objects.using(using).due().select_for_update().filter(pk=run_id).exists():
                Run.objects.using(using).put_off(run_id, delay=PUT_OFF)
    except DatabaseError as err:
        if not is_contention(err):
            raise


def _carry(execution: Execution) -> str:
    if execution.run.atomic and execution.run.status == RunStatus.RUNNING:
        return _carry_whole(execution)
    if execution.run.status == RunStatus.COMPENSATING:
        drive(execution, in_transaction(execution, lambda: look_anew(execution)))
        return execution.run.status
    if something_came(execution) or _to_compare(execution):
        drive(execution, in_transaction(execution, lambda: look_again(execution)))
        return execution.run.status
    following = _claim_ready(execution)
    if following is None and _is_to_move(execution):
        drive(execution, in_transaction(execution, lambda: look_anew(execution)))
        return execution.run.status
    if following is None and execution.has_races:  # there may be losers to undo
        following = in_transaction(execution, lambda: look_anew(execution))
    if following is None:
        return ""
    drive(execution, following)
    return execution.run.status


def carry_step(step_run_id: int, *, queue: str, celery_task_id: str = "") -> str:
    """Take one step that is due and go on from there; return its status afterwards, "" if it is not due."""
    using = router.db_for_write(Run)
    run_id = (
        StepRun.objects.using(using).due().filter(pk=step_run_id).values_list("run_id", flat=True).first()
    )
    execution = None if run_id is None else _load(run_id, queue)
    if execution is None:
        return ""
    row = next(row for row in execution.rows.values() if row.pk == step_run_id)
    if to_recheck(execution, row):
        drive(execution, in_transaction(execution, lambda: look_anew(execution)))
        return execution.rows[row.name].status
    if not _claim(execution, row, celery_task_id=celery_task_id):
        return ""
    drive(execution, Forward(row.name))
    return execution.rows[row.name].status


def _to_compare(execution: Execution) -> bool:
    """Return whether what was approved must be compared once more before a step that is ready begins."""
    return any(
        row.status == StepStatus.READY and to_recheck(execution, row) for row in execution.rows.values()
    )


def _is_to_move(execution: Execution) -> bool:
    """Return whether a child run has settled its step, and nobody has looked at what follows from that."""
    if not any(row.kind == Kind.WORKFLOW for row in execution.rows.values()):
        return False
    match decide(execution.state()):
        case Rest() | Advance((), ()):
            return False
        case _:
            return True


def _claim_ready(execution: Execution) -> Next:
    """Claim the first step that is ready for this worker; without a look at the run, since no other waits for it."""
    if execution.run.status != RunStatus.RUNNING:
        return None
    for row in execution.rows.values():
        if row.status == StepStatus.READY and execution.belongs_here(row) and _claim(execution, row):
            return Forward(row.name)
    return None


def _claim(execution: Execution, row: StepRun, *, celery_task_id: str = "") -> bool:
    lease = execution.lease(execution.step(row.name))
    rows = execution.step_runs
    try:
        if not rows.claim_due(row.pk, attempt=row.attempt, lease=lease, celery_task_id=celery_task_id):
            return False
    except DatabaseError as err:
        if not is_contention(err):
            raise
        return False  # somebody wants the same row: they have it, or the next sweep publishes it again
    row.reflect(status=StepStatus.RUNNING, attempt=row.attempt + 1, started_at=host_now())
    if execution.run.waiting_for == WaitingFor.TIME:
        execution.runs.wait_no_longer(execution.run.pk)
    return True


def _carry_whole(execution: Execution) -> str:
    if not any(row.status == StepStatus.READY for row in execution.rows.values()):
        return ""
    if in_transaction(execution, lambda: _claim_all(execution)):
        run_atomic(execution)
        return execution.run.status
    return ""


def _claim_all(execution: Execution) -> bool:
    """Claim every step of an atomic run; False where another worker has."""
    lock_run(execution)
    lease = atomic_lease(execution)
    if not execution.step_runs.claim_all(execution.run.pk, lease=lease):
        return False
    execution.runs.raise_wake_up(execution.run.pk, lease=lease)
    read_steps(execution)
    execution.inherited = frozenset(row.name for row in execution.rows.values() if row.settled)
    return True


def _load(run_id: UUID, queue: str) -> Execution | None:
    using = router.db_for_write(Run)
    rows = list(StepRun.objects.using(using).for_run(run_id).select_related("run"))
    # No rows: pruned, or rolled back with the transaction that published it.
    return _hold(rows, queue, using) if rows else None


def _hold(rows: list[StepRun], queue: str, using: str) -> Execution | None:
    try:
        execution = hold(rows, using=using)
    except (WorkflowUnknown, StepUnknown) as unknown:
        logger.warning("%s The run stays as it is for a worker that knows it.", unknown)
        return None
    learn_what_matters(execution)
    execution.carried, execution.queue = True, queue
    execution.leave_at = time.monotonic() + STAY
    return execution
