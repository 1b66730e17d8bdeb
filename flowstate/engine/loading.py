"""Reads a run that another process began, so that this one can work on it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flowstate.actions.bound import BoundAction
from flowstate.actions.registry import find_action
from flowstate.actions.resolve import find_workflow
from flowstate.engine.execution import Execution
from flowstate.exceptions import WorkflowUnknown
from flowstate.models import Run, StepRun
from flowstate.workflows.steps import Step


def load(run_id: UUID, *, using: str) -> Execution:
    """Return this process's hold on a run, its rows as they are now. One statement; nothing is locked.

    Raises `Run.DoesNotExist`; `WorkflowUnknown` and `StepUnknown` where this process's code does not know
    its workflow or one of its steps.
    """
    rows = list(StepRun.objects.using(using).for_run(run_id).select_related("run"))
    if not rows:
        message = f"There is no run {run_id}."
        raise Run.DoesNotExist(message)
    return hold(rows, using=using)


def hold(rows: list[StepRun], *, using: str) -> Execution:
    """Return this process's hold on a run whose steps were just read together with it.

    Raises `WorkflowUnknown` and `StepUnknown`.
    """
    run = rows[0].run
    for row in rows:
        row.run = run
    execution = Execution(
        run=run,
        rows={row.name: row for row in rows},
        workflow=find_workflow(run.workflow),
        action=_action(run),
        using=using,
    )
    for name in execution.rows:
        execution.step(name)
    return execution


def workflow_step(run: Run, name: str) -> Step[Any] | None:
    """Return the declaration of one step of a run; None where this process's code does not know it."""
    try:
        return find_workflow(run.workflow).declaration.by_name.get(name)
    except WorkflowUnknown:
        return None


def _action(run: Run) -> BoundAction | None:
    try:
        return find_action(run.action) if run.action else None
    except WorkflowUnknown:  # the action was renamed; the workflow is all that steps need
        return None
