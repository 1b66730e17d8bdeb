"""Leaves a run as it is whose function does not ask for its steps as the journal has them, for a person to see."""

from __future__ import annotations

from flowstate.engine.calls.errors import describe
from flowstate.engine.calls.hooks import announce
from flowstate.engine.database.blocks import LostClaim, in_transaction
from flowstate.engine.execution import Execution
from flowstate.engine.look.next import Next
from flowstate.engine.look.run import lock_run, look, read_steps
from flowstate.engine.look.wake_up import plan_wake_up
from flowstate.exceptions.shapes import ShapeChanged
from flowstate.models import EventKind, RunEvent, RunStatus, StepStatus, WaitingFor
from flowstate.models.clock import host_now

AGAIN_IN = 10.0
"""Seconds after which a worker tries whether its code fits by now."""


def leave(execution: Execution, name: str, refusal: ShapeChanged) -> Next:
    """Give a claim on a step back, unbegun; the run says why, and that it waits for a person.

    Commits that once in the history. In a run that was stopped meanwhile the step is settled instead.
    """
    return in_transaction(execution, lambda: _leave(execution, name, refusal))


def _leave(execution: Execution, name: str, refusal: ShapeChanged) -> Next:
    lock_run(execution)
    row, rows = execution.rows[name], execution.step_runs
    if execution.run.status != RunStatus.RUNNING:
        status = StepStatus.UNKNOWN if row.uncertain else StepStatus.CANCELLED
        if not rows.finish(row.pk, attempt=row.attempt, status=status, at=host_now()):
            raise LostClaim
        return look(execution)
    words = str(refusal)[:500]
    if not rows.give_back(row.pk, attempt=row.attempt, delay=AGAIN_IN, reason=words):
        raise LostClaim
    read_steps(execution)
    plan_wake_up(execution)
    execution.runs.wait_for([execution.run.pk], WaitingFor.PERSON)
    if row.reason != words:  # told once, however often it is tried
        described = describe(refusal, step=name, action=execution.action)
        facts = {**described.error, "expected": refusal.expected, "found": refusal.found}
        history = RunEvent.objects.using(execution.using)
        history.record(execution.run, EventKind.SHAPE_CHANGED, step=name, data=facts)
        announce(execution, "shape_changed", name)
    return None
