"""When somebody must look at a run next, and what it waits for until then."""

from __future__ import annotations

from datetime import datetime

from django.db.models import DateTimeField, Value
from django.db.models.functions import Least

from flowstate.conf import settings
from flowstate.engine.execution import Execution
from flowstate.engine.look.parents import waits_below
from flowstate.models import Compensation, RunStatus, StepRun, StepStatus, WaitingFor
from flowstate.models.clock import FAR_FUTURE, DbNow, host_now
from flowstate.workflows.steps import Kind

WAITED_FOR = {
    Kind.DELAY: WaitingFor.TIME,
    Kind.EVENT: WaitingFor.EVENT,
    Kind.APPROVAL: WaitingFor.PERSON,
}
"""What a run waits for while one of its steps of this kind does, and nobody works on another."""

_FIRST_SHOWN = (WaitingFor.PERSON, WaitingFor.EVENT, WaitingFor.TIME)


def plan_wake_up(execution: Execution, claimed: StepRun | None = None) -> None:
    """Store when somebody must look at the run next, should this process not come back.

    Too early is harmless, too late is a defect: what this process holds counts with the end of its lease,
    what it left to others with the moment from which they may take it.
    """
    run = execution.run
    moments = _moments_of_others(execution, claimed)
    if run.deadline_at is not None and run.status == RunStatus.RUNNING:
        moments.append(run.deadline_at)
    mine = DbNow(settings().lease_grace if claimed is None else execution.lease(execution.step(claimed.name)))
    if claimed is None and moments:
        moment: datetime | DbNow | Least = min(moments)
    else:
        moment = Least(mine, Value(min(moments), output_field=DateTimeField())) if moments else mine
    waiting_for = WaitingFor.NOTHING if claimed else _waiting_for(execution)
    execution.runs.set_wake_up(run.pk, moment, waiting_for)


def _moments_of_others(execution: Execution, claimed: StepRun | None) -> list[datetime]:
    moments = []
    for row in execution.rows.values():
        if row is claimed:
            continue
        if row.lease_until is not None:
            moments.append(row.lease_until)
        elif row.status == StepStatus.WAITING or row.compensation == Compensation.RUNNING:
            moments.append(row.wake_at or FAR_FUTURE)
        elif row.status == StepStatus.READY or row.compensation == Compensation.PENDING:
            mine_too = claimed is not None and row.wake_at is None and execution.belongs_here(row)
            if not mine_too and (row.status == StepStatus.READY or row.wake_at is not None):
                moments.append(row.wake_at or host_now())
    return moments


def _waiting_for(execution: Execution) -> WaitingFor:
    now, rows = host_now(), execution.rows.values()
    if any(row.lease_until is not None for row in rows):
        return WaitingFor.NOTHING
    if waits_below(execution):
        return WaitingFor.PERSON
    waits = {WAITED_FOR.get(Kind(row.kind)) for row in rows if row.status == StepStatus.WAITING}
    if any(row.wake_at is not None and row.wake_at > now for row in rows if row.status != StepStatus.WAITING):
        waits.add(WaitingFor.TIME)
    return next((what for what in _FIRST_SHOWN if what in waits), WaitingFor.NOTHING)
