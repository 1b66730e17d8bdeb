"""Which steps stand on branches that were not taken: pure, over plain values."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from flowstate.models.statuses import BRANCH, SETTLED, StepStatus
from flowstate.workflows.graph import order


@dataclass(frozen=True, slots=True, kw_only=True)
class StepState:
    """What the journal says of a step."""

    name: str
    status: str
    compensation: str
    depends_on: tuple[str, ...] = ()
    branches: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """For each choice that it waits for, the options that it follows."""
    taken: str | None = None
    """Of a choice: the option that it took, or that stands for its answer."""

    @property
    def settled(self) -> bool:
        """Whether nothing will happen to the step any more, but its undoing."""
        return self.status in SETTLED


def untaken(steps: Sequence[StepState]) -> dict[str, str]:
    """Return the unsettled steps that no taken branch leads to any more, each with the reason to skip it.

    That is what depends on nothing but options not taken and steps so skipped. A step that its own condition
    left out is none of these: what depends on it goes on without it.
    """
    if not any(step.branches for step in steps):
        return {}
    by_name = {step.name: step for step in steps}
    left_out: set[str] = set()
    found: dict[str, str] = {}
    for name in order({step.name: step.depends_on for step in steps}):
        step = by_name[name]
        if step.settled and step.status != StepStatus.SKIPPED:
            continue
        needed = [by_name[dependency] for dependency in step.depends_on]
        if needed and all(leads_nowhere(step, other, left_out) for other in needed):
            left_out.add(name)
            if not step.settled:
                found[name] = _reason(step, needed, left_out)
    return found


def leads_nowhere(step: StepState, needed: StepState, left_out: Collection[str]) -> bool:
    """Return whether a step cannot be come to from one that it waits for, some being left out."""
    if needed.name in left_out:
        return True
    followed = step.branches.get(needed.name)
    return followed is not None and needed.settled and needed.taken not in followed


def _reason(step: StepState, needed: list[StepState], left_out: Collection[str]) -> str:
    for other in needed:
        if other.name not in left_out:
            option = "no option" if other.taken is None else repr(other.taken)
            return f"{BRANCH}{other.name} took {option}"
    return f"{BRANCH}only skipped steps lead here"
