"""The core over graphs of up to 200 steps: each step once and after all it waits for, and back the other way round."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from flowstate.engine.branches import StepState
from flowstate.engine.decide import Advance, Decision, End, Leave, Rest, RunState, Undo, decide
from flowstate.models.statuses import SETTLED, Compensation, RunStatus, StepStatus
from flowstate.workflows.graph import ancestors, order, reverse_order

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
few = settings(max_examples=25)


@dataclass(slots=True)
class Work:
    """A run that an imaginary crew works on: several steps at a time, which end in any order."""

    steps: dict[str, StepState]
    dice: random.Random
    status: RunStatus = RunStatus.RUNNING
    began: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    undone: list[str] = field(default_factory=list)

    def decision(self) -> Decision:
        steps = tuple(self.steps.values())
        return decide(RunState(status=self.status, cancelled=False, cascade=True, steps=steps))

    def change(self, name: str, **columns: object) -> None:
        self.steps[name] = replace(self.steps[name], **columns)  # type: ignore[arg-type]

    def at_work(self) -> list[str]:
        return [step.name for step in self.steps.values() if step.status == StepStatus.RUNNING]

    def being_undone(self) -> list[str]:
        return [step.name for step in self.steps.values() if step.compensation == Compensation.RUNNING]

    def end_one(self) -> None:
        name = self.dice.choice(self.at_work())
        taken = self.dice.choice(["left", "right"]) if name.startswith("c") else None
        self.ended.append(name)
        ended_at = BEGINNING + timedelta(seconds=len(self.ended))
        self.change(name, status=StepStatus.DONE, taken=taken, ended_at=ended_at)

    def forward(self, *, until: int) -> None:
        """Work until so many steps are done, or all is over."""
        while len(self.ended) < until:
            match self.decision():
                case Advance(ready, ()):
                    self._begin(ready)
                    self.end_one()
                case Leave(skipped, _cancelled):
                    for name in skipped:
                        self.change(name, status=StepStatus.SKIPPED)
                case End(status):
                    self.status = status
                    return

    def _begin(self, ready: tuple[str, ...]) -> None:
        for name in ready:
            assert all(self.steps[needed].status in SETTLED for needed in self.steps[name].depends_on)
            self.began.append(name)
            self.change(name, status=StepStatus.RUNNING)

    def fail(self) -> None:
        """Turn round: what has not begun never does, what is at work ends and is recorded."""
        self.status = RunStatus.COMPENSATING
        for step in list(self.steps.values()):
            if step.status == StepStatus.BLOCKED:
                self.change(step.name, status=StepStatus.CANCELLED)
        while self.at_work() and self.dice.random() < 0.5:
            self.end_one()

    def backward(self, *, workers: int) -> None:
        while True:
            match self.decision():
                case Undo(due):
                    free = workers - len(self.being_undone())
                    for name in due[:free]:
                        self.change(name, compensation=Compensation.RUNNING)
                    self._end_an_undoing()
                case Rest():
                    self.end_one() if self.at_work() else self._end_an_undoing()
                case End(status):
                    self.status = status
                    return

    def _end_an_undoing(self) -> None:
        name = self.dice.choice(self.being_undone())
        self.undone.append(name)
        self.change(name, compensation=Compensation.DONE)


@st.composite
def works(draw: st.DrawFn, *, choices: bool = False) -> Work:
    """Return a run over some graph; a seed keeps what hypothesis draws small."""
    size, dice = draw(st.integers(1, 200)), random.Random(draw(st.integers(0, 2**32)))  # noqa: S311 - no secret
    steps: dict[str, StepState] = {}
    for number in range(size):
        near = list(steps)[-30:]
        needed = dice.sample(near, min(len(near), dice.choice([0, 1, 1, 1, 2, 3])))
        kind = "c" if choices and dice.random() < 0.2 else "s"
        followed = {name: (dice.choice(["left", "right"]),) for name in needed if name.startswith("c")}
        step = StepState(
            name=f"{kind}{number}",
            status=StepStatus.BLOCKED,
            compensation=Compensation.PENDING,
            depends_on=tuple(needed),
            branches=followed,
        )
        steps[step.name] = step
    return Work(steps, dice)


@few
@given(works())
def test_the_order_has_each_step_once_and_after_all_it_waits_for(work: Work) -> None:
    names = list(work.steps)
    work.dice.shuffle(names)
    graph = {name: work.steps[name].depends_on for name in names}

    place = {name: number for number, name in enumerate(order(graph))}

    assert place.keys() == graph.keys()
    assert all(place[needed] < place[name] for name in graph for needed in graph[name])
    assert reverse_order(graph) == order(graph)[::-1]


@few
@given(works())
def test_every_step_begins_once_and_the_run_ends_well(work: Work) -> None:
    """I6, I7, I8."""
    work.forward(until=1000)

    assert sorted(work.began) == sorted(work.ended) == sorted(work.steps)
    assert work.status == RunStatus.SUCCEEDED


@few
@given(works(choices=True))
def test_exactly_what_no_taken_branch_leads_to_is_skipped(work: Work) -> None:
    """I6: by the definition, step by step in the order in which they are declared."""
    work.forward(until=1000)

    come_to: set[str] = set()
    for step in work.steps.values():
        ways = [
            needed in come_to
            and (needed not in step.branches or work.steps[needed].taken in step.branches[needed])
            for needed in step.depends_on
        ]
        if any(ways) or not ways:
            come_to.add(step.name)
    assert set(work.ended) == come_to
    assert {name for name, step in work.steps.items() if step.status == StepStatus.SKIPPED} == (
        work.steps.keys() - come_to
    )


@few
@given(works(), st.integers(1, 8), st.integers(0, 200))
def test_several_workers_undo_each_step_after_all_that_depended_on_it(
    work: Work, workers: int, until: int
) -> None:
    """I15, I16: exactly what was done, a late sibling among it."""
    work.forward(until=until)
    work.fail()

    work.backward(workers=workers)

    place = {name: number for number, name in enumerate(work.undone)}
    graph = {name: step.depends_on for name, step in work.steps.items()}
    assert sorted(work.undone) == sorted(work.ended)
    assert all(
        place[name] < place[needed] for name in place for needed in ancestors(graph, name) if needed in place
    )
    assert work.status == (RunStatus.COMPENSATED if work.ended else RunStatus.FAILED)


@few
@given(works(), st.integers(0, 200))
def test_one_worker_undoes_in_the_reverse_of_the_order_of_ending(work: Work, until: int) -> None:
    """I16: so that who wrote over what another step wrote is undone first."""
    work.forward(until=until)
    work.fail()
    while work.at_work():
        work.end_one()

    work.backward(workers=1)

    assert work.undone == work.ended[::-1]
