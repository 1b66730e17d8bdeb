"""Makes steps of a plan and of what each of them does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from flowstate.exceptions import DeclarationInvalid, DiagramInvalid
from flowstate.workflows.choices import ChoiceStep
from flowstate.workflows.mermaid.plan import Plan, PlannedStep
from flowstate.workflows.step_options import UNSET
from flowstate.workflows.steps import Step

Given: TypeAlias = "Callable[[Any], Any] | Step[Any]"
"""What a step of a diagram does: a function `(ctx)`, or a step with options of its own."""


def text_of(drawn: str | Path) -> str:
    """Return the text of a diagram that is given as such or by its path. Raises DiagramInvalid."""
    if isinstance(drawn, str) and "\n" in drawn:
        return drawn
    try:
        return Path(drawn).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        message = f"the diagram {str(drawn)!r} cannot be read: {error}"
        raise DiagramInvalid(message) from error


def bound(plan: Plan, given: Mapping[str, Given], label: str) -> list[Step]:
    """Return the steps of a plan in its order. Raises DeclarationInvalid where `given` does not fit it."""
    _refuse_others(plan, given, label)
    return [_bound(planned, given[planned.name], f"{label}: step {planned.name!r}") for planned in plan.steps]


def _refuse_others(plan: Plan, given: Mapping[str, Given], label: str) -> None:
    names = [step.name for step in plan.steps]
    missing = [name for name in names if name not in given]
    unknown = [str(name) for name in given if name not in names]
    if missing or unknown:
        said = [f"nothing for {', '.join(missing)}"] * bool(missing)
        said += [f"{', '.join(unknown)}, which the diagram does not have"] * bool(unknown)
        message = f"{label}: steps gives {' and '.join(said)}; the diagram has {', '.join(names)}."
        raise DeclarationInvalid(message)


def _bound(planned: PlannedStep, given: Given, what: str) -> Step:
    step = given if isinstance(given, Step) else _made(planned, given)
    if step.after is not UNSET:
        message = f"{what} has depends_on=, but the diagram says what it waits for."
        raise DeclarationInvalid(message)
    if planned.retry is not None and step.retry not in (None, planned.retry):
        message = f"{what} has another retry= than the diagram; leave one of the two out."
        raise DeclarationInvalid(message)
    options = step.options if isinstance(step, ChoiceStep) else ()
    if set(options) != set(planned.options):
        drawn = f"a choice between {', '.join(planned.options)}" if planned.options else "no choice"
        message = f"{what} is {step!r} with the options {', '.join(options) or 'none'}, but drawn is {drawn}."
        raise DeclarationInvalid(message)
    return step.standing(
        planned.name, depends_on=[str(need) for need in planned.needs], retry=planned.retry or step.retry
    )


def _made(planned: PlannedStep, fn: Any) -> Step:
    if planned.options:
        return ChoiceStep(fn, options=planned.options, name=planned.name)
    return Step(planned.name, fn)
