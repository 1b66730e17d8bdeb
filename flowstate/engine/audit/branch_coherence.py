"""Whether the steps of one run fit its order, choices, joins and races. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from flowstate.engine.audit.facts import Finding, StepFacts, Steps, before
from flowstate.engine.branches import abandoned, leads_nowhere
from flowstate.models import Compensation, Join, RunStatus, StepStatus
from flowstate.models.invariant import BY_HAND, REPORT
from flowstate.models.statuses import SETTLED, UNSTARTED
from flowstate.workflows.graph import Graph, dependents, order
from flowstate.workflows.steps import Kind

_WAITS = (StepStatus.BLOCKED, StepStatus.CANCELLED)
_BEGUN = (StepStatus.READY, StepStatus.RUNNING, StepStatus.WAITING, StepStatus.DONE)
_BADLY = (StepStatus.FAILED, StepStatus.UNKNOWN, StepStatus.CANCELLED)


def of_branches(steps: Steps, skew: timedelta, *, cascade: bool) -> Iterator[Finding]:
    """Yield what does not fit; `skew` is how far the clocks may be apart whose times are compared.

    `cascade`: whether it is known that the workflow undoes what is not to stay.
    """
    for step in steps.values():
        yield from (_of_any if step.join == Join.ANY else _of_start)(step, steps, skew)
        yield from _of_branch(step, steps)
        yield from _of_counter(step, steps)
    yield from _of_losers(steps, cascade=cascade)
    yield from _of_success(steps)


def needed_by(steps: Steps) -> Graph:
    """Return the names that each step waited for, without those that lost a race to another."""
    return {
        step.name: tuple(name for name in step.depends_on if not _has_won(step) or name == step.taken)
        for step in steps.values()
    }


def _has_won(race: StepFacts) -> bool:
    return race.kind == Kind.FIRST and race.status == StepStatus.DONE


def _of_start(step: StepFacts, steps: Steps, skew: timedelta) -> Iterator[Finding]:
    """I6: no step starts before its dependencies are settled; an atomic run is claimed as a whole."""
    if step.status in _WAITS or not step.own or step.run__atomic:
        return
    for name in step.depends_on:
        needed = steps[name]
        if needed.status not in SETTLED:
            yield "I6", step, f"was started although {name}, on which it depends, is {needed.status}", REPORT
        elif before(step.started_at, needed.ended_at, skew):
            yield "I6", step, f"was started before {name}, on which it depends, had ended", REPORT


def _of_counter(step: StepFacts, steps: Steps) -> Iterator[Finding]:
    """I7: a step counts on its own row how many it waits for, until it begins."""
    if step.status == StepStatus.BLOCKED and step.run__status == RunStatus.RUNNING:
        left = sum(steps[name].status not in SETTLED for name in step.depends_on)
        if step.missing != left:
            words = f"counts {step.missing} steps that it waits for, but of those {left} have not settled"
            yield "I7", step, words, REPORT
    elif step.status in _BEGUN and step.missing:
        yield "I7", step, f"has begun, but still counts {step.missing} steps that it waits for", REPORT


def _of_branch(step: StepFacts, steps: Steps) -> Iterator[Finding]:
    """I6: of the steps below a choice, those of the option taken run, and no others."""
    if not step.own or not step.depends_on or (step.status in _WAITS and not step.left_out):
        return
    left_out = [name for name, other in steps.items() if other.left_out]
    needed = [steps[name].state for name in step.depends_on]
    nowhere = all(leads_nowhere(step.state, other, left_out) for other in needed)
    if step.left_out and not nowhere:
        yield "I6", step, "was skipped for its branch, but a branch that was taken leads to it", REPORT
    elif nowhere and not step.left_out and step.status not in UNSTARTED:
        yield "I6", step, f"is {step.status}, but no branch that was taken leads to it", REPORT


def _of_any(step: StepFacts, steps: Steps, skew: timedelta) -> Iterator[Finding]:
    """I6: a step that waits for any of several does not start before one is done, or all have settled."""
    if step.status in _WAITS or not step.own or step.run__atomic:
        return
    needed = [steps[name] for name in step.depends_on]
    done = [other for other in needed if other.status == StepStatus.DONE]
    if not done and not all(other.status in SETTLED for other in needed):
        yield "I6", step, "was started although none of the steps is done of which it waits for any", REPORT
    elif done and all(before(step.started_at, other.ended_at, skew) for other in done):
        yield "I6", step, "was started before any of the steps had ended of which it waits for any", REPORT


def _of_losers(steps: Steps, *, cascade: bool) -> Iterator[Finding]:
    """I15: while a run goes on, and when it has ended well, only what lost a race is undone, and all of that."""
    lost = abandoned([step.state for step in steps.values()])
    for step in steps.values():
        if step.run__status in (RunStatus.RUNNING, RunStatus.SUCCEEDED) and step.tried:
            inherited = step.compensation == Compensation.WAIVED and step.run__retry_of is not None
            verb = "waived" if step.compensation == Compensation.WAIVED else "undone"
            if step.name not in lost and not inherited:  # what a retry takes over stays waived
                yield "I15", step, f"was {verb}, but its run goes on or ended well", BY_HAND
        elif cascade and step.run__status == RunStatus.SUCCEEDED and step.name in lost and step.to_undo:
            yield "I15", step, "lost a race and was done, but its run has ended without undoing it", BY_HAND


def _of_success(steps: Steps) -> Iterator[Finding]:
    """I27: a run ends well only if what it needs did; a join or a race may answer for those before it."""
    answered: set[str] = set()
    followers = dependents(graph := {step.name: tuple(step.depends_on) for step in steps.values()})
    for name in reversed(order(graph)):
        step, joins = steps[name], [steps[follower] for follower in followers[name]]
        excused = bool(joins) and all(
            join.kind == Kind.FIRST or (join.status in _BADLY and join.name in answered) for join in joins
        )
        if step.optional or excused:
            answered.add(name)
        elif step.run__status == RunStatus.SUCCEEDED and step.status in _BADLY:
            yield "I27", step, f"is {step.status} and needed, but its run ended well", REPORT
