"""From which step a run that ended badly can be done again: pure functions over its rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from flowstate.models import Compensation, StepStatus
from flowstate.workflows.graph import ancestors
from flowstate.workflows.steps import Kind

if TYPE_CHECKING:
    from flowstate.models import Run, StepRun

    Rows = Mapping[str, StepRun]

_STANDS = (Compensation.PENDING, Compensation.FAILED, Compensation.WAIVED)


def again_from(rows: Rows, step: str) -> frozenset[str]:
    """Return the step and all that depend on it, directly or not: what is done again from there on."""
    needs = {name: tuple(need for need in row.depends_on if need in rows) for name, row in rows.items()}
    return frozenset(name for name in rows if name == step or step in ancestors(needs, name))


def asks_for_its_steps(rows: Rows) -> bool:
    """Return whether the steps are those of a function: what follows from one of them, only it knows."""
    return any(row.kind == Kind.FUNCTION for row in rows.values())


def standing(rows: Rows, names: Iterable[str]) -> list[str]:
    """Return those of the steps that are done, could be undone, and were not.

    To do them again would leave their first effect in the world, with nothing that undoes it any more.
    """
    return [
        name for name in names if rows[name].status == StepStatus.DONE and rows[name].compensation in _STANDS
    ]


def restart_points(run: Run) -> list[str]:
    """Return the steps from which the run can be done again; not where a retry does so anyway."""
    rows = {row.name: row for row in run.steps}
    if asks_for_its_steps(rows):
        return []
    return [name for name in rows if _makes_a_difference(rows, again_from(rows, name))]


def _makes_a_difference(rows: Rows, again: frozenset[str]) -> bool:
    reused = [name for name in again if rows[name].status == StepStatus.DONE and not rows[name].compensated]
    return bool(reused) and not standing(rows, again)
