"""What each kind of waiting step waits for: the part of a wait that differs from kind to kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flowstate.engine.execution import Execution
from flowstate.models import StepRun
from flowstate.models.clock import db_now
from flowstate.workflows.context import Context
from flowstate.workflows.steps import Kind
from flowstate.workflows.waits import DelayStep


def nothing() -> None:
    """Write no rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A wait that is about to begin."""

    until: float | datetime | None = None
    """Seconds from now, or a moment; None: for as long as it takes."""
    write: Callable[[], None] = nothing
    """Writes the rows that the kind has of its own, in the transaction that begins the wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of a wait: an error, or the columns of a step that is done."""

    columns: Mapping[str, Any] = field(default_factory=dict)
    error: Exception | None = None


class WaitKind:
    """How steps of one kind wait. Only `begin` may call the user's code: the others hold locks."""

    def begin(self, execution: Execution, row: StepRun, step: Any, ctx: Context[Any]) -> Wait | None:
        """Return what the step waits for; None: nothing, it is done."""
        raise NotImplementedError

    def arrived(self, execution: Execution, rows: Sequence[StepRun]) -> Mapping[str, Verdict]:
        """Return, by the step's name, what has come for these steps, whatever the time."""
        return {}

    def time_over(self, row: StepRun) -> Verdict:
        """Return what it means that the time of the wait is over."""
        return Verdict()

    def forget(self, execution: Execution, rows: Sequence[StepRun]) -> None:
        """Delete the rows that the kind has of its own for these steps, which wait no longer."""


class DelayKind(WaitKind):
    """Waits for a time and for nothing else."""

    def begin(self, execution: Execution, row: StepRun, step: DelayStep, ctx: Context[Any]) -> Wait | None:
        """Return the wait; None for no time, or one that has passed by the database's clock."""
        until = step.until(ctx)
        over = until <= db_now(execution.using) if isinstance(until, datetime) else until == 0
        return None if over else Wait(until=until)


WAIT_KINDS: Mapping[str, WaitKind] = {Kind.DELAY: DelayKind()}
