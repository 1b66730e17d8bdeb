"""Branches: exactly what no taken branch leads to is skipped, over random graphs of up to 200 steps."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from flowstate.engine.branches import StepState, untaken
from flowstate.engine.decide import Advance, End, Leave, RunState, decide
from flowstate.models.statuses import Compensation, RunStatus, StepStatus

OPTIONS = ("left", "right", "ahead")
CHANCES = st.integers(0, 2**32).map(Random)
Steps = tuple[StepState, ...]


@st.composite
def forests(draw: st.DrawFn) -> Steps:
    """Blocked steps, some of them choices, declared in any order; who waits for a choice follows options."""
    size = draw(st.integers(1, 200))
    choices = draw(st.sets(st.integers(0, size - 1), max_size=size // 2))
    links = draw(
        st.lists(
            st.tuples(
                st.integers(0, size - 1),
                st.integers(0, size - 1),
                st.sets(st.sampled_from(OPTIONS), min_size=1, max_size=2),
            ),
            max_size=2 * size,
        )
    )
    needed: dict[int, dict[int, tuple[str, ...]]] = {number: {} for number in range(size)}
    for one, other, options in links:
        if one != other:
            needed[max(one, other)][min(one, other)] = tuple(sorted(options))
    return tuple(
        StepState(
            name=f"s{number}",
            status=StepStatus.BLOCKED,
            compensation=Compensation.NONE,
            depends_on=tuple(f"s{other}" for other in sorted(needed[number])),
            branches={f"s{other}": how for other, how in needed[number].items() if other in choices},
        )
        for number in draw(st.permutations(range(size)))
    )


def reached(steps: Steps) -> set[str]:
    """Return what some taken branch leads to, told the other way round: forwards from what waits for nothing."""
    found = {step.name for step in steps if not step.depends_on}
    by_name = {step.name: step for step in steps}
    before = -1
    while len(found) > before:
        before = len(found)
        for step in steps:
            for name in step.depends_on:
                if name in found and (
                    name not in step.branches or by_name[name].taken in step.branches[name]
                ):
                    found.add(step.name)
    return found


def work(steps: Steps, chance: Random) -> tuple[Steps, dict[str, str], list[str]]:
    """Do what decide says until the run ends; return the steps then, the reasons, and what was started."""
    run = RunState(status=RunStatus.RUNNING, cancelled=False, cascade=True, steps=steps)
    reasons: dict[str, str] = {}
    started: list[str] = []
    for _turn in range(4 * len(steps) + 4):
        match decide(run):
            case Leave(skipped):
                assert not reasons.keys() & skipped.keys()
                reasons |= skipped
                run = replace(run, steps=_settled(run.steps, StepStatus.SKIPPED, dict.fromkeys(skipped)))
            case Advance(ready):
                assert ready
                name = chance.choice(ready)
                started.append(name)
                option = chance.choice([*OPTIONS, None])
                status = chance.choice([StepStatus.DONE, StepStatus.SKIPPED, StepStatus.FAILED])
                run = replace(run, steps=_settled(run.steps, status, {name: option}))
            case End():
                return run.steps, reasons, started
    raise AssertionError("the run never ends")


def _settled(steps: Steps, status: StepStatus, names: dict[str, str | None]) -> Steps:
    return tuple(
        replace(step, status=status, taken=names[step.name]) if step.name in names else step for step in steps
    )


@settings(deadline=None)
@given(forests(), CHANCES)
def test_exactly_what_no_taken_branch_leads_to_is_skipped(steps: Steps, chance: Random) -> None:
    ended, reasons, started = work(steps, chance)

    names = {step.name for step in steps}
    assert reasons.keys() == names - reached(ended)
    assert set(started) == reached(ended)
    assert len(started) == len(set(started))


@settings(deadline=None)
@given(forests(), CHANCES)
def test_a_reason_names_the_choice_that_took_another_option(steps: Steps, chance: Random) -> None:
    ended, reasons, _started = work(steps, chance)

    by_name = {step.name: step for step in ended}
    for name, reason in reasons.items():
        choices = [other for other in by_name[name].branches if other not in reasons]
        expected = {
            f"branch: {other} took {'no option' if by_name[other].taken is None else repr(by_name[other].taken)}"
            for other in choices
        }
        assert reason in (expected or {"branch: only skipped steps lead here"})


@given(forests())
def test_nothing_is_skipped_before_a_choice_is_answered(steps: Steps) -> None:
    assert untaken(steps) == {}


@given(forests())
def test_without_choices_nothing_is_ever_skipped(steps: Steps) -> None:
    plain = tuple(replace(step, branches={}, status=StepStatus.FAILED) for step in steps[1:])
    known = {step.name for step in plain}
    plain = tuple(
        replace(step, depends_on=tuple(name for name in step.depends_on if name in known)) for step in plain
    )

    assert untaken(plain) == {}
