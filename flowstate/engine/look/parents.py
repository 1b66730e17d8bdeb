"""The runs above a child: locked before it, and told in its own commits how it stands.

Nothing of the parent is carried out here: its step is settled, a failure turns it round, and whoever is
free goes on with it.
"""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from flowstate.engine.calls.errors import describe
from flowstate.engine.calls.hooks import announce_step_done, announce_step_failed, announce_undone
from flowstate.engine.database.blocks import flush
from flowstate.engine.execution import Execution
from flowstate.engine.handover import publish_run_of
from flowstate.engine.loading import hold
from flowstate.engine.look.counting import count_down
from flowstate.engine.look.forgiving import answered_for
from flowstate.engine.look.stopping import stop_unstarted
from flowstate.exceptions import ChildCancelled, ChildFailed, StepError, StepUnknown, WorkflowUnknown
from flowstate.models import Compensation, RunStatus, StepRun, StepStatus, WaitingFor
from flowstate.models.clock import host_now
from flowstate.models.outcome import error_of
from flowstate.workflows.workflow import Workflow


def lock_ancestors(execution: Execution) -> None:
    """Lock the rows of the runs above this one, the root's first, unless this transaction has; none for a root.

    Whoever may touch several runs does so from the root down: a cancel comes that way too.
    """
    ancestors = execution.run.ancestors
    if not ancestors or execution.ancestors_locked:
        return
    for ancestor in ancestors:
        list(execution.runs.select_for_update().filter(pk=UUID(ancestor)).values_list("pk"))
    execution.ancestors_locked = True


def tell_end(execution: Execution, status: RunStatus, value: Any = None) -> None:
    """Settle the step of the parent that waits for this run, in the transaction that ends it."""
    run = execution.run
    if run.parent_id is None:
        return
    parent = _hold_parent(execution)
    row = None if parent is None else parent.rows.get(run.parent_step)
    if parent is None or row is None:
        return
    if run.undo_of_id is None:
        _settle(execution, parent, row, status, value)
    else:
        _undone(parent, row)
    execution.stage(parent.keep_staged)
    execution.call_after(partial(flush, parent))
    parent.runs.lower_wake_up(parent.run.pk)
    publish_run_of(parent.run.pk, parent.using, row.queue)


def tell_attention(execution: Execution) -> None:
    """Have the runs above say that they wait for a person, as this one does."""
    above = [UUID(ancestor) for ancestor in execution.run.ancestors or ()]
    if above:
        execution.runs.wait_for(above, WaitingFor.PERSON)


def tell_resumed(execution: Execution) -> None:
    """Have the runs above say so no longer, where no other run below them waits for a person."""
    for ancestor in reversed(execution.run.ancestors or ()):
        if _below_waits(execution, UUID(ancestor)):
            return
        execution.runs.wait_for([UUID(ancestor)], WaitingFor.NOTHING)


def waits_below(execution: Execution) -> bool:
    """Return whether a run that works for one of this run's steps waits for a person."""
    at_work = (row.child_id or row.undone_by_id for row in execution.rows.values())
    return any(at_work) and _below_waits(execution, execution.run.pk)


def _below_waits(execution: Execution, run_id: UUID) -> bool:
    steps = execution.step_runs.filter(run_id=run_id, kind="workflow")
    pairs: Any = steps.values_list("child_id", "undone_by_id")
    below = {key for pair in pairs for key in pair if key is not None}
    return execution.runs.attention().filter(pk__in=below).exists()


def _hold_parent(execution: Execution) -> Execution | None:
    """Return a hold on the parent as it is now, its row being locked; None where it is gone."""
    steps = execution.step_runs.for_run(execution.run.parent_id)  # type: ignore[arg-type]  # not None here
    rows = list(steps.select_related("run"))
    if not rows:
        return None
    try:
        parent = hold(rows, using=execution.using)
    except (WorkflowUnknown, StepUnknown):  # this process has only the child's code; the rows are enough
        parent = Execution(
            run=rows[0].run,
            rows={row.name: row for row in rows},
            workflow=Workflow,
            action=None,
            using=execution.using,
            known=False,
        )
    parent.passive = True
    return parent


def _settle(execution: Execution, parent: Execution, row: StepRun, status: RunStatus, value: Any) -> None:
    if row.child_id != execution.run.pk:
        return
    stopped = parent.run.status != RunStatus.RUNNING
    lost = row.reason != "" and status == RunStatus.CANCELLED
    if status == RunStatus.SUCCEEDED:
        if _write(parent, row, StepStatus.DONE, result_json=value, error=None, reason="") and parent.known:
            announce_step_done(parent, row.name)
    elif stopped or lost:
        _write(parent, row, StepStatus.CANCELLED)
    else:
        _fail(execution, parent, row)


def _fail(execution: Execution, parent: Execution, row: StepRun) -> None:
    error = _error_of(execution)
    described = describe(error, step=row.name, action=parent.action)
    kept = {**described.error, "run": str(execution.run.pk)}
    forgiven = (
        row.optional or row.reason != "" or answered_for(parent, row.name)
    )  # it has lost a race, or may
    if not forgiven:
        turned = parent.runs.begin_undoing(parent.run.pk, wake_in=0, error=kept, step=row.name)
        if not turned:
            return
    if not _write(parent, row, StepStatus.FAILED, error=kept, failures=row.failures + 1, reason=""):
        return
    if not forgiven:
        parent.run.reflect(status=RunStatus.COMPENSATING, error=kept, failed_step=row.name)
        stop_unstarted(parent)
    if parent.known:
        announce_step_failed(parent, row.name, error)


def _error_of(execution: Execution) -> StepError:
    """Return the child's own error, as far as its code and words tell it."""
    now = execution.runs.get(pk=execution.run.pk)  # whoever failed it may have been another process
    if now.status == RunStatus.CANCELLED:
        by = f" by {now.cancelled_by_label}" if now.cancelled_by_label else ""
        return ChildCancelled(f"Child run {now.pk} ({now.label}) was cancelled{by}.")
    found = error_of(now)
    if isinstance(found, StepError):
        return found
    told = now.error or {}
    detail = f"Child run {now.pk} ({now.label}) failed at step {now.failed_step}: {told.get('detail', '')}"
    return ChildFailed(detail)


def _write(parent: Execution, row: StepRun, status: StepStatus, **columns: Any) -> bool:
    at = host_now()
    won = parent.step_runs.settle_waiting(row.pk, attempt=row.attempt, status=status, at=at, **columns)
    if won:
        row.reflect(status=status, ended_at=at, **columns)
        count_down(parent, [row.name])
    return won


def _undone(parent: Execution, row: StepRun) -> None:
    at = host_now()
    if parent.step_runs.finish_compensation(row.pk, attempt=row.compensation_attempt, at=at):
        row.reflect(compensation=Compensation.DONE, compensation_ended_at=at)
        if parent.known:
            announce_undone(parent, row.name)
