"""What a process does next on a run, after each of its commits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Forward:
    """Go on with this step, which this process has claimed."""

    step: str


@dataclass(frozen=True, slots=True)
class Backward:
    """Go on with undoing this step; claimed if its compensation is the user's code."""

    step: str


@dataclass(frozen=True, slots=True)
class Look:
    """Look at the run, in a transaction of its own.

    This one holds rows of steps, of a claim that it lost as well: to lock the run's row, which comes before
    them, would be a deadlock with who holds that and wants them.
    """


@dataclass(frozen=True, slots=True)
class Take:
    """Claim this step, in a transaction of its own, if nobody has; it is ready as far as is known."""

    step: str


Next = Forward | Backward | Look | Take | None
"""What the process does next; None: nothing, others do or somebody must act."""
