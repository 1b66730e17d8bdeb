"""Finds the runs that somebody must look at, and sees to it that a worker does.

Lost messages, dead workers, due retries and passed deadlines are all found by one index, on `wake_at`. Any
number of sweepers may run at once, and none needs to be the only one: each write is a compare-and-set.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from django.db import DatabaseError, router

from flowstate.conf import settings
from flowstate.engine.carry.recover import recover
from flowstate.engine.database.blocks import flush, in_transaction
from flowstate.engine.decide import Advance, Undo, decide
from flowstate.engine.do.waiting import match_waits, settle_waits
from flowstate.engine.execution import Execution
from flowstate.engine.functions.learn import learn_what_matters
from flowstate.engine.handover import publish_run, wake_now
from flowstate.engine.loading import load
from flowstate.engine.look.run import lock_run, look
from flowstate.exceptions import StepUnknown, WorkflowUnknown
from flowstate.models import Run, RunStatus, StepRun

logger = logging.getLogger("flowstate.sweep")

Order = Literal["oldest", "newest", "random"]

REPUBLISH_AFTER = 10.0
"""Seconds that a published run is left to the workers before it is published again."""


@dataclass(slots=True)
class Patience:
    """What lets a sweeper that goes on leave queued runs to the workers until its next sweep.

    Taking up one by one what only waits for its turn would be work that the workers do anyway, and would put
    it behind what came later.
    """

    left: set[UUID] = field(default_factory=set)
    """The runs that the last sweep has left to the workers."""

    def leave(self, due: list[UUID], using: str) -> set[UUID]:
        """Wake the queues of the runs that are merely queued, and return those; none of them twice in a row."""
        queued = StepRun.objects.using(using).queues_of_queued(due)
        self.left = queued.keys() - self.left
        for queue in {queue for run_id in self.left for queue in queued[run_id]}:
            wake_now(queue or settings().default_queue)
        return self.left


def sweep(*, limit: int = 100, order: Order = "oldest", patience: Patience | None = None) -> int:
    """Take up to `limit` runs that are due and publish them; return how many were due. One statement when idle.

    With `patience`, what is merely queued is left to the workers of its queues at first, who are woken, and a
    long queue hides no run that needs more than its turn.
    """
    using = router.db_for_write(Run)
    runs = Run.objects.using(using)
    due = list(runs.due_in_order(order).values_list("pk", flat=True)[:limit])
    left = patience.leave(due, using) if patience and due else set()
    behind: list[UUID] = []
    if patience and len(due) == limit:
        behind = list(runs.due_beside_the_queued().exclude(pk__in=due).values_list("pk", flat=True)[:limit])
    for run_id in (*behind, *due):
        if run_id in left:
            continue
        try:
            take_up(run_id, using)
        except DatabaseError:
            logger.exception("Could not look at run=%s; the next sweep tries again.", run_id)
    return len(due)


def take_up(run_id: UUID, using: str) -> None:
    """Look after one run: take back what is lost, settle what has come, and publish what is to be done."""
    try:
        execution = load(run_id, using=using)
    except Run.DoesNotExist:
        return
    except (WorkflowUnknown, StepUnknown) as unknown:
        logger.warning("%s The run stays as it is for a worker that knows it.", unknown)
        Run.objects.using(using).raise_wake_up(run_id, lease=REPUBLISH_AFTER)
        return
    execution.passive = True
    learn_what_matters(execution)
    match_waits(execution)
    in_transaction(execution, lambda: _look_after(execution))
    flush(execution)


def _look_after(execution: Execution) -> None:
    lock_run(execution)
    if execution.run.finished:
        return
    recover(execution)
    move_on(execution)


def move_on(execution: Execution) -> None:
    """Settle what has come for a run, and publish what is to be done; the caller holds the lock of its row."""
    settle_waits(execution)
    look(execution)
    queues = _queues_with_work(execution)
    if queues:
        # Before publishing: a second sweeper, or a message that is lost, must not publish it all the time.
        execution.runs.raise_wake_up(execution.run.pk, lease=REPUBLISH_AFTER)
    for queue in queues:
        publish_run(execution, queue)


def _queues_with_work(execution: Execution) -> set[str]:
    if execution.run.status == RunStatus.COMPENSATING:
        # While others undo, a run that works for this one perhaps, there is nothing to take.
        return {""} if isinstance(decide(execution.state()), Undo) else set()
    if execution.run.status != RunStatus.RUNNING:
        return set()
    due = execution.step_runs.due_in(execution.run.pk)
    queues = set(due.values_list("queue", flat=True))
    return queues | {""} if execution.has_races and _losers(execution) else queues


def _losers(execution: Execution) -> bool:
    decision = decide(execution.state())
    return isinstance(decision, Advance) and bool(decision.undo)
