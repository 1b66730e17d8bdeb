"""Compensations: what undoes a step that is done, and how a method is marked as one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import TYPE_CHECKING, Any

from flowstate.exceptions import DeclarationInvalid
from flowstate.workflows.functions import call, name_of, refuse_wrong_arity, refuse_wrong_method

if TYPE_CHECKING:
    from flowstate.workflows.policies import Retry
    from flowstate.workflows.steps import Step

MARK = "flowstate_compensates"
ARGUMENTS = ("ctx", "result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compensation:
    """What undoes a step: the workflow's method of this name, else the function."""

    fn: Callable[..., Any]
    method: str | None = None
    """Looked up on the instance, so that a subclass may override it."""
    takes_self: bool = False
    retry: Retry | None = None

    def call(self, workflow: Any, ctx: Any, result: Any) -> None:
        """Undo; an `async def` is run to its end."""
        if self.method is not None:
            call(getattr(workflow, self.method), ctx, result)
        elif self.takes_self:
            call(self.fn, workflow, ctx, result)
        else:
            call(self.fn, ctx, result)

    def refuse_wrong_function(self, cls: type, what: str) -> None:
        """Raise DeclarationInvalid where it could not be called on instances of `cls`."""
        if self.method is not None:
            refuse_wrong_method(cls, self.method, ARGUMENTS, f"{what}: its compensation {self.method!r}")
            return
        arguments = ("self", *ARGUMENTS) if self.takes_self else ARGUMENTS
        refuse_wrong_arity(self.fn, arguments, f"{what}: its compensation")


@dataclass(frozen=True, slots=True)
class Mark:
    """On a method: it compensates this step, under this policy."""

    step: Step[Any]
    retry: Retry | None


def mark_as_compensation(method: Any, step: Step[Any], retry: Retry | None) -> Any:
    """Return the method itself, marked. Raises DeclarationInvalid for what is no plain method."""
    if not isinstance(method, FunctionType):
        message = f"compensate of {step!r} decorates a plain method (self, ctx, result), not {method!r}."
        raise DeclarationInvalid(message)
    owner = method.__qualname__.rpartition(".")[0]
    if not owner or owner.endswith("<locals>"):
        # Nothing would ever find it: the methods of a class are searched for marks, modules are not.
        message = (
            f"{method.__qualname__} is no method, so @compensate of {step!r} would be lost: "
            "give a free function (ctx, result) as compensate= of the step."
        )
        raise DeclarationInvalid(message)
    marks: tuple[Mark, ...] = (*marks_of(method), Mark(step, retry))
    setattr(method, MARK, marks)
    return method


def marks_of(value: object) -> tuple[Mark, ...]:
    """Return what this attribute of a class compensates; empty for anything else."""
    return value.__dict__.get(MARK, ()) if isinstance(value, FunctionType) else ()


def described(compensation: Compensation) -> str:
    """Return how a message calls it."""
    return compensation.method or name_of(compensation.fn)
