"""decide: random graphs and random journals, worked through by an imaginary shell."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flowstate.engine.branches import StepState
from flowstate.engine.decide import (
    Advance,
    Attention,
    Decision,
    End,
    Rest,
    RunState,
    Undo,
    decide,
    due_compensations,
    end_of_undoing,
    sole_successor,
)
from flowstate.models.statuses import ENDED, SETTLED, Compensation, RunStatus, StepStatus

HAPPENED = (StepStatus.DONE, StepStatus.UNKNOWN)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[StepState, ...]:
    """Blocked steps in an order in which each stands after all it depends on."""
    size = draw(st.integers(1, 12))
    steps = []
    for number in range(size):
        needed = draw(st.sets(st.integers(0, number - 1), max_size=4)) if number else set()
        steps.append(
            StepState(
                name=f"s{number}",
                status=StepStatus.BLOCKED,
                compensation=draw(st.sampled_from([Compensation.NONE, Compensation.PENDING])),
                depends_on=tuple(f"s{other}" for other in sorted(needed)),
            )
        )
    return tuple(steps)


@st.composite
def journals(draw: st.DrawFn) -> RunState:
    """Any statuses at all, also such as no shell would write."""
    steps = tuple(
        replace(
            step,
            status=draw(st.sampled_from(list(StepStatus))),
            compensation=draw(st.sampled_from(list(Compensation))),
        )
        for step in draw(graphs())
    )
    return RunState(
        status=draw(st.sampled_from(list(RunStatus))),
        cancelled=draw(st.booleans()),
        cascade=draw(st.booleans()),
        steps=steps,
    )


def ancestors(name: str, steps: tuple[StepState, ...]) -> set[str]:
    by_name = {step.name: step for step in steps}
    found: set[str] = set()
    for needed in by_name[name].depends_on:
        found |= {needed} | ancestors(needed, steps)
    return found


@dataclass
class Shell:
    """Does what decide says, one step at a time, in an order that hypothesis draws."""

    run: RunState
    draw: st.DataObject
    started: list[str]
    undone: list[str]

    def change(self, name: str, **columns: Any) -> None:
        steps = tuple(replace(step, **columns) if step.name == name else step for step in self.run.steps)
        self.run = replace(self.run, steps=steps)

    def step(self, name: str) -> StepState:
        return next(step for step in self.run.steps if step.name == name)

    def work(self) -> Decision:
        """Carry the run to its end, several steps in flight at a time; return the last decision."""
        for _turn in range(500):
            decision = decide(self.run)
            match decision:
                case End() | Attention():
                    return decision
                case Advance(ready):
                    for name in ready:
                        self.change(name, status=StepStatus.RUNNING)
                        self.started.append(name)
                case Undo(due):
                    self.change(self.draw.draw(st.sampled_from(due)), compensation=Compensation.RUNNING)
            self.finish_one()
        raise AssertionError("the run never ends")

    def finish_one(self) -> None:
        running = [step.name for step in self.run.steps if step.status == StepStatus.RUNNING]
        undoing = [step.name for step in self.run.steps if step.compensation == Compensation.RUNNING]
        if undoing and (not running or self.draw.draw(st.booleans())):
            name = self.draw.draw(st.sampled_from(undoing))
            self.undone.append(name)
            outcome = self.draw.draw(st.sampled_from([Compensation.DONE, Compensation.FAILED]))
            self.change(name, compensation=outcome)
        elif running:
            name = self.draw.draw(st.sampled_from(running))
            outcomes = [StepStatus.DONE, StepStatus.SKIPPED, StepStatus.UNKNOWN, StepStatus.FAILED]
            self.change(name, status=self.draw.draw(st.sampled_from(outcomes)))
            if self.step(name).status in (StepStatus.FAILED, StepStatus.UNKNOWN):
                self.stop()

    def stop(self) -> None:
        unstarted = [step.name for step in self.run.steps if step.status == StepStatus.BLOCKED]
        self.run = replace(self.run, status=RunStatus.COMPENSATING)
        for name in unstarted:
            self.change(name, status=StepStatus.CANCELLED)


def shell(steps: tuple[StepState, ...], data: st.DataObject, *, cascade: bool = True) -> Shell:
    run = RunState(status=RunStatus.RUNNING, cancelled=False, cascade=cascade, steps=steps)
    return Shell(run, data, [], [])


@given(journals())
def test_asking_twice_gives_the_same_answer(run: RunState) -> None:
    assert decide(run) == decide(run)


@given(journals())
def test_no_step_starts_before_its_dependencies_have_settled(run: RunState) -> None:
    """I6."""
    decision = decide(run)

    settled = {step.name for step in run.steps if step.status in SETTLED}
    if isinstance(decision, Advance):
        for step in run.steps:
            if step.name in decision.ready:
                assert step.status == StepStatus.BLOCKED
                assert settled.issuperset(step.depends_on)


@given(journals())
def test_a_step_whose_dependencies_have_settled_is_never_forgotten(run: RunState) -> None:
    """I12."""
    decision = decide(replace(run, status=RunStatus.RUNNING))

    settled = {step.name for step in run.steps if step.status in SETTLED}
    waiting = {
        step.name
        for step in run.steps
        if step.status == StepStatus.BLOCKED and settled.issuperset(step.depends_on)
    }
    assert waiting == (set(decision.ready) if isinstance(decision, Advance) else set())


@given(journals())
def test_a_running_run_ends_exactly_when_all_its_steps_have_settled(run: RunState) -> None:
    """I8."""
    decision = decide(replace(run, status=RunStatus.RUNNING))

    assert (decision == End(RunStatus.SUCCEEDED)) == all(step.status in SETTLED for step in run.steps)


@given(journals())
def test_only_what_happened_and_was_not_yet_undone_is_undone(run: RunState) -> None:
    """I15."""
    decision = decide(replace(run, status=RunStatus.COMPENSATING))

    if isinstance(decision, Undo):
        by_name = {step.name: step for step in run.steps}
        assert run.cascade
        assert all(by_name[name].status in HAPPENED for name in decision.due)
        assert all(by_name[name].compensation == Compensation.PENDING for name in decision.due)


@given(journals())
def test_nothing_is_undone_before_what_depended_on_it(run: RunState) -> None:
    """I16."""
    due = set(due_compensations(run.steps))

    for step in run.steps:
        to_undo = step.status in HAPPENED and step.compensation == Compensation.PENDING
        in_flight = step.status == StepStatus.RUNNING or step.compensation == Compensation.RUNNING
        if to_undo or in_flight:
            assert not due & ancestors(step.name, run.steps)


@given(journals())
def test_an_undone_run_ends_only_when_nothing_is_left_or_in_flight(run: RunState) -> None:
    decision = decide(replace(run, status=RunStatus.COMPENSATING))

    in_flight = any(
        step.status == StepStatus.RUNNING or step.compensation == Compensation.RUNNING for step in run.steps
    )
    if isinstance(decision, End | Attention):
        assert not in_flight
    if isinstance(decision, Attention):
        assert any(step.compensation == Compensation.FAILED for step in run.steps)
    if isinstance(decision, End):
        assert decision.status in ENDED
        assert decision.status != RunStatus.SUCCEEDED
        assert (decision.status == RunStatus.CANCELLED) == run.cancelled


@given(journals())
def test_nothing_follows_from_a_run_that_has_ended(run: RunState) -> None:
    for status in ENDED:
        assert decide(replace(run, status=status)) == Rest()


@given(journals())
def test_a_run_that_needs_a_person_ends_once_nothing_failed_is_left(run: RunState) -> None:
    decision = decide(replace(run, status=RunStatus.ATTENTION))

    failed = any(step.compensation == Compensation.FAILED for step in run.steps)
    assert decision == (Attention() if failed else End(end_of_undoing(run)))


@given(graphs(), st.data())
def test_every_run_comes_to_an_end(steps: tuple[StepState, ...], data: st.DataObject) -> None:
    worked = shell(steps, data)

    end = worked.work()

    assert isinstance(end, End | Attention)
    assert len(worked.started) == len(set(worked.started))
    assert len(worked.undone) == len(set(worked.undone))


@given(graphs(), st.data())
def test_steps_start_after_and_are_undone_before_what_they_depend_on(
    steps: tuple[StepState, ...], data: st.DataObject
) -> None:
    """I6, I16."""
    worked = shell(steps, data)
    worked.work()

    for step in steps:
        for needed in ancestors(step.name, steps):
            if step.name in worked.started:
                assert worked.started.index(needed) < worked.started.index(step.name)
            if step.name in worked.undone and needed in worked.undone:
                assert worked.undone.index(step.name) < worked.undone.index(needed)


@given(graphs(), st.data())
def test_exactly_what_happened_is_undone(steps: tuple[StepState, ...], data: st.DataObject) -> None:
    """I15, I18: a failed undoing stops no other."""
    worked = shell(steps, data)

    end = worked.work()

    undoable = {
        step.name
        for step in worked.run.steps
        if step.status in HAPPENED and step.compensation != Compensation.NONE
    }
    succeeded = end == End(RunStatus.SUCCEEDED)
    assert set(worked.undone) == (set() if succeeded else undoable)
    failed = any(step.compensation == Compensation.FAILED for step in worked.run.steps)
    assert isinstance(end, Attention) == failed


@given(graphs(), st.data())
def test_without_rollback_nothing_is_undone(steps: tuple[StepState, ...], data: st.DataObject) -> None:
    worked = shell(steps, data, cascade=False)

    end = worked.work()

    assert worked.undone == []
    assert end in (End(RunStatus.SUCCEEDED), End(RunStatus.FAILED))


@given(graphs())
def test_only_a_step_that_nothing_else_has_a_say_in_is_a_sole_successor(steps: tuple[StepState, ...]) -> None:
    dependencies = {step.name: step.depends_on for step in steps}
    for step in steps:
        dependents = [other.name for other in steps if step.name in other.depends_on]

        found = sole_successor(step.name, dependents, dependencies)

        if found is not None:
            assert dependents == [found]
            assert dependencies[found] == (step.name,)
        elif len(dependents) == 1:
            assert len(dependencies[dependents[0]]) > 1


def test_of_steps_that_know_nothing_of_each_other_the_last_to_end_is_undone_first() -> None:
    """I16: it may have written over what the other one wrote."""
    done: dict[str, Any] = {"status": StepStatus.DONE, "compensation": Compensation.PENDING}
    early, late = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)

    assert due_compensations(
        [
            StepState(name="late", ended_at=late, **done),
            StepState(name="early", ended_at=early, **done),
            StepState(name="twin", ended_at=early, **done),
        ]
    ) == ("late", "twin", "early")
