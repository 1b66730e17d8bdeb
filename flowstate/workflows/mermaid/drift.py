"""How a workflow differs from the diagram that it is said to follow."""

from __future__ import annotations

from collections.abc import Iterator

from flowstate.workflows.choices import ChoiceStep
from flowstate.workflows.declaration import Declaration
from flowstate.workflows.mermaid.plan import Plan, PlannedStep
from flowstate.workflows.mermaid.retries import text_of
from flowstate.workflows.mermaid.wording import snake_case
from flowstate.workflows.policies import Retry
from flowstate.workflows.steps import Step


def differences(plan: Plan, declaration: Declaration) -> list[str]:
    """Return what differs, in words; empty where the class does as it is drawn.

    A step is found under its name in the diagram, or under that name as Python writes it.
    """
    names = {
        step.name: step.name if step.name in declaration.by_name else snake_case(step.name) or step.name
        for step in plan.steps
    }
    there = declaration.by_name
    found = [f"{name} is in the diagram only" for drawn, name in names.items() if name not in there]
    found += [f"{name} is in the class only" for name in there if name not in names.values()]
    for step in plan.steps:
        if names[step.name] in there:
            found += _of_step(step, there[names[step.name]], names)
    return found


def _of_step(planned: PlannedStep, step: Step, names: dict[str, str]) -> Iterator[str]:
    drawn = sorted((names[need.step], need.option) for need in planned.needs)
    written = sorted(
        (needed, option) for needed in step.depends_on for option in step.branches.get(needed, ("",))
    )
    if drawn != written:
        yield f"{step.name} comes after {_said(drawn)} in the diagram, after {_said(written)} in the class"
    options = step.options if isinstance(step, ChoiceStep) else ()
    if set(planned.options) != set(options):
        both = [" or ".join(sorted(given)) or "nothing" for given in (planned.options, options)]
        yield f"{step.name} chooses {both[0]} in the diagram, {both[1]} in the class"
    retries = [_tried(retry) for retry in (planned.retry, step.retry)]
    if retries[0] != retries[1]:
        yield f"{step.name} is tried again by {retries[0]} in the diagram, by {retries[1]} in the class"


def _said(needs: list[tuple[str, str]]) -> str:
    return " and ".join(f"{name}[{option}]" if option else name for name, option in needs) or "nothing"


def _tried(retry: Retry | None) -> str:
    return "nothing" if retry is None else text_of(retry).replace("\n", ", ")
