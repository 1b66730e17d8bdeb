"""Races: over random graphs, several steps in flight at a time, what lost is stopped or undone and no more."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from flowstate.engine.branches import StepState, abandoned
from flowstate.engine.decide import Advance, Attention, Decision, End, Leave, RunState, decide
from flowstate.models.statuses import Compensation, RunStatus, StepStatus
from flowstate.workflows.graph import dependents

CHANCES = st.integers(0, 2**32).map(Random)
Steps = dict[str, StepState]


@st.composite
def races(draw: st.DrawFn) -> tuple[StepState, ...]:
    """Ways of one to three steps side by side, then a race among them, again and again up to 200 steps."""
    found: list[StepState] = [_step("start", ())]
    for number in range(draw(st.integers(1, 12))):
        above, ends = found[-1].name, list[str]()
        for way in range(draw(st.integers(2, 4))):
            needed = above
            for place in range(draw(st.integers(1, 3))):
                found.append(_step(f"r{number}w{way}p{place}", (needed,)))
                needed = found[-1].name
            ends.append(needed)
        found.append(
            replace(
                _step(f"race{number}", tuple(ends)), race=True, any_of=True, compensation=Compensation.NONE
            )
        )
    return tuple(found)


def _step(name: str, needed: tuple[str, ...]) -> StepState:
    return StepState(
        name=name, status=StepStatus.BLOCKED, compensation=Compensation.PENDING, depends_on=needed
    )


class Shell:
    """Does what decide says, with several steps in flight, in an order drawn by chance."""

    def __init__(self, steps: tuple[StepState, ...], chance: Random) -> None:
        self.steps: Steps = {step.name: step for step in steps}
        self.chance = chance
        self.undone: list[str] = []

    def work(self) -> Decision:
        for _turn in range(2000):
            run = RunState(
                status=RunStatus.RUNNING, cancelled=False, cascade=True, steps=tuple(self.steps.values())
            )
            match decide(run):
                case End() | Attention() as end:
                    return end
                case Leave(skipped, cancelled):
                    assert not skipped
                    for name in cancelled:
                        assert self.steps[name].unstarted
                        self.become(name, status=StepStatus.CANCELLED)
                case Advance(ready, undo):
                    for name in undo:
                        assert self.steps[name].compensation == Compensation.PENDING
                        self.become(name, compensation=Compensation.RUNNING)
                    for name in ready:
                        self.become(name, status=StepStatus.RUNNING)
                    self.finish_one()
        raise AssertionError("the run never ends")

    def finish_one(self) -> None:
        running = [step for step in self.steps.values() if step.status == StepStatus.RUNNING]
        undoing = [step for step in self.steps.values() if step.compensation == Compensation.RUNNING]
        if not running and not undoing:
            return
        step = self.chance.choice([*running, *undoing])
        if step.compensation == Compensation.RUNNING:
            self.undone.append(step.name)
            outcome = Compensation.FAILED if self.chance.random() < 0.05 else Compensation.DONE
            self.become(step.name, compensation=outcome)
        elif step.race:
            done = [name for name in step.depends_on if self.steps[name].status == StepStatus.DONE]
            self.become(step.name, status=StepStatus.DONE, taken=self.chance.choice(done))
        else:
            self.become(step.name, status=StepStatus.DONE)

    def become(self, name: str, **columns: object) -> None:
        self.steps[name] = replace(self.steps[name], **columns)  # type: ignore[arg-type]


def told_plainly(steps: Steps) -> set[str]:
    """Return the losers and what led to them alone, found from each step forwards: does it lead to a winner?"""
    followers = dependents({name: step.depends_on for name, step in steps.items()})

    def counts(name: str, follower: str) -> bool:
        race = steps[follower]
        if race.race and race.status == StepStatus.DONE and race.taken != name:
            return False
        return follower not in lost

    lost: set[str] = set()
    before = -1
    while len(lost) > before:
        before = len(lost)
        for name in steps:
            if followers[name] and not any(counts(name, follower) for follower in followers[name]):
                lost.add(name)
    return lost


@settings(deadline=None)
@given(races(), CHANCES)
def test_when_the_run_ends_exactly_what_lost_is_undone_or_never_began(
    steps: tuple[StepState, ...], chance: Random
) -> None:
    shell = Shell(steps, chance)

    end = shell.work()

    lost = told_plainly(shell.steps)
    assert set(abandoned(tuple(shell.steps.values()))) == lost
    for name, step in shell.steps.items():
        if name in lost:
            assert step.status == StepStatus.CANCELLED or name in shell.undone
        else:
            assert step.status == StepStatus.DONE
            assert name not in shell.undone
    failed = any(step.compensation == Compensation.FAILED for step in shell.steps.values())
    assert isinstance(end, Attention) == failed


@settings(deadline=None)
@given(races(), CHANCES)
def test_losers_are_undone_in_the_reverse_of_their_order(
    steps: tuple[StepState, ...], chance: Random
) -> None:
    """I16."""
    shell = Shell(steps, chance)
    shell.work()

    for place, name in enumerate(shell.undone):
        assert not set(shell.steps[name].depends_on).intersection(shell.undone[:place])
