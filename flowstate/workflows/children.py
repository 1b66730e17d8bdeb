"""WorkflowStep: another workflow, run as a child of the run that reaches the step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from flowstate.exceptions import DeclarationInvalid
from flowstate.workflows.functions import refuse_wrong_arity, value_of
from flowstate.workflows.step_options import ChildOptions, option_names
from flowstate.workflows.steps import Kind
from flowstate.workflows.waits import WaitStep
from flowstate.workflows.workflow import Workflow

if TYPE_CHECKING:
    from typing import Unpack


class WorkflowStep(WaitStep[Any]):
    """Run `workflow`, a class or its dotted path, as a child run, with `input`: a mapping or a function `(ctx)`.

    The child works on the same row, for the same user, in workers. Its value is the step's result; a child that
    ends badly fails the step. Undoing the step undoes the child, unless `compensate=` says otherwise.
    """

    workflow: type[Workflow] | str
    input: Any
    known_options: ClassVar[frozenset[str]] = option_names(ChildOptions)
    word = "WorkflowStep"

    def __init__(
        self, workflow: type[Workflow] | str, *, input: Any = None, **options: Unpack[ChildOptions]
    ) -> None:
        is_class = isinstance(workflow, type) and issubclass(workflow, Workflow)
        if not is_class and not (isinstance(workflow, str) and "." in workflow):
            message = (
                "WorkflowStep takes a Workflow class or its dotted path, as 'shop.workflows.Ship', "
                f"not {workflow!r}."
            )
            raise DeclarationInvalid(message)
        if is_class:
            _ = workflow.declaration  # type: ignore[union-attr]  # raises for a class without steps
        self._declare(Kind.WORKFLOW, options, workflow=workflow, input=input)

    @property
    def undone_by_run(self) -> bool:
        """Whether a run of its own undoes it: the child's steps, in their reverse order."""
        return self.compensation is None and self.undo is not False

    @property
    def compensable(self) -> bool:
        """Whether something undoes it."""
        return self.compensation is not None or self.undone_by_run

    @property
    def workflow_name(self) -> str:
        """The name under which the child runs."""
        return self.workflow if isinstance(self.workflow, str) else self.workflow.declaration.name

    def refuse_wrong_functions(self, label: str) -> None:
        """Raise DeclarationInvalid where the input or an option could not be called."""
        super().refuse_wrong_functions(label)
        if callable(self.input):
            refuse_wrong_arity(self.input, ("ctx",), f"{label}: step {self.name!r}: input")

    def input_for(self, ctx: Any) -> Any:
        """Return what the child is given now."""
        return value_of(self.input, ctx)
