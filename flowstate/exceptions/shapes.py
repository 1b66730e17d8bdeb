"""What goes wrong, and what interrupts, while a workflow that is a function is played."""

from __future__ import annotations

from flowstate.exceptions import StepUnknown


class ShapeChanged(StepUnknown):
    """A function does not ask for its steps as the journal has them: `expected` is recorded, `found` is asked for.

    The run stays as it is, for a person to see, until code is deployed that asks as before, or it is cancelled.
    """

    code = "shape_changed"

    def __init__(self, message: str, expected: str = "", found: str = "") -> None:
        super().__init__(message, expected, found)
        self.expected = expected
        self.found = found

    def __str__(self) -> str:
        return str(self.args[0])


class FunctionSuspended(BaseException):
    """Control flow of the engine: the function has asked for what is not there yet, and is called again later.

    No Exception, so that `except Exception` in the function does not take it for a failure.
    """
