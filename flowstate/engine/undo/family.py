"""The runs below one that would be undone with it: read level by level, one statement each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias
from uuid import UUID

from flowstate.engine.execution import Execution
from flowstate.engine.functions.learn import learn_inverses
from flowstate.engine.loading import hold
from flowstate.exceptions import StepUnknown, WorkflowUnknown
from flowstate.models import StepRun, StepStatus

Family: TypeAlias = dict[UUID, Execution | str]
"""The runs by their keys; in place of one that cannot be looked into, why not."""


def family_of(execution: Execution) -> Family:
    """Return all runs below that a cancel of the run would stop, or undoing it would undo. Locks nothing."""
    family: Family = {}
    level = _below(execution)
    while level:
        rows: dict[UUID, list[StepRun]] = {key: [] for key in level}
        for row in (
            execution.step_runs.filter(run_id__in=level).select_related("run").order_by("run_id", "seq")
        ):
            rows[row.run_id].append(row)
        found = {key: _held(key, rows[key], execution.using) for key in level}
        family |= found
        level = [key for run in found.values() if isinstance(run, Execution) for key in _below(run)]
    return family


def run_that_undoes(execution: Execution, row: StepRun) -> UUID | None:
    """Return the run whose steps are undone in place of this one: its child, or the run that undoes the child."""
    if row.status == StepStatus.WAITING:
        return row.child_id
    if row.status == StepStatus.DONE and execution.step(row.name).undone_by_run:
        return row.undone_by_id or row.child_id
    return None


def _below(execution: Execution) -> list[UUID]:
    runs: Iterable[UUID | None] = (run_that_undoes(execution, row) for row in execution.rows.values())
    return [key for key in runs if key is not None]


def _held(key: UUID, rows: list[StepRun], using: str) -> Execution | str:
    if not rows:
        return f"Run {key} is gone: what it has done cannot be undone."
    try:
        execution = hold(rows, using=using)
    except (WorkflowUnknown, StepUnknown) as err:
        return str(err)
    learn_inverses(execution)
    return execution
