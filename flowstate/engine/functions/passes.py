"""One call of a function: what it asked for, as far as the journal has answers, and how the call ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flowstate.engine.calls.contexts import function_context_of
from flowstate.engine.do.step import FAILURES
from flowstate.engine.execution import Execution
from flowstate.engine.functions.replay import (
    Asked,
    Begin,
    Changed,
    Recorded,
    Recording,
    Twice,
    Values,
    answer,
    missing_at_end,
)
from flowstate.exceptions import DeclarationInvalid
from flowstate.exceptions.shapes import FunctionSuspended, ShapeChanged
from flowstate.workflows.function_context import FUNCTION, Branch, FunctionContext, refuse_wrong_calls
from flowstate.workflows.steps import Step

TOO_LONG = "a call that does not end in time"


class Pass:
    """One call of the function of a run, from its start: as far as it comes, without beginning any step."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._recording = Recording(recorded_in(execution))
        self._asked = Asked()
        self.declared: dict[str, Step[Any]] = {}
        """The recorded steps that it has asked for, and nobody in this process before."""
        self.before: tuple[str, ...] = ()
        """What it asked for last before it was interrupted, or before it ended."""
        self.wish: tuple[Step[Any], ...] = ()
        """The steps that are to begin now."""
        self.refusal: ShapeChanged | None = None
        self.interrupted = False
        self.returned: Any = None
        self.context: FunctionContext[Any] = function_context_of(
            execution, execution.rows[FUNCTION], self._ask
        )

    def play(self) -> None:
        """Call the function. Raises what it raises once it has asked for all that is recorded."""
        execution = self._execution
        try:
            self.returned = execution.step(FUNCTION).call(execution.workflow(), self.context)
        except FunctionSuspended:
            return
        except FAILURES as err:
            # What its `finally` raises on the way out is as if it had not run: it is called again.
            if not self.interrupted and not self.cut_short(f"{type(err).__name__}: {err}"):
                raise
            return
        if not self.interrupted:
            self._ended_early()

    def cut_short(self, found: str) -> bool:
        """Note that the call came to nothing; return whether it was still to ask for what is recorded."""
        return not self.interrupted and self._ended_early(found)

    def _ended_early(self, *found: str) -> bool:
        changed = missing_at_end(self._recording, self._asked, *found)
        if changed is not None:
            self.refusal = _refusal(self._execution, changed)
        return changed is not None

    def _ask(self, steps: Sequence[Branch[Any]]) -> list[Any]:
        if self.interrupted:  # the function has caught the interrupt, and goes on in vain
            raise FunctionSuspended
        names = tuple(step.name for step in steps)
        found = answer(self._recording, self._asked, [(step.name, step.kind) for step in steps])
        match found:
            case Twice(name):
                message = (
                    f"{self._execution.run.workflow} asks for the step {name!r} twice in one call: what is "
                    "recorded under a name belongs to one step. Give each its own, as f'pack_{number}'."
                )
                raise DeclarationInvalid(message)
            case Changed():
                self.refusal = _refusal(self._execution, found)
            case Begin():
                self.wish = tuple(step.declared() for step in steps)
                for step in self.wish:
                    refuse_wrong_calls(step)
            case _:
                self._learn(steps)
        if not isinstance(found, Values):
            self.interrupted = True
            raise FunctionSuspended
        self._asked.take(names, self._recording)
        self.before = names
        return [self._execution.rows[name].result for name in names]

    def _learn(self, steps: Sequence[Branch[Any]]) -> None:
        """Declare what this process has not seen yet: an earlier call here has asked for the same."""
        for step in steps:
            if step.name not in self._execution.learned:
                self.declared[step.name] = step.declared()


def recorded_in(execution: Execution) -> list[Recorded]:
    """Return what the journal says of the steps that the function of a run has asked for."""
    return [
        Recorded(
            name=row.name,
            kind=row.kind,
            status=row.status,
            optional=row.optional,
            taken_over=not row.key.startswith(f"{execution.run.pk}:"),
        )
        for row in execution.rows.values()
        if row.name != FUNCTION
    ]


def _refusal(execution: Execution, changed: Changed) -> ShapeChanged:
    message = (
        f"Run {execution.run.pk} ({execution.run.label}) has recorded the step {changed.expected}, but here "
        f"{execution.run.workflow} comes to {changed.found}. Deploy code that asks as before, or cancel the run; it waits."
    )
    return ShapeChanged(message, changed.expected, changed.found)
