"""WorkflowBuilder: puts a workflow together at run time, call by call."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from flowstate.exceptions import DeclarationInvalid
from flowstate.workflows.functions import refuse_wrong_arity
from flowstate.workflows.options import MetaOptions, checked_workflow_name
from flowstate.workflows.policies import Duration, limit, refuse_unknown
from flowstate.workflows.step_options import FunctionOptions, Undo
from flowstate.workflows.steps import Step
from flowstate.workflows.workflow import HOOKS, Workflow, made

if TYPE_CHECKING:
    from typing import Unpack


class WorkflowBuilder:
    """`WorkflowBuilder("import").step("fetch", fetch).step("save", save, unsave).build()`.

    Each call returns a new builder, so that a half-built one may be gone on with in several ways. Functions
    are free ones: steps take `(ctx)`, compensations `(ctx, result)`, hooks what the methods take after self.
    Raises DeclarationInvalid as the making of a class does.
    """

    def __init__(self, name: str) -> None:
        self._name = checked_workflow_name(name, "The name of a workflow")
        self._steps: tuple[Step, ...] = ()
        self._meta: MetaOptions = {}
        self._hooks: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"<WorkflowBuilder {self._name}: {', '.join(str(step.name) for step in self._steps)}>"

    def step(
        self,
        step: str | Step,
        fn: Callable[[Any], Any] | None = None,
        compensate: Undo = None,
        **options: Unpack[FunctionOptions],
    ) -> Self:
        """Add a step: its name and function with the options of `Step`, or a step made before."""
        if not isinstance(step, Step):
            step = Step(step, fn, compensate, **options)
        elif fn is not None or compensate is not None or options:
            message = (
                f"Workflow {self._name!r}: {step!r} is a step already: it takes its options where it is made."
            )
            raise DeclarationInvalid(message)
        return self._with(_steps=(*self._steps, step))

    def data(self, **initial: Any) -> Self:
        """Add to what `ctx.data` begins with."""
        return self._with_meta(initial_data={**self._meta.get("initial_data", {}), **initial})

    def atomic(self) -> Self:
        """Let everything be one transaction."""
        return self._with_meta(atomic=True)

    def timeout(self, timeout: Duration) -> Self:
        """Limit the whole run to so many seconds."""
        return self._with_meta(timeout=limit(timeout, f"Workflow {self._name!r}: timeout"))

    def hooks(self, **hooks: Callable[..., Any]) -> Self:
        """Add hooks by their names."""
        refuse_unknown(f"Workflow {self._name!r}: hooks", hooks, HOOKS)
        for name, fn in hooks.items():
            refuse_wrong_arity(fn, HOOKS[name], f"Workflow {self._name!r}: the hook {name}")
        return self._with(_hooks={**self._hooks, **hooks})

    def build(self) -> type[Workflow]:
        """Return the workflow class; `register_workflow` it at import if workers are to find it."""
        parent = Workflow
        if self._hooks:
            methods = {name: staticmethod(fn) for name, fn in self._hooks.items()}
            parent = made(self._name, Workflow, {"__module__": __name__, **methods})
        return parent.from_steps(self._name, self._steps, **self._meta)

    def _with_meta(self, **meta: Unpack[MetaOptions]) -> Self:
        return self._with(_meta={**self._meta, **meta})

    def _with(self, **changes: Any) -> Self:
        copy = type(self)(self._name)
        vars(copy).update({**vars(self), **changes})
        return copy
