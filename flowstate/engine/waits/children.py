"""Child runs: how a step begins one."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

from flowstate.actions.resolve import find_workflow
from flowstate.conf import settings
from flowstate.engine.calls.hooks import announce_start
from flowstate.engine.calls.inputs import ask_workflow, encoded_input, validated
from flowstate.engine.database.blocks import flush
from flowstate.engine.execution import Execution
from flowstate.engine.new_run import new_rows, new_run, open_for_workers
from flowstate.engine.waits.kind import Wait, WaitKind
from flowstate.exceptions import ChildrenTooDeep
from flowstate.models import Run, StepRun
from flowstate.models.clock import db_now
from flowstate.workflows.children import WorkflowStep
from flowstate.workflows.context import Context


class ChildKind(WaitKind):
    """Waits for the end of a child run, which settles the step in its own last commit."""

    def begin(self, execution: Execution, row: StepRun, step: WorkflowStep, ctx: Context[Any]) -> Wait:
        """Return the wait for a child that is made now and inserted with it, under the lock of the parent's row.

        Raises `ChildrenTooDeep`, `InputInvalid`, `WorkflowUnknown`, and `StartRefused` where the child's
        workflow says no.
        """
        _refuse_depth(execution.run, step)
        child = _child_of(execution, step, ctx)
        ask_workflow(child)
        open_for_workers(child)
        child.announce_start = partial(announce_start, child)

        def write() -> None:
            child.drop_staged()
            child.ensure_journaled()
            execution.stage(child.keep_staged)
            execution.call_after(partial(flush, child))

        return Wait(child=child.run.pk, write=write)


def ancestors_below(run: Run) -> list[str]:
    """Return the runs above a child of this one, the root first."""
    return [*(run.ancestors or []), str(run.pk)]


def inherited_from(run: Run) -> dict[str, Any]:
    """Return what a run that works for another has from it: the row it is on, and who asked."""
    return {
        "parent_id": run.pk,
        "ancestors": ancestors_below(run),
        "content_type_id": run.content_type_id,
        "object_id": run.object_id,
        "requested_by_id": run.requested_by_id,
        "requested_by_label": run.requested_by_label,
        "by_system": run.by_system,
    }


def _refuse_depth(run: Run, step: WorkflowStep) -> None:
    above, most = len(ancestors_below(run)), settings().max_child_depth
    if above > most:
        message = (
            f"Step {step.name} would run {step.workflow_name} below {above} other runs, and "
            f"FLOWSTATE['MAX_CHILD_DEPTH'] allows {most}: does a workflow run itself?"
        )
        raise ChildrenTooDeep(message)


def _child_of(execution: Execution, step: WorkflowStep, ctx: Context[Any]) -> Execution:
    workflow = find_workflow(step.workflow_name)
    context = {"user": ctx.user, "entity": None}
    given = validated(workflow.input, step.input_for(ctx), what=step.workflow_name, context=context)
    limit = workflow.declaration.meta.timeout
    deadline: datetime | None = db_now(execution.using) + timedelta(seconds=limit) if limit else None
    run = new_run(
        workflow,
        None,
        None,
        None,
        input_json=encoded_input(given, step.workflow_name),
        deadline_at=deadline,
        parent_step=step.name,
        **inherited_from(execution.run),
    )
    return Execution(
        run=run,
        rows=new_rows(run, workflow),
        workflow=workflow,
        action=None,
        using=execution.using,
        journaled=False,
        enqueued=True,
    )
