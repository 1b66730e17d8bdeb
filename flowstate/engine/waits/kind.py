"""What a kind of waiting step must say: what it waits for, what has come, and what is left to delete."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from flowstate.engine.execution import Execution
from flowstate.models import StepRun
from flowstate.workflows.context import Context


def nothing() -> None:
    """Write no rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A wait that is about to begin."""

    until: float | datetime | None = None
    """Seconds from now, or a moment; None: for as long as it takes."""
    write: Callable[[], None] = nothing
    """Writes the rows that the kind has of its own, in the transaction that begins the wait."""
    child: UUID | None = None
    """The run that the step waits for, if it is one."""
    to_match: bool = False
    """Whether what it waits for may be there already, which is found out once the wait is committed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of a wait: an error, the columns of a step that is done, or how to find out."""

    columns: Mapping[str, Any] = field(default_factory=dict)
    error: Exception | None = None
    told: Mapping[str, Any] | None = None
    """What came from outside, for the run's history."""
    find_out: Callable[[], Verdict | None] | None = None
    """Writes what is due under the lock of the run's row, and returns what came of the wait; None: it goes on."""


class WaitKind(ABC):
    """How steps of one kind wait. Only `begin` may call the user's code: the others hold locks."""

    @abstractmethod
    def begin(self, execution: Execution, row: StepRun, step: Any, ctx: Context[Any]) -> Wait | None:
        """Return what the step waits for; None: nothing, it is done."""

    def match(self, execution: Execution, row: StepRun) -> None:  # noqa: B027 - most kinds have nothing to match
        """Find out, in transactions of its own, whether what a step waits for is there."""

    def arrived(self, execution: Execution, rows: Sequence[StepRun]) -> Mapping[str, Verdict]:
        """Return, by the step's name, what has come for these steps, whatever the time."""
        return {}

    def time_over(self, execution: Execution, row: StepRun, step: Any) -> Verdict:
        """Return what it means that the time of the wait is over."""
        return Verdict()

    def forget(self, rows: Sequence[StepRun], using: str) -> None:  # noqa: B027 - most kinds keep no rows
        """Delete the rows that the kind has of its own for these steps, which wait no longer."""
