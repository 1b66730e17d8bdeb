"""Workflow: the class that users derive from; its body declares the steps."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from asgiref.sync import sync_to_async

from flowstate import verbs
from flowstate.exceptions import DeclarationInvalid, DiagramInvalid
from flowstate.workflows import mermaid, names
from flowstate.workflows.assembly import (
    Assembly,
    ClassBody,
    refuse_waiting,
    refuse_wrong_functions,
)
from flowstate.workflows.declaration import AbstractDeclaration, Declaration, NoDeclaration, outline_of
from flowstate.workflows.functions import refuse_wrong_arity, refuse_wrong_method
from flowstate.workflows.options import MetaOptions, Options, checked_workflow_name, options_of
from flowstate.workflows.steps import Step

if TYPE_CHECKING:
    from typing import Self, Unpack

    from flowstate.models import Run
    from flowstate.workflows.context import Context

__all__ = ["HOOKS", "Declaration", "Options", "Workflow", "WorkflowType"]

HOOKS: Final = {
    "should_run": ("ctx",),
    "before_start": ("ctx",),
    "on_start": ("ctx",),
    "on_step_complete": ("ctx", "step", "result"),
    "on_step_failed": ("ctx", "step", "error"),
    "on_compensate": ("ctx", "step"),
    "on_complete": ("run",),
    "on_failed": ("run",),
    "output": ("ctx",),
}
"""The hooks and what they take after self."""


class WorkflowType(type):
    """The type of workflow classes, which watches their bodies: a second step of a name is no accident."""

    @classmethod
    def __prepare__(cls, name: str, bases: tuple[type, ...], /, **options: Any) -> ClassBody:
        return ClassBody()

    def __new__(
        cls, name: str, bases: tuple[type, ...], body: dict[str, Any], **options: Any
    ) -> WorkflowType:
        return super().__new__(cls, name, bases, dict(body), **options)


class Workflow(metaclass=WorkflowType):
    """Steps as attributes and `@step` methods, in the order in which they run unless `depends_on=` differs.

    A pure declaration: a fresh instance serves every call, so state goes into `ctx`, never on `self`. A class
    without steps may be a parent of others; its `declaration` raises. Making a class raises
    DeclarationInvalid for whatever cannot work.
    """

    input: ClassVar[type[Any] | None] = None
    """A serializer class that the input must fit; without one there is no input."""

    diagram: ClassVar[str] = ""
    """The Mermaid file that draws the workflow, its path from the module; a check compares the two."""

    declaration: ClassVar[Declaration]
    """What the class declares. Raises DeclarationInvalid on a class without steps."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        label = _label(cls)
        steps = Assembly(cls, label, RESERVED).steps()
        meta = options_of(cls, names.path_of(cls), label)
        _refuse_wrong_class(cls, label)
        if not steps:
            cls.declaration = _NONE
            return
        for bound in steps:
            setattr(cls, bound.name, bound)
        refuse_wrong_functions(cls, label, steps)
        refuse_waiting(label, meta, steps)
        path, importable = names.path_of(cls), names.importable(cls)
        declaration = Declaration(
            label=label,
            steps=steps,
            meta=meta,
            hooks=frozenset(hook for hook in HOOKS if getattr(cls, hook) is not getattr(Workflow, hook)),
            importable=importable and meta.name == path,
        )
        if any(step.abstract for step in steps):
            abstract: Any = AbstractDeclaration(declaration)
            cls.declaration = abstract
            return
        cls.declaration = declaration
        if importable and meta.name != path:
            names.hold(meta.name, cls)

    # --- starting ------------------------------------------------------------------------------

    @classmethod
    def run(cls, *, user: Any, input: Any = None, idempotency_key: str | None = None) -> Run:
        """Start a run and carry it in this process until it ends or must wait; return it, ended badly too.

        Without an action there are no rules, so only SYSTEM may. Raises ActionDenied, InputInvalid,
        StartRefused; with external steps inside a transaction InsideTransaction.
        """
        return cls._start(inline=True, user=user, input=input, idempotency_key=idempotency_key)

    @classmethod
    def enqueue(cls, *, user: Any, input: Any = None, idempotency_key: str | None = None) -> Run:
        """Commit a run and hand it to the workers before its first step; return it. Raises as `run` does."""
        return cls._start(inline=False, user=user, input=input, idempotency_key=idempotency_key)

    @classmethod
    async def arun(cls, *, user: Any, input: Any = None, idempotency_key: str | None = None) -> Run:
        """Do as `run`, from async code."""
        return await sync_to_async(cls.run)(user=user, input=input, idempotency_key=idempotency_key)

    @classmethod
    async def aenqueue(cls, *, user: Any, input: Any = None, idempotency_key: str | None = None) -> Run:
        """Do as `enqueue`, from async code."""
        return await sync_to_async(cls.enqueue)(user=user, input=input, idempotency_key=idempotency_key)

    @classmethod
    def _start(cls, **request: Any) -> Run:
        return verbs.start(workflow=cls, action=None, entity=None, **request)

    # --- making one by a call ------------------------------------------------------------------

    @classmethod
    def from_steps(cls, name: str, steps: Sequence[Step], **meta: Unpack[MetaOptions]) -> type[Self]:
        """Return a workflow class of named steps, after those of `cls` if it has any; `meta` as in `class Meta`.

        Another process finds it only if it is registered at import, by `register_workflow`.
        """
        checked_workflow_name(name, "The name of a workflow")
        body = {
            "__module__": __name__,
            "__qualname__": f"<built>.{name}",
            "Meta": type("Meta", (), {"name": name, **meta}),
            **_named(steps, f"Workflow {name!r}"),
        }
        return made(name, cls, body)

    # --- as a diagram --------------------------------------------------------------------------

    @classmethod
    def to_mermaid(cls) -> str:
        """Return the steps and what they wait for as a Mermaid diagram, a state diagram where there are choices."""
        return mermaid.write(mermaid.drawn(outline_of(cls) or cls.declaration))

    @classmethod
    def from_mermaid(
        cls,
        drawn: str | Path,
        steps: Mapping[str, mermaid.Given],
        *,
        name: str | None = None,
        **meta: Unpack[MetaOptions],
    ) -> type[Self]:
        """Return a workflow class as a diagram draws it, given by its text or path, after the steps of `cls`.

        `steps` has for each step of the diagram a function `(ctx)` or a step; `name` is that of the workflow where
        it is not the diagram's title. What is drawn without any effect is warned of. Raises DiagramInvalid, and
        DeclarationInvalid as `from_steps` does.
        """
        plan = mermaid.planned(mermaid.read(mermaid.text_of(drawn)))
        name = name or mermaid.class_name(plan.title)
        if not name:
            message = "The diagram has no title, so give the workflow a name=."
            raise DiagramInvalid(message)
        for remark in plan.remarks:
            warnings.warn(remark, stacklevel=2)
        return cls.from_steps(name, mermaid.bound(plan, steps, f"Workflow {name!r}"), **meta)

    # --- hooks: what a subclass may define; one that raises is logged and changes no outcome -----

    def should_run(self, ctx: Context[Any]) -> bool:
        """Return whether to start at all; False refuses the start."""
        return True

    def before_start(self, ctx: Context[Any]) -> None:
        """Look at what is asked before a run exists; raising refuses the start."""

    def on_start(self, ctx: Context[Any]) -> None:
        """Hear that the run is there."""

    def on_step_complete(self, ctx: Context[Any], step: str, result: Any) -> None:
        """Hear that a step is done."""

    def on_step_failed(self, ctx: Context[Any], step: str, error: BaseException) -> None:
        """Hear that a step failed for good."""

    def on_compensate(self, ctx: Context[Any], step: str) -> None:
        """Hear that a step was undone."""

    def on_complete(self, run: Run) -> None:
        """Hear that the run ended well."""

    def on_failed(self, run: Run) -> None:
        """Hear that the run ended badly."""

    def output(self, ctx: Context[Any]) -> Any:
        """Return the run's value: the result of the last declared step that is done and not optional."""
        return ctx.last_result


_NONE: Any = NoDeclaration()
Workflow.declaration = _NONE

RESERVED: Final = frozenset(dir(Workflow)) | {"Meta", *HOOKS}
"""The names that no step and no compensation may take."""


W = TypeVar("W", bound=Workflow)


def made(name: str, parent: type[W], body: dict[str, Any]) -> type[W]:
    """Return a class as a `class` statement would make it."""
    cls: Any = type(parent)
    workflow: type[W] = cls(name, (parent,), body)
    return workflow


def _named(steps: object, what: str) -> dict[str, Step]:
    """Return a list of steps by their names. Raises DeclarationInvalid."""
    if not isinstance(steps, list | tuple):
        message = f"{what} takes a list of steps, not {steps!r}."
        raise DeclarationInvalid(message)
    if not steps:
        message = f"{what} is empty: it needs at least one step."
        raise DeclarationInvalid(message)
    found: dict[str, Step] = {}
    for item in steps:
        if not isinstance(item, Step) or not item.name:
            message = f"{what} takes steps that have a name, as Step('fetch', fetch), not {item!r}."
            raise DeclarationInvalid(message)
        if item.name in found:
            message = f"{what}: two steps are named {item.name!r}."
            raise DeclarationInvalid(message)
        found[item.name] = item
    return found


def _label(cls: type[Workflow]) -> str:
    """Return how messages call the class."""
    return cls.__name__ if "<built>" in cls.__qualname__ else names.path_of(cls)


def _refuse_wrong_class(cls: type[Workflow], label: str) -> None:
    for name in vars(cls):
        close = get_close_matches(name, HOOKS, n=1, cutoff=0.85)
        if close and name not in HOOKS:
            message = f"{label}: {name} is no hook and would never be called; did you mean {close[0]}?"
            raise DeclarationInvalid(message)
    for hook, arguments in HOOKS.items():
        if getattr(cls, hook) is not getattr(Workflow, hook):
            refuse_wrong_method(cls, hook, arguments, f"{label}: the hook {hook}")
    refuse_wrong_arity(cls, (), f"{label} is made afresh for every call, so its __init__")
    given: object = cls.input
    if given is not None and not isinstance(given, type):
        message = f"{label}: input is a serializer class, not {given!r}."
        raise DeclarationInvalid(message)
