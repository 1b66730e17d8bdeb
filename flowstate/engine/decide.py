"""What to do next with a run: pure, over plain values, without a database or a clock.

`decide` is asked by whoever holds the lock of the run's row and has read the steps again. The shell around
it (`look.py`) writes what it says with compare-and-set verbs, so that a second asker changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from flowstate.engine.branches import StepState, abandoned, may_begin, untaken
from flowstate.models.statuses import Compensation, RunStatus, StepStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """What the journal says of a run; `steps` in their order."""

    status: str
    cancelled: bool
    cascade: bool
    unstopped: bool = False
    """Whether it neither failed nor was cancelled: in attention, it was only a loser that could not be undone."""
    steps: tuple[StepState, ...]


@dataclass(frozen=True, slots=True)
class Advance:
    """Let these steps be claimed, which wait for nothing any more; the run goes on."""

    ready: tuple[str, ...]
    undo: tuple[str, ...] = ()
    """Beside that, compensate these: they are done, but a race was decided against them."""
    lost: Mapping[str, str] = field(default_factory=dict)
    """What is at work although a race was decided against it, each for its reason: a child run is stopped."""


@dataclass(frozen=True, slots=True)
class Leave:
    """Settle these steps without starting them, each for its reason, and ask again."""

    skipped: Mapping[str, str]
    """No taken branch leads to them."""
    cancelled: Mapping[str, str]
    """A race was decided against them."""


@dataclass(frozen=True, slots=True)
class Undo:
    """Compensate these steps: nothing that depended on them is left to undo."""

    due: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class End:
    """Nothing is left to do: the run ends with this status."""

    status: RunStatus


@dataclass(frozen=True, slots=True)
class Attention:
    """All that could be undone was tried; a person must act on the rest."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Others are at work, or the run has ended."""


_LONG_AGO = datetime.min.replace(tzinfo=UTC)

Decision = Advance | Leave | Undo | End | Attention | Rest


def decide(run: RunState) -> Decision:
    """Return what follows from the journal, whoever asks and however often."""
    if run.status == RunStatus.RUNNING:
        return _forward(run)
    if run.status == RunStatus.COMPENSATING:
        return _backward(run)
    if run.status == RunStatus.ATTENTION:
        return _attended(run)
    return Rest()


def _forward(run: RunState) -> Decision:
    gone = abandoned(run.steps)
    skipped = untaken(run.steps)
    cancelled = {step.name: gone[step.name] for step in run.steps if step.name in gone and step.unstarted}
    if skipped or cancelled:
        return Leave(skipped, cancelled)
    by_name = {step.name: step for step in run.steps}
    blocked = (step for step in run.steps if step.status == StepStatus.BLOCKED)
    ready = tuple(step.name for step in blocked if may_begin(step, by_name))
    left = [step for step in run.steps if step.name in gone]
    undo = due_compensations(left) if run.cascade else ()
    if undo or any(_in_flight(step) for step in left) or not all(step.settled for step in run.steps):
        at_work = {step.name: gone[step.name] for step in left if step.status == StepStatus.RUNNING}
        return Advance(ready, undo, at_work)
    if any(step.compensation == Compensation.FAILED for step in left):
        return Attention()
    return End(RunStatus.SUCCEEDED)


def _backward(run: RunState) -> Decision:
    due = due_compensations(run.steps) if run.cascade else ()
    if due:
        return Undo(due)
    if any(_in_flight(step) for step in run.steps):
        return Rest()
    if any(step.compensation == Compensation.FAILED for step in run.steps):
        return Attention()
    return End(end_of_undoing(run))


def _attended(run: RunState) -> Decision:
    """Let a run end once a person has settled all that failed."""
    if any(step.compensation == Compensation.FAILED for step in run.steps):
        return Attention()
    if run.unstopped:
        return End(RunStatus.SUCCEEDED)
    return End(end_of_undoing(run))


def due_compensations(steps: Sequence[StepState]) -> tuple[str, ...]:
    """Return what may be undone now: done or in doubt, and nothing that depended on it is left to undo.

    A step still in flight holds back all that it depends on. Of steps that know nothing of each other the
    last to end comes first, since it may have written over what another one wrote; otherwise the last declared.
    """
    held: set[str] = set()
    for step in steps:
        if _in_flight(step) or _to_undo(step):
            held.update(step.depends_on)
    blocked = _ancestors(held, steps)
    due = [step for step in reversed(steps) if _to_undo(step) and step.name not in blocked]
    due.sort(key=lambda step: step.ended_at or _LONG_AGO, reverse=True)
    return tuple(step.name for step in due)


def waited_for(name: str, undone: str, steps: Sequence[StepState]) -> bool:
    """Return whether a step could not be undone before this other one was."""
    [dependencies] = [step.depends_on for step in steps if step.name == undone]
    return name in _ancestors(set(dependencies), steps)


def end_of_undoing(run: RunState) -> RunStatus:
    """Return how a run ends whose undoing is over."""
    if run.cancelled:
        return RunStatus.CANCELLED
    undone = any(step.compensation in (Compensation.DONE, Compensation.WAIVED) for step in run.steps)
    return RunStatus.COMPENSATED if undone else RunStatus.FAILED


def sole_successor(
    name: str, dependents: Sequence[str], dependencies_of: Mapping[str, tuple[str, ...]]
) -> str | None:
    """Return the one step that only waits for this one, if that is all that follows from it.

    Then, and only then, a finish may claim it without a look at the run: no sibling has a say in it.
    """
    if len(dependents) != 1 or dependencies_of[dependents[0]] != (name,):
        return None
    return dependents[0]


def _to_undo(step: StepState) -> bool:
    happened = step.status in (StepStatus.DONE, StepStatus.UNKNOWN)
    return happened and step.compensation == Compensation.PENDING


def _in_flight(step: StepState) -> bool:
    return step.status == StepStatus.RUNNING or step.compensation == Compensation.RUNNING


def _ancestors(names: set[str], steps: Sequence[StepState]) -> set[str]:
    """Return these steps with all they depend on, directly or not."""
    by_name = {step.name: step for step in steps}
    found: set[str] = set()
    open_ends = list(names)
    while open_ends:
        name = open_ends.pop()
        if name not in found:
            found.add(name)
            open_ends.extend(by_name[name].depends_on if name in by_name else ())
    return found
