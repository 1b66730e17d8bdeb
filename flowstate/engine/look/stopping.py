"""What becomes of steps that have not started when a run is stopped: none is left waiting, in no run below."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from flowstate.engine.execution import Execution
from flowstate.engine.handover import publish_run_of
from flowstate.engine.waits.kinds import WAIT_KINDS
from flowstate.models import EventKind, Run, RunEvent, StepRun
from flowstate.models.run_event import RunEventQuerySet
from flowstate.workflows.steps import Kind


def stop_unstarted(execution: Execution) -> None:
    """Cancel what has not started, waits among it; the caller has stopped the run, and holds its row.

    Child runs that are at work are cancelled in the same transaction, level by level: the children of each
    run are read after its row was locked, so that none can begin unseen.
    """
    execution.step_runs.stop_unstarted(execution.run.pk)
    forget_waits(execution.rows.values(), execution.using)
    if any(row.kind == Kind.WORKFLOW for row in execution.rows.values()):
        _stop_below(execution.run, execution.using)


def forget_waits(rows: Iterable[StepRun], using: str) -> None:
    """Delete what is stored of waits beside the steps, for those that wait no longer."""
    left = [row for row in rows if not row.settled]
    for kind, how in WAIT_KINDS.items():
        waiting = [row for row in left if row.kind == kind]
        if waiting:
            how.forget(waiting, using)


def _stop_below(stopped: Run, using: str) -> None:
    steps = StepRun.objects.using(using)
    level = steps.children_of(stopped.pk)
    while level:
        below: list[UUID] = []
        for child in level:
            if _cancel(child, stopped, using):
                waiting = list(steps.waiting_in(child))
                steps.stop_unstarted(child)
                forget_waits(waiting, using)
                below.extend(steps.children_of(child))
        level = below


def _cancel(child: UUID, stopped: Run, using: str) -> bool:
    """Turn a child round; False where it was on its way back already, and its own children with it."""
    runs, history = Run.objects.using(using), RunEvent.objects.using(using)
    label = stopped.cancelled_by_label
    if not runs.request_cancel(child, user_id=stopped.cancelled_by_id, label=label):
        return False
    runs.begin_undoing(child, wake_in=0)
    _tell(history, child, f"Run {stopped.pk}, which it works for, was stopped.", label)
    publish_run_of(child, using)
    return True


def _tell(history: RunEventQuerySet, child: UUID, words: str, label: str) -> None:
    history.record(Run(pk=child), EventKind.CANCEL_REQUESTED, actor_label=label, data={"detail": words})
