"""Which steps a choice or a race has decided against: pure, over plain values."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from flowstate.models.statuses import BRANCH, SETTLED, UNSTARTED, StepStatus
from flowstate.workflows.graph import dependents, order, reverse_order


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
    """Of a choice: the option that it took, or that stands for its answer. Of a race: who won it."""
    any_of: bool = False
    """Whether it begins as soon as one of the steps is done that it waits for."""
    race: bool = False
    """Whether it then decides against the others."""
    ended_at: datetime | None = None
    """When it settled, by the clock of the host that saw to it."""

    @property
    def settled(self) -> bool:
        """Whether nothing will happen to the step any more, but its undoing."""
        return self.status in SETTLED

    @property
    def unstarted(self) -> bool:
        """Whether nobody has begun it."""
        return self.status in UNSTARTED


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


def may_begin(step: StepState, by_name: Mapping[str, StepState]) -> bool:
    """Return whether all that a step waits for has settled; where any will do, whether one is done.

    With none done it begins all the same when all have settled, as without them.
    """
    needed = [by_name[name] for name in step.depends_on]
    if all(other.settled for other in needed):
        return True
    return step.any_of and any(
        other.status == StepStatus.DONE and not leads_nowhere(step, other, ()) for other in needed
    )


def abandoned(steps: Sequence[StepState]) -> dict[str, str]:
    """Return the steps that lost a race, and those that led to losers alone, each with the reason."""
    reasons = {
        loser: f"{BRANCH}{race.taken} won {race.name}"
        for race in steps
        if race.race and race.status == StepStatus.DONE
        for loser in race.depends_on
        if loser != race.taken
    }
    if not reasons:
        return {}
    graph = {step.name: step.depends_on for step in steps}
    followers = dependents(graph)
    for name in reverse_order(graph):
        lost = [reasons.get(follower) for follower in followers[name]]
        if lost and lost[0] is not None and all(lost):
            reasons.setdefault(name, lost[0])
    return reasons


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
