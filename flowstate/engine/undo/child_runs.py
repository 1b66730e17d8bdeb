"""Undoes a child run that has ended: by a run of its own, which takes over what the child has done.

From that commit on only the new run may undo it. It begins as a run that was stopped, so that all that
undoing is, order, retries, conflicts and people, is as in any other.
"""

from __future__ import annotations

from typing import Any

from flowstate.engine.calls.errors import describe
from flowstate.engine.database.blocks import LostClaim, in_transaction
from flowstate.engine.execution import Execution, insert
from flowstate.engine.handover import publish_run_of
from flowstate.engine.look.next import Look, Next
from flowstate.engine.look.run import lock_run, look
from flowstate.engine.waits.children import inherited_from
from flowstate.exceptions import ChildGone
from flowstate.models import Run, RunStatus, StepRun
from flowstate.models.clock import DbNow, host_now
from flowstate.models.identifiers import new_run_id

_OWN = {"id", "run", "lease_until", "claimed_by", "wake_at", "celery_task_id"}
"""The columns of a step that belong to the run it is in."""


def undo_child(execution: Execution, name: str) -> Next:
    """Have the child of a step undone by a run of its own, and return what this process does meanwhile."""
    row = execution.rows[name]
    try:
        return in_transaction(execution, lambda: _begin(execution, row))
    except LostClaim:
        return Look()


def _begin(execution: Execution, row: StepRun) -> Next:
    lock_run(execution)
    children = execution.runs.select_for_update()
    child = None if row.child_id is None else children.filter(pk=row.child_id).first()
    steps = [] if child is None else list(execution.step_runs.for_run(child.pk))
    if child is None or not steps:
        return _cannot(execution, row)
    undoing = _undoing(execution, row, child)
    rows = [_copied(step, undoing) for step in steps]
    if not execution.step_runs.leave_to_run(row.pk, attempt=row.compensation_attempt, undone_by=undoing.pk):
        raise LostClaim
    execution.step_runs.give_away([step.pk for step in steps])
    insert(undoing, rows, execution.using)
    publish_run_of(undoing.pk, execution.using)
    return look(execution)


def _undoing(execution: Execution, row: StepRun, child: Run) -> Run:
    run = execution.run
    return Run(
        id=new_run_id(),
        workflow=child.workflow,
        version=child.version,
        atomic=child.atomic,
        status=RunStatus.COMPENSATING,
        input_json=child.input_json,
        initial_data_json=child.initial_data_json,
        started_at=host_now(),
        cancelled_at=host_now(),
        cancelled_by_id=run.cancelled_by_id,
        cancelled_by_label=run.cancelled_by_label,
        wake_at=DbNow(),
        undo_of_id=child.pk,
        parent_step=row.name,
        **inherited_from(run),
    )


def _copied(step: StepRun, run: Run) -> StepRun:
    columns: dict[str, Any] = {
        field.attname: getattr(step, field.attname)
        for field in StepRun._meta.concrete_fields
        if field.name not in _OWN
    }
    copy = StepRun(**columns, run_id=run.pk)
    copy.run = run
    return copy


def _cannot(execution: Execution, row: StepRun) -> Next:
    message = f"Run {row.child_id}, the child of step {row.name}, is gone: what it has done cannot be undone."
    described = describe(ChildGone(message), step=row.name, action=execution.action)
    rows = execution.step_runs
    if not rows.fail_in_place(row.pk, attempt=row.compensation_attempt, error=described.error):
        raise LostClaim
    return look(execution)
