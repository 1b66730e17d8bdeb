"""Assembly: binds the steps of a class body into one graph and refuses what cannot work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import FunctionType
from typing import Any, Final

from flowstate.exceptions import DeclarationInvalid
from flowstate.workflows.compensations import Compensation, Mark, described, marks_of
from flowstate.workflows.declaration import outline_of
from flowstate.workflows.dependencies import After, Dependencies
from flowstate.workflows.joins import FirstOf, refuse_wrong_joins
from flowstate.workflows.options import Options
from flowstate.workflows.step_options import checked_name
from flowstate.workflows.steps import Step


class ClassBody(dict[str, Any]):
    """The namespace of a workflow's class body; refuses to lose a step or a compensation unnoticed."""

    @property
    def label(self) -> str:
        """How messages call the class that is being made."""
        return f"{self['__module__']}.{self['__qualname__']}"

    def __setitem__(self, name: str, value: Any) -> None:
        before = self.get(name)
        if isinstance(before, Step) or marks_of(before):
            raise DeclarationInvalid(self._why(name, before, value))
        super().__setitem__(name, value)

    def _why(self, name: str, before: Any, value: Any) -> str:
        if any(mark.step is before for mark in marks_of(value)):
            return f"{self.label}: the compensation of step {name!r} cannot be named {name!r} too."
        if isinstance(before, Step) and isinstance(value, Step):
            return f"{self.label}: two steps are named {name!r}."
        what = "step" if isinstance(before, Step) else "compensation"
        return f"{self.label}: the {what} {name!r} is overwritten further down in the class by {value!r}."


class Assembly:
    """One class being made: its own steps, its parent's, and how they are bound."""

    def __init__(self, cls: type[Any], label: str, reserved: Iterable[str]) -> None:
        self.cls: Final = cls
        self.label: Final = label
        self.reserved: Final = frozenset(reserved)
        self.body: Final = dict(vars(cls))
        self.inherited: Final = self._inherited()
        self.own: Final = self._own()
        self.marks: Final = [(name, mark) for name, value in self.body.items() for mark in marks_of(value)]
        compensating = [item for name, _mark in self.marks for item in (name, self.body[name])]
        self.dependencies: Final = Dependencies(label, self.inherited, self.own, compensating)

    def steps(self) -> tuple[Step, ...]:
        """Return the bound steps in declared order. Raises DeclarationInvalid."""
        self._refuse_lost_steps()
        self._refuse_hidden_steps()
        for name, step in self.own.items():
            self._refuse_name(name, step)
        compensations = self._compensations()
        after = self.dependencies.found()
        placed = {name: self._placed(name, after[name], compensations[name]) for name in after}
        refuse_wrong_joins(self.label, placed)
        return tuple(placed.values())

    def _own(self) -> dict[str, Step]:
        """Return the steps of the body; a plain method over an abstract step is what that one does."""
        found: dict[str, Step] = {}
        for name, value in self.body.items():
            inherited = self.inherited.get(name)
            if inherited is not None and inherited.abstract:
                if isinstance(value, FunctionType):
                    found[name] = inherited.filled(value)
                elif isinstance(value, Step):
                    found[name] = value.instead_of(inherited)
            elif isinstance(value, Step):
                found[name] = value
        return found

    # --- parents -------------------------------------------------------------------------------

    def _inherited(self) -> dict[str, Step]:
        parents = [base for base in self.cls.__bases__ if outline_of(base)]
        nearest = [base for base in parents if all(issubclass(base, other) for other in parents)]
        if parents and not nearest:
            both = " and ".join(base.__qualname__ for base in parents)
            message = (
                f"{self.label} has two parents with steps, {both}: which come first cannot be told. "
                "Derive from one, and take single steps of the other by name = Other.name."
            )
            raise DeclarationInvalid(message)
        found = outline_of(nearest[0]) if nearest else None
        return dict(found.by_name) if found else {}

    def _refuse_lost_steps(self) -> None:
        """Steps where nobody looks for them would silently not run."""
        for parent in self.cls.__mro__:
            if hasattr(parent, "from_steps"):
                continue
            for name, value in vars(parent).items():
                if isinstance(value, Step) or marks_of(value):
                    message = (
                        f"{self.label} inherits the step {name!r} from {parent.__qualname__}, "
                        f"which is not a workflow: derive {parent.__qualname__} from Workflow."
                    )
                    raise DeclarationInvalid(message)
        for name, value in self.body.items():
            if isinstance(_wrapped(value), Step):
                message = (
                    f"{self.label}: the step {name!r} is wrapped in a {type(value).__name__}: "
                    "@step must be the outermost decorator, and of a plain method."
                )
                raise DeclarationInvalid(message)

    def _refuse_hidden_steps(self) -> None:
        """What stands over an inherited step must be a step, or the parent's would run instead."""
        for name in self.inherited.keys() - self.own.keys():
            value = next(vars(parent)[name] for parent in self.cls.__mro__ if name in vars(parent))
            if not isinstance(value, Step):
                message = (
                    f"{self.label}: {name!r} is a step of its parent, but here it is {value!r}. Decorate the "
                    "method with @step to override the step; to leave it out, override it with when=False."
                )
                raise DeclarationInvalid(message)

    def _refuse_name(self, name: str, step: Step) -> None:
        checked_name(name, f"{self.label}: step {name!r}")
        if name in self.reserved:
            message = f"{self.label}: {name!r} belongs to Workflow and cannot be the name of a step."
            raise DeclarationInvalid(message)
        written = step.given_name
        if written not in ("", name):
            message = f"{self.label}: the step {name!r} is also named {written!r}; in a class the attribute is the name."
            raise DeclarationInvalid(message)

    # --- compensations -------------------------------------------------------------------------

    def _compensations(self) -> dict[str, Compensation | None]:
        """Return what compensates each step, by its name."""
        found = {name: self._inherited_compensation(step) for name, step in self.inherited.items()}
        found |= {name: self._own_compensation(name, step) for name, step in self.own.items()}
        marked: dict[str, str] = {}
        for method, mark in self.marks:
            name = self.dependencies.name_of(mark.step, f"{self.label}: the step that {method!r} compensates")
            self._refuse_second(name, method, marked)
            marked[name] = method
            found[name] = Compensation(fn=self.body[method], method=method, retry=mark.retry)
            self._refuse_method_name(method, mark)
        for name, compensation in found.items():
            if compensation and compensation.method in self.own:
                message = (
                    f"{self.label}: {compensation.method!r} is the compensation of {name!r}, so no step."
                )
                raise DeclarationInvalid(message)
        return found

    def _inherited_compensation(self, step: Step) -> Compensation | None:
        compensation = step.compensation
        if compensation is None or compensation.method is None:
            return compensation
        # The method may be overridden here; who borrows the step from here is to get this one.
        return replace(compensation, fn=getattr(self.cls, compensation.method))

    def _own_compensation(self, name: str, step: Step) -> Compensation | None:
        undo = step.undo
        if undo is False:
            return None
        if step.compensation is not None:  # bound in another workflow, whose methods are not here
            borrowed = step.compensation
            takes_self = borrowed.takes_self or borrowed.method is not None
            return Compensation(fn=borrowed.fn, takes_self=takes_self, retry=borrowed.retry)
        if undo is not None:
            methods = [key for key, value in self.body.items() if value is undo]
            return Compensation(fn=undo, method=methods[0] if methods else None)
        parent = self.inherited.get(name)
        if parent is None or (step.fn is None and parent.fn is not None):
            return None  # rows have an inverse of their own; the compensation of a function does not fit them
        return self._inherited_compensation(parent)

    def _refuse_second(self, name: str, method: str, marked: Mapping[str, str]) -> None:
        step = self.own.get(name)
        if step is not None and step.undo is False:
            message = f"{self.label}: step {name!r} says compensate=False, but {method!r} compensates it."
            raise DeclarationInvalid(message)
        first = marked.get(name)
        if first is None and step is not None and step.undo:
            first = described(Compensation(fn=step.undo))
        if first is not None:
            message = f"{self.label}: step {name!r} has two compensations, {first} and {method}."
            raise DeclarationInvalid(message)

    def _refuse_method_name(self, method: str, mark: Mark) -> None:
        if method in self.reserved:
            message = f"{self.label}: {method!r} belongs to Workflow and cannot be the compensation of {mark.step!r}."
            raise DeclarationInvalid(message)

    # --- binding -------------------------------------------------------------------------------

    def _placed(self, name: str, after: After, compensation: Compensation | None) -> Step:
        own = self.own.get(name)
        if own is not None:
            return own.bound(name, after.names, after.branches, compensation)
        inherited = self.inherited[name]
        if inherited.compensation == compensation:
            return inherited
        return inherited.bound(name, after.names, after.branches, compensation)


def _wrapped(value: object) -> object:
    """Return what a decorator that Python knows has wrapped; anything else may be lazy and is not asked."""
    if isinstance(value, staticmethod | classmethod):
        return value.__func__
    if isinstance(value, property):
        return value.fget
    if isinstance(value, FunctionType):
        return getattr(value, "__wrapped__", None)
    return None


def refuse_wrong_functions(cls: type[Any], label: str, steps: Iterable[Step]) -> None:
    """Raise DeclarationInvalid where a function could not be called; inherited ones may be overridden here."""
    for step in steps:
        step.refuse_wrong_functions(label)
        if step.compensation is not None:
            step.compensation.refuse_wrong_function(cls, f"{label}: step {step.name!r}")


def refuse_waiting(label: str, meta: Options, steps: Iterable[Step]) -> None:
    """Raise DeclarationInvalid for steps that would keep the transaction of an atomic workflow open."""
    if not meta.atomic:
        return
    for step in steps:
        if step.background:
            message = f"{label} is atomic, one transaction, so step {step.name!r} cannot be background=True."
            raise DeclarationInvalid(message)
        if step.waits:
            message = (
                f"{label} is atomic, one transaction, so step {step.name!r} cannot be a {step.word}: the transaction "
                "would stay open while it waits."
            )
            raise DeclarationInvalid(message)
        if isinstance(step, FirstOf):
            message = (
                f"{label} is atomic, one step after the other, so nothing races in {step.name!r}: make the steps "
                "optional=True, and give the later ones a when=."
            )
            raise DeclarationInvalid(message)
        if step.retry is not None and step.retry.waits:
            message = (
                f"{label} is atomic, one transaction, so step {step.name!r} cannot wait between its attempts: "
                "give Retry(delay=0)."
            )
            raise DeclarationInvalid(message)
