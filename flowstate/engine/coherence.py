"""Whether the steps of one run fit each other: their order there and back, and what the workflow declares.

Pure but for the declaration, which is found by the run's workflow and version: of a run whose code has
changed since, only the rows are judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flowstate.actions.resolve import find_workflow
from flowstate.engine.backward import DEFAULT_RETRY
from flowstate.engine.branches import StepState, leads_nowhere
from flowstate.exceptions import FlowstateError
from flowstate.models import Compensation, RunStatus, StepStatus
from flowstate.models.invariants import BY_HAND, REPORT
from flowstate.models.statuses import BRANCH, SETTLED, UNSTARTED
from flowstate.workflows.graph import ancestors
from flowstate.workflows.steps import Step
from flowstate.workflows.workflow import Declaration

_WAITS = (StepStatus.BLOCKED, StepStatus.CANCELLED)
_HAPPENED = (StepStatus.DONE, StepStatus.UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFacts:
    """What the journal says of a step, and of its run."""

    pk: int
    run_id: Any
    name: str
    key: str
    depends_on: list[str]
    branches: dict[str, list[str]] | None
    status: str
    reason: str
    compensation: str
    failures: int
    compensation_failures: int
    started_at: datetime | None
    ended_at: datetime | None
    compensation_started_at: datetime | None
    compensation_ended_at: datetime | None
    run__status: str
    run__workflow: str
    run__version: int
    run__atomic: bool
    taken: str | None
    """Of a choice: the option that it took."""
    reopened: bool
    """Whether a person had failed compensations tried again, or forced: they come after those they held back."""

    @property
    def own(self) -> bool:
        """Whether this run did the step, rather than take it over from one that it retries."""
        return self.key == f"{self.run_id}:{self.name}"

    @property
    def left_out(self) -> bool:
        """Whether it was skipped since it stands on a branch that was not taken."""
        return self.status == StepStatus.SKIPPED and self.reason.startswith(BRANCH)

    @property
    def state(self) -> StepState:
        """What `decide` would judge."""
        return StepState(
            name=self.name,
            status=self.status,
            compensation=self.compensation,
            depends_on=tuple(self.depends_on),
            branches=self.branches or {},
            taken=self.taken,
        )

    @property
    def in_flight(self) -> bool:
        """Whether somebody works on the step or on its undoing."""
        return self.status == StepStatus.RUNNING or self.compensation == Compensation.RUNNING

    @property
    def to_undo(self) -> bool:
        """Whether the step is left to undo if the run is undone."""
        return self.status in _HAPPENED and self.compensation == Compensation.PENDING

    @property
    def tried(self) -> bool:
        """Whether its undoing was begun, or waived."""
        return self.compensation not in (Compensation.NONE, Compensation.PENDING)


Steps = Mapping[str, StepFacts]
Finding = tuple[str, StepFacts, str, str]
"""The invariant, the step that breaks it, in which words, and what to do."""


def incoherences(steps: list[StepFacts], skew: timedelta) -> Iterator[Finding]:
    """Yield what does not fit in the steps of one run, given in their order.

    `skew` is how far the clocks of the hosts may be apart whose times are compared.
    """
    by_name = {step.name: step for step in steps}
    if len(by_name) < len(steps):
        yield "I5", steps[-1], "is not the only step of its run with its name", REPORT
        return
    seen: set[str] = set()
    for step in steps:
        if step.key in seen:
            yield "I5", step, "has the idempotency key of another step of its run", REPORT
        seen.add(step.key)
        if not by_name.keys() >= set(step.depends_on):
            yield "I6", step, "depends on a step that its run does not have", REPORT
            return
    graph = {step.name: tuple(step.depends_on) for step in steps}
    declaration = _declared(steps[0].run__workflow, steps[0].run__version)
    if declaration is not None:
        yield from _of_end(steps, declaration)
    for step in steps:
        yield from _of_start(step, by_name, skew)
        yield from _of_branch(step, by_name)
        yield from _of_undoing(step, [by_name[name] for name in ancestors(graph, step.name)], skew)
        if declaration is not None:
            yield from _of_declaration(step, declaration)


def _of_start(step: StepFacts, by_name: Steps, skew: timedelta) -> Iterator[Finding]:
    """I6: no step starts before its dependencies are settled; an atomic run is claimed as a whole."""
    if step.status in _WAITS or not step.own or step.run__atomic:
        return
    for name in step.depends_on:
        needed = by_name[name]
        if needed.status not in SETTLED:
            yield "I6", step, f"was started although {name}, on which it depends, is {needed.status}", REPORT
        elif _before(step.started_at, needed.ended_at, skew):
            yield "I6", step, f"was started before {name}, on which it depends, had ended", REPORT


def _of_branch(step: StepFacts, by_name: Steps) -> Iterator[Finding]:
    """I6: of the steps below a choice, those of the option taken run, and no others."""
    if not step.own or not step.depends_on or (step.status in _WAITS and not step.left_out):
        return
    left_out = [name for name, other in by_name.items() if other.left_out]
    needed = [by_name[name].state for name in step.depends_on]
    nowhere = all(leads_nowhere(step.state, other, left_out) for other in needed)
    if step.left_out and not nowhere:
        yield "I6", step, "was skipped for its branch, but a branch that was taken leads to it", REPORT
    elif nowhere and not step.left_out and step.status not in UNSTARTED:
        yield "I6", step, f"is {step.status}, but no branch that was taken leads to it", REPORT


def _of_undoing(step: StepFacts, needed: list[StepFacts], skew: timedelta) -> Iterator[Finding]:
    """I16: nothing is undone before what depended on it, directly or not."""
    if step.reopened or step.compensation == Compensation.WAIVED:
        return
    if not (step.in_flight or step.to_undo or step.compensation_ended_at):
        return
    for other in needed:
        if not other.tried or other.compensation == Compensation.WAIVED:
            continue
        began = other.compensation_started_at or other.compensation_ended_at
        if step.in_flight or step.to_undo:
            yield "I16", other, f"was undone although {step.name}, which depended on it, was not", REPORT
        elif _before(began, step.compensation_ended_at, skew):
            yield "I16", other, f"was undone before {step.name}, which depended on it", REPORT


def _of_end(steps: list[StepFacts], declaration: Declaration) -> Iterator[Finding]:
    """I15: everything is undone in the end. Where anything was, the rows alone tell; here nothing was."""
    ended = steps[0].run__status in (RunStatus.FAILED, RunStatus.CANCELLED)
    if not ended or declaration.meta.rollback != "cascade" or any(step.tried for step in steps):
        return
    for step in steps:
        if step.to_undo:
            yield "I15", step, "was done and not undone, but its run is through with undoing", BY_HAND


def _of_declaration(step: StepFacts, declaration: Declaration) -> Iterator[Finding]:
    """I25: failures never exceed what the workflow allows."""
    known = declaration.by_name.get(step.name)
    if known is None:
        return
    forth, back = _limits(known)
    if step.failures > forth:
        yield "I25", step, f"failed {step.failures} times, but may only {forth}", REPORT
    if step.compensation_failures > back:
        times = step.compensation_failures
        yield "I25", step, f"failed {times} times in being undone, but may only {back}", REPORT


def _limits(step: Step[Any]) -> tuple[int, int]:
    own = step.compensation.retry if step.compensation else None
    back = own or step.retry or DEFAULT_RETRY
    return step.retry.max_attempts if step.retry else 1, back.max_attempts


def _before(moment: datetime | None, other: datetime | None, skew: timedelta) -> bool:
    return moment is not None and other is not None and moment < other - skew


def _declared(workflow: str, version: int) -> Declaration | None:
    try:
        declaration = find_workflow(workflow).declaration
    except FlowstateError:
        return None
    return declaration if declaration.meta.version == version else None
