"""`@workflow`: makes a workflow of a plain function, which asks for its steps while it is called."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypedDict, overload

from flowstate.exceptions import DeclarationInvalid, DiagramInvalid
from flowstate.workflows.function_context import FUNCTION
from flowstate.workflows.functions import name_of, refuse_wrong_arity
from flowstate.workflows.options import Exclusive, Rollback
from flowstate.workflows.policies import Duration, refuse_unknown
from flowstate.workflows.step_options import option_names
from flowstate.workflows.steps import Kind, Step
from flowstate.workflows.workflow import Workflow, made

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Unpack


class WorkflowFunctionOptions(TypedDict, total=False):
    """What `@workflow` takes: the input, what may go wrong, and the keys of `class Meta` but for `atomic`."""

    input: type[Any] | None
    raises: Iterable[type[Exception]]
    name: str
    timeout: Duration | None
    rollback: Rollback
    initial_data: Mapping[str, Any]
    version: int
    exclusive: Exclusive


class FunctionStep(Step[Any]):
    """The one declared step of such a workflow: the function itself, called from its start again and again."""

    word: ClassVar[str] = "@workflow"
    hint: ClassVar[str] = "is the function itself: it"

    def __init__(self, fn: Callable[..., Any], raises: Iterable[type[Exception]]) -> None:
        self._fill(f"{self.word} {name_of(fn)}", FUNCTION, undo=False, options={"raises": raises})
        vars(self).update(fn=fn, kind=Kind.FUNCTION)

    @property
    def writes(self) -> bool:
        """Whether it is there to change rows: who asks for steps does so to change something."""
        return True


class UndeclaredStep(Step[Any]):
    """Stands for a step that a function has asked for elsewhere, until it is called again and asks here too."""

    has_inverse: bool
    word: ClassVar[str] = "A step of a function"

    def __init__(self, name: str, kind: str, *, optional: bool, has_inverse: bool) -> None:
        self._fill(self.word, name, undo=False, options={"optional": optional})
        vars(self).update(fn=None, kind=Kind(kind), has_inverse=has_inverse)

    @property
    def tells_what_came(self) -> bool:
        """Whether it is known what the end of its wait means: that of an approval says the code."""
        return self.kind is not Kind.APPROVAL

    @property
    def waits(self) -> bool:
        """Whether it is for something outside the run to say when it is done."""
        return self.kind in (Kind.DELAY, Kind.APPROVAL)

    @property
    def derives_inverse(self) -> bool:
        """Whether undoing it is derived from what it wrote: then that was recorded."""
        return self.has_inverse


@overload
def workflow(fn: Callable[[Any], Any], /) -> type[Workflow]: ...


@overload
def workflow(
    **options: Unpack[WorkflowFunctionOptions],
) -> Callable[[Callable[[Any], Any]], type[Workflow]]: ...


def workflow(fn: Any = None, /, **options: Any) -> Any:
    """Make a workflow of a function `(ctx)`: `@workflow`, or `@workflow(input=..., timeout=...)`.

    It asks for its steps by `ctx.step`, `ctx.parallel` and `ctx.sleep`, and what it returns is the run's value.
    What comes of it is a Workflow class, with `run`, `enqueue` and its place in actions. Raises
    DeclarationInvalid for what cannot work.
    """
    refuse_unknown("@workflow", options, option_names(WorkflowFunctionOptions))
    if fn is None:
        return lambda function: _workflow_of(function, **options)
    return _workflow_of(fn)


def _workflow_of(
    fn: Any, *, input: type[Any] | None = None, raises: Iterable[type[Exception]] = (), **meta: Any
) -> type[Workflow]:
    if not inspect.isfunction(fn):
        message = f"@workflow decorates a plain function (ctx), not {fn!r}."
        raise DeclarationInvalid(message)
    if inspect.iscoroutinefunction(fn):
        message = f"@workflow takes a plain def; {name_of(fn)} is an async def. Its steps may be async."
        raise DeclarationInvalid(message)
    refuse_wrong_arity(fn, ("ctx",), f"@workflow makes a workflow of a function: {name_of(fn)}")
    body = {
        "__module__": fn.__module__,
        "__qualname__": fn.__qualname__,
        "__doc__": fn.__doc__,
        "__init_subclass__": classmethod(_refuse_subclass),
        "to_mermaid": classmethod(_refuse_drawing),
        "input": input,
        "Meta": type("Meta", (), meta),
        FUNCTION: FunctionStep(fn, raises),
    }
    return made(fn.__name__, Workflow, body)


def is_function(workflow: type[Workflow]) -> bool:
    """Return whether the workflow was made of a function."""
    return FUNCTION in workflow.declaration.by_name and isinstance(
        workflow.declaration.by_name[FUNCTION], FunctionStep
    )


def _refuse_subclass(cls: type[Any], /, **_options: Any) -> NoReturn:
    parent = cls.__bases__[0].__name__
    message = (
        f"{cls.__qualname__} cannot derive from {parent}, which is a function: call what both need from both."
    )
    raise DeclarationInvalid(message)


def _refuse_drawing(cls: type[Any]) -> NoReturn:
    message = (
        f"{cls.__qualname__} is a function, so its shape shows only as it runs: draw a run of it, with "
        "run.to_mermaid()."
    )
    raise DiagramInvalid(message)
