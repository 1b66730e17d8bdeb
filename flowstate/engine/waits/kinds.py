"""What each kind of waiting step waits for: the part of a wait that differs from kind to kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from flowstate.engine.execution import Execution
from flowstate.engine.keys import event_key
from flowstate.engine.tokens import hash_of, make_token
from flowstate.engine.waits.approvals import ApprovalKind
from flowstate.engine.waits.children import ChildKind
from flowstate.engine.waits.kind import Verdict, Wait, WaitKind
from flowstate.engine.waits.matching import match_wait
from flowstate.exceptions import EventTimeout
from flowstate.models import EventWait, StepRun
from flowstate.models.clock import db_now
from flowstate.models.inbox import topic_of
from flowstate.workflows.context import Context
from flowstate.workflows.steps import UNSET, Kind
from flowstate.workflows.waits import DelayStep, EventStep


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

    def time_over(self, execution: Execution, row: StepRun, step: EventStep) -> Verdict:
        """Return the error of an event that did not come."""
        message = f"Step {row.name} waited for the event {step.event} for {step.limit:g} seconds, and it did not come."
        return Verdict(error=EventTimeout(message))

    def forget(self, rows: Sequence[StepRun], using: str) -> None:
        """Delete the waits, and with them what is stored of their tokens."""
        EventWait.objects.using(using).filter(pk__in=[row.pk for row in rows]).delete()


WAIT_KINDS: Mapping[str, WaitKind] = {
    Kind.DELAY: DelayKind(),
    Kind.EVENT: EventKind(),
    Kind.APPROVAL: ApprovalKind(),
    Kind.WORKFLOW: ChildKind(),
}
