"""Whether the steps of one run fit each other: their order there and back, and what the workflow declares.

Pure but for the declaration, which is found by the run's workflow and version: of a run whose code has
changed since, only the rows are judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from flowstate.actions.resolve import find_workflow
from flowstate.engine.audit.branch_coherence import needed_by, of_branches
from flowstate.engine.audit.facts import Finding, StepFacts, before
from flowstate.engine.undo.step import DEFAULT_RETRY
from flowstate.exceptions import FlowstateError
from flowstate.models import Compensation, RunStatus, StepStatus
from flowstate.models.invariant import BY_HAND, REPORT
from flowstate.workflows.graph import ancestors
from flowstate.workflows.steps import Step
from flowstate.workflows.workflow import Declaration

_WAITS = (StepStatus.BLOCKED, StepStatus.CANCELLED)
_HAPPENED = (StepStatus.DONE, StepStatus.UNKNOWN)


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
    graph = needed_by(by_name)
    declaration = _declared(steps[0].run__workflow, steps[0].run__version)
    if declaration is not None:
        yield from _of_end(steps, declaration)
    cascade = declaration is not None and declaration.meta.rollback == "cascade"
    yield from of_branches(by_name, skew, cascade=cascade)
    for step in steps:
        yield from _of_undoing(step, [by_name[name] for name in ancestors(graph, step.name)], skew)
        if declaration is not None:
            yield from _of_declaration(step, declaration)


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
        elif before(began, step.compensation_ended_at, skew):
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


def _declared(workflow: str, version: int) -> Declaration | None:
    try:
        declaration = find_workflow(workflow).declaration
    except FlowstateError:
        return None
    return declaration if declaration.meta.version == version else None
