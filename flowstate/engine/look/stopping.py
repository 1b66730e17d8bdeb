"""What becomes of steps that have not started when a run is stopped: none is left waiting, in no run below."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

from flowstate.engine.execution import Execution
from flowstate.engine.handover import publish_run_of
from flowstate.engine.waits.kinds import WAIT_KINDS
from flowstate.models import EventKind, Run, RunEvent, StepRun, StepStatus
from flowstate.models.run_event import RunEventQuerySet
from flowstate.models.statuses import BRANCH
from flowstate.workflows.steps import Kind


def stop_unstarted(execution: Execution) -> None:
    """Cancel what has not started, waits among it; the caller has stopped the run, and holds its row.

    Child runs that are at work are cancelled in the same transaction, level by level: the children of each
    run are read after its row was locked, so that none can begin unseen.
    """
    execution.step_runs.stop_unstarted(execution.run.pk)
    forget_waits(execution.rows.values(), execution.using)
    if any(row.kind == Kind.WORKFLOW for row in execution.rows.values()):
        children = execution.step_runs.children_of(execution.run.pk)
        words = f"Run {execution.run.pk}, which it works for, was stopped."
        _stop_below(children, execution, words)


def stop_losing_children(execution: Execution, lost: Mapping[str, str]) -> None:
    """Cancel the child runs of steps that lost a race, in the commit that decides it; the caller holds the run's row.

    `lost`: the reason of each step at work. A child that is on its way back by itself is left to that. Once
    it has ended its step is settled, and only then may the run end.
    """
    rows = [execution.rows[name] for name in lost]
    for row in rows:
        at_work = row.kind == Kind.WORKFLOW and row.status == StepStatus.WAITING
        if not at_work or row.reason or not execution.step_runs.lose_waiting(row.pk, reason=lost[row.name]):
            continue
        row.reflect(reason=lost[row.name])
        words = f"Step {row.name} of run {execution.run.pk}, for which it works, is not needed any more: "
        child = execution.step_runs.child_of(row.pk)
        _stop_below([child], execution, words + lost[row.name].removeprefix(BRANCH) + ".")


def forget_waits(rows: Iterable[StepRun], using: str) -> None:
    """Delete what is stored of waits beside the steps, for those that wait no longer."""
    left = [row for row in rows if not row.settled]
    for kind, how in WAIT_KINDS.items():
        waiting = [row for row in left if row.kind == kind]
        if waiting:
            how.forget(waiting, using)


def _stop_below(level: list[UUID], execution: Execution, words: str) -> None:
    steps, using = execution.step_runs, execution.using
    while level:
        below: list[UUID] = []
        for child in level:
            if _cancel(child, execution.run, using, words):
                waiting = list(steps.waiting_in(child))
                steps.stop_unstarted(child)
                forget_waits(waiting, using)
                below.extend(steps.children_of(child))
        level = below


def _cancel(child: UUID, stopped: Run, using: str, words: str) -> bool:
    """Turn a child round; False where it was on its way back already, and its own children with it."""
    runs, history = Run.objects.using(using), RunEvent.objects.using(using)
    label = stopped.cancelled_by_label
    if not runs.request_cancel(child, user_id=stopped.cancelled_by_id, label=label):
        return False
    runs.begin_undoing(child, wake_in=0)
    _tell(history, child, words, label)
    publish_run_of(child, using)
    return True


def _tell(history: RunEventQuerySet, child: UUID, words: str, label: str) -> None:
    history.record(Run(pk=child), EventKind.CANCEL_REQUESTED, actor_label=label, data={"detail": words})
