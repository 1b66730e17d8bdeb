"""How far a run has come, by its steps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowstate.models.step_run import StepRun


def settled_of(steps: Iterable[StepRun]) -> tuple[int, int]:
    """Return how many steps have settled, and of how many.

    How many steps a function will ask for nobody knows: what is left of it counts as one more.
    """
    rows = list(steps)
    settled = sum(row.settled for row in rows)
    goes_on = any(not row.settled and row.kind == "function" for row in rows)
    return settled, settled + 1 if goes_on else len(rows)
