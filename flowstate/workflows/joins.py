"""Joins: how a step that waits for several begins, and races, which the first of several steps wins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from flowstate.exceptions import DeclarationInvalid
from flowstate.workflows.graph import dependents
from flowstate.workflows.policies import refuse_unknown
from flowstate.workflows.step_options import FirstOptions, option_names
from flowstate.workflows.steps import Kind, Step

if TYPE_CHECKING:
    from typing import Unpack


class FirstOf(Step[str]):
    """Is done as soon as one of the steps is, and its result is that one's name: `FirstOf(ask_one, ask_other)`.

    What has not started by then is cancelled, and what is done all the same is undone; so is what led to the
    losers alone. A step that fails has lost; if all do, the race has failed with all their errors. Takes steps
    or names, for which nothing else waits.
    """

    known_options: ClassVar[frozenset[str]] = option_names(FirstOptions)
    word = "FirstOf"

    def __init__(self, *steps: Step[Any] | str, **options: Unpack[FirstOptions]) -> None:
        what = f"{self.word} {options.get('name') or ''}".rstrip()
        refuse_unknown(what, options, self.known_options)
        if len(steps) < 2 or not all(isinstance(item, Step | str) for item in steps):
            message = f"{what} takes two steps or more, as FirstOf(ask_one, ask_other), not {steps!r}."
            raise DeclarationInvalid(message)
        common: dict[str, Any] = {key: value for key, value in options.items() if key != "name"}
        common |= {"depends_on": steps, "join": "any"}
        self._fill(what, options.get("name"), undo=False, options=common)
        vars(self).update(fn=None, kind=Kind.FIRST)

    @property
    def writes(self) -> bool:
        """Whether it changes rows: it only says who was first."""
        return False


def refuse_wrong_joins(label: str, steps: Mapping[str, Step[Any]]) -> None:
    """Raise DeclarationInvalid for joins of less than two, and for steps whose failure would have two meanings."""
    followers = dependents({name: step.depends_on for name, step in steps.items()})
    for name, step in steps.items():
        _refuse_no_join(label, step)
        for needed in step.depends_on if isinstance(step, FirstOf) or step.collect_errors else ():
            others = [other for other in followers[needed] if other != name]
            if isinstance(step, FirstOf) and others:
                message = (
                    f"{label}: {needed!r} takes part in the race {name!r}, so nothing else can wait for it, but "
                    f"{' and '.join(map(repr, others))} does: let it wait for {name!r}."
                )
                raise DeclarationInvalid(message)
            strict = [other for other in others if not steps[other].collect_errors]
            if strict and not steps[needed].optional:
                message = (
                    f"{label}: {name!r} collects the errors of {needed!r}, but {' and '.join(map(repr, strict))} "
                    f"cannot run without it: give it collect_errors=True too, or make {needed!r} optional."
                )
                raise DeclarationInvalid(message)


def _refuse_no_join(label: str, step: Step[Any]) -> None:
    if isinstance(step, FirstOf):
        if step.branches:
            message = f"{label}: the race {step.name!r} is among steps, not among the options of a choice."
            raise DeclarationInvalid(message)
        return
    said = (
        "collect_errors=True" if step.collect_errors else f"join={step.join!r}" if step.join != "all" else ""
    )
    if said and len(step.depends_on) < 2:
        message = f"{label}: step {step.name!r} says {said}, but waits for less than two steps."
        raise DeclarationInvalid(message)
    if step.collect_errors and step.join == "any":
        message = (
            f"{label}: step {step.name!r} cannot collect the errors of all it waits for with join='any', "
            "which does not wait for all."
        )
        raise DeclarationInvalid(message)
