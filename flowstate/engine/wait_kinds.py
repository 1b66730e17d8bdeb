"""What each kind of waiting step waits for: the part of a wait that differs from kind to kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flowstate.engine.execution import Execution
from flowstate.engine.keys import event_key
from flowstate.engine.matching import match_wait
from flowstate.engine.tokens import hash_of, make_token
from flowstate.exceptions import EventTimeout
from flowstate.models import EventWait, StepRun
from flowstate.models.clock import db_now
from flowstate.models.inbox import topic_of
from flowstate.workflows.context import Context
from flowstate.workflows.steps import UNSET, Kind
from flowstate.workflows.waits import DelayStep, EventStep


def nothing() -> None:
    """Write no rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A wait that is about to begin."""

    until: float | datetime | None = None
    """Seconds from now, or a moment; None: for as long as it takes."""
    write: Callable[[], None] = nothing
    """Writes the rows that the kind has of its own, in the transaction that begins the wait."""
    to_match: bool = False
    """Whether what it waits for may be there already, which is found out once the wait is committed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of a wait: an error, or the columns of a step that is done."""

    columns: Mapping[str, Any] = field(default_factory=dict)
    error: Exception | None = None
    told: Mapping[str, Any] | None = None
    """What came from outside, for the run's history."""


class WaitKind:
    """How steps of one kind wait. Only `begin` may call the user's code: the others hold locks."""

    def begin(self, execution: Execution, row: StepRun, step: Any, ctx: Context[Any]) -> Wait | None:
        """Return what the step waits for; None: nothing, it is done."""
        raise NotImplementedError

    def match(self, execution: Execution, row: StepRun) -> None:
        """Find out, in transactions of its own, whether what a step waits for is there."""

    def arrived(self, execution: Execution, rows: Sequence[StepRun]) -> Mapping[str, Verdict]:
        """Return, by the step's name, what has come for these steps, whatever the time."""
        return {}

    def time_over(self, row: StepRun, step: Any) -> Verdict:
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


class EventKind(WaitKind):
    """Waits for an event from outside, by its key or by the step's own token."""

    def begin(self, execution: Execution, row: StepRun, step: EventStep, ctx: Context[Any]) -> Wait | None:
        """Return the wait for what the step's key says now."""
        given = step.key_for(ctx)
        topic = "" if given is UNSET else topic_of(step.event, event_key(given, f"step {step.name}"))
        waits = EventWait.objects.using(execution.using)

        def write() -> None:
            waits.create(
                step_run_id=execution.rows[row.name].pk, topic=topic, token_hash=hash_of(make_token(row))
            )

        return Wait(until=step.limit, write=write, to_match=True)

    def match(self, execution: Execution, row: StepRun) -> None:
        """Give the step an event that came before it."""
        match_wait(row.pk, execution.using)

    def arrived(self, execution: Execution, rows: Sequence[StepRun]) -> Mapping[str, Verdict]:
        """Return the payloads of the events that were given to these steps."""
        by_key = {row.pk: row for row in rows}
        waits = EventWait.objects.using(execution.using).filter(pk__in=by_key).exclude(event=None)
        found: dict[str, Verdict] = {}
        for wait in waits.select_related("event"):
            row, event = by_key[wait.pk], wait.event
            if event is not None:
                told = {"event": event.name, "key": event.key, "received_at": event.received_at.isoformat()}
                found[row.name] = Verdict(columns={"result_json": event.payload_json}, told=told)
        return found

    def time_over(self, row: StepRun, step: EventStep) -> Verdict:
        """Return the error of an event that did not come."""
        message = f"Step {row.name} waited for the event {step.event} for {step.limit:g} seconds, and it did not come."
        return Verdict(error=EventTimeout(message))

    def forget(self, execution: Execution, rows: Sequence[StepRun]) -> None:
        """Delete the waits, and with them what is stored of their tokens."""
        EventWait.objects.using(execution.using).filter(pk__in=[row.pk for row in rows]).delete()


WAIT_KINDS: Mapping[str, WaitKind] = {Kind.DELAY: DelayKind(), Kind.EVENT: EventKind()}
