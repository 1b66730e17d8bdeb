"""Dependencies: what each step of a class waits for, by name, and which options of a choice it follows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from flowstate.exceptions import DeclarationInvalid
from flowstate.workflows import graph
from flowstate.workflows.choices import ChoiceStep, Option
from flowstate.workflows.step_options import UNSET
from flowstate.workflows.steps import Step


@dataclass(frozen=True, slots=True)
class After:
    """What a step waits for: names in declared order, and for each choice the options that it follows."""

    names: tuple[str, ...] = ()
    branches: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class Dependencies:
    """Finds out what the steps of one class wait for: as written, as inherited, or the step above."""

    def __init__(
        self, label: str, inherited: Mapping[str, Step], own: Mapping[str, Step], compensations: Iterable[Any]
    ) -> None:
        self.label: Final = label
        self.inherited: Final = inherited
        self.own: Final = own
        self.compensations: Final = list(compensations)
        self.names: Final = list(dict.fromkeys([*inherited, *own]))

    def found(self) -> dict[str, After]:
        """Return what each step waits for, in declared order. Raises DeclarationInvalid."""
        found: dict[str, After] = {}
        for above, name in zip([None, *self.names], self.names, strict=False):
            own = self.own.get(name)
            if own is not None and own.after is not UNSET:
                found[name] = self._written(name, own.after)
            elif name in self.inherited:
                inherited = self.inherited[name]
                found[name] = After(inherited.depends_on, inherited.branches)
            else:
                found[name] = After((above,) if above else ())
            self._refuse_wrong_options(name, found[name])
        circle = graph.cycle({name: after.names for name, after in found.items()})
        if circle:
            message = f"{self.label}: these steps wait for each other: {' -> '.join(circle)}."
            raise DeclarationInvalid(message)
        return found

    def name_of(self, step: Step, what: str) -> str:
        """Return under which name this very step stands here. Raises DeclarationInvalid."""
        there = {**self.inherited, **self.own}
        found = [name for name, other in there.items() if other is step]
        found = found or [name for name, other in there.items() if other.is_copy_of(step)]
        if not found and step.name in there:
            return step.name  # overridden here, or another declaration of the same step
        if len(found) == 1:
            return found[0]
        where = f"stands here as {' and '.join(found)}: give the name" if found else "is not in this workflow"
        message = f"{what}: {step!r} {where}."
        raise DeclarationInvalid(message)

    # --- as written ----------------------------------------------------------------------------

    def _written(self, name: str, after: Any) -> After:
        """Return what `depends_on=` says."""
        what = f"{self.label}: depends_on of step {name!r}"
        if isinstance(after, str | Step | Option):
            after = [after]
        if not isinstance(after, list | tuple | set | frozenset):
            message = (
                f"{what} is a step, a name, an option of a choice, or a list of them (empty to start at once), "
                f"not {after!r}."
            )
            raise DeclarationInvalid(message)
        wanted = [self._edge(item, what) for item in after]
        for edge in wanted:
            if wanted.count(edge) > 1:
                message = f"{what} names {_said(*edge)} twice."
                raise DeclarationInvalid(message)
        names = sorted({needed for needed, _option in wanted}, key=self.names.index)
        options = {
            needed: tuple(option for other, option in wanted if other == needed and option is not None)
            for needed in names
        }
        branches = {needed: followed for needed, followed in options.items() if followed}
        for needed in branches:
            if (needed, None) in wanted:
                message = (
                    f"{what} names {needed!r} with an option and without: give the options that it follows."
                )
                raise DeclarationInvalid(message)
        return After(tuple(names), branches)

    def _edge(self, item: Any, what: str) -> tuple[str, str | None]:
        """Return a name and, where one was given, an option of it."""
        if isinstance(item, Option):
            return self.name_of(item.choice, what), item.option
        if isinstance(item, Step):
            return self.name_of(item, what), None
        if isinstance(item, str):
            name, bracket, option = item.partition("[")
            if name in self.names and (not bracket or option.endswith("]")):
                return name, option[:-1] if bracket else None
        kind = ", which is a compensation," if item in self.compensations else ","
        said = repr(item) if isinstance(item, str) else getattr(item, "__name__", repr(item))
        message = f"{what} names {said}{kind} but the steps are {', '.join(self.names)}."
        raise DeclarationInvalid(message)

    # --- choices -------------------------------------------------------------------------------

    def _refuse_wrong_options(self, name: str, after: After) -> None:
        for needed in after.names:
            step, followed = self.own.get(needed) or self.inherited[needed], after.branches.get(needed)
            if isinstance(step, ChoiceStep) and followed is None:
                message = (
                    f"{self.label}: step {name!r} stands below the choice {needed!r} and must say which option it "
                    f"follows: depends_on={needed}[{step.options[0]!r}], or a list of "
                    f"{' and '.join(f'{needed}[{option!r}]' for option in step.options)} to follow each."
                )
                raise DeclarationInvalid(message)
            for option in followed or ():
                if not isinstance(step, ChoiceStep):
                    message = (
                        f"{self.label}: step {name!r} follows the option {option!r} of {needed!r}, which is no "
                        "ChoiceStep."
                    )
                    raise DeclarationInvalid(message)
                if option not in step.options:
                    message = (
                        f"{self.label}: step {name!r} follows the option {option!r} of {needed!r}, whose options "
                        f"are {', '.join(step.options)}."
                    )
                    raise DeclarationInvalid(message)


def _said(name: str, option: str | None) -> str:
    return repr(name if option is None else f"{name}[{option}]")
