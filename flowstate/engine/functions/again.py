"""What of a function's steps stands when a new run goes on after one that ended badly."""

from __future__ import annotations

from collections.abc import Mapping

from flowstate.engine.execution import Execution
from flowstate.engine.new_run import new_row
from flowstate.models import Compensation, Run, StepRun, StepStatus
from flowstate.workflows.function_context import FUNCTION


def asked_before(old: Execution, run: Run) -> dict[str, StepRun]:
    """Return rows for the steps whose effect stands, or is in doubt, to be filled with what came of them.

    All others the function asks for anew. One in doubt is not begun before it does.
    """
    kept = {row.name: row for row in old.rows.values() if row.name != FUNCTION and _stands(row)}
    rows = {}
    for seq, before in enumerate(kept.values()):
        row = new_row(run, old.step(before.name), seq)
        row.reflect(
            background=before.background,
            queue=before.queue,
            compensation=before.compensation,
            depends_on=_nearest(before, kept, old.rows) if before.status == StepStatus.DONE else [FUNCTION],
        )
        rows[row.name] = row
    return rows


def _stands(row: StepRun) -> bool:
    return row.status in (StepStatus.DONE, StepStatus.UNKNOWN) and row.compensation != Compensation.DONE


def _nearest(row: StepRun, kept: Mapping[str, StepRun], rows: Mapping[str, StepRun]) -> list[str]:
    """Return what a step depends on, directly or through steps that are not kept."""
    found: dict[str, None] = {}
    for name in row.depends_on:
        if name in kept and kept[name].status == StepStatus.DONE:
            found[name] = None
        elif name in rows and name != FUNCTION:
            found |= dict.fromkeys(_nearest(rows[name], kept, rows))
    return list(found)
