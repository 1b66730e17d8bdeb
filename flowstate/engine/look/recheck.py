"""Asks again for an approval when what was shown has changed before anybody has acted on it.

The claim of the first step that depends on an approval compares once more, under the lock of the run's row, what
there is with what was approved. Once such a step was claimed nothing is compared.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flowstate.engine.calls.contexts import context_of
from flowstate.engine.execution import Execution
from flowstate.engine.waits.opening import first_moment, note, open_approval, plan_opening
from flowstate.engine.waits.shown import shown_now, texts_of, values_of
from flowstate.exceptions import EntityGone
from flowstate.models import Approval, ApprovalApprover, EventKind, StepRun, StepStatus
from flowstate.workflows.approvals import ApprovalStep
from flowstate.workflows.steps import Kind


def to_recheck(execution: Execution, row: StepRun) -> list[StepRun]:
    """Return the approvals that must still hold before the step begins, as this process knows the rows."""
    return [
        execution.rows[name]
        for name in row.depends_on
        if execution.rows[name].kind == Kind.APPROVAL and _is_to_hold(execution, execution.rows[name])
    ]


def reopen_changed(execution: Execution, names: Iterable[str]) -> bool:
    """Open the approvals again that do not hold before these steps; return whether there were any.

    The caller holds the lock of the run's row, has read its steps, and reads them again afterwards.
    """
    approvals = {row.name: row for name in names for row in to_recheck(execution, execution.rows[name])}
    reopened = [
        row for row in approvals.values() if _reopened(execution, row)
    ]  # all of them, not only the first
    return bool(reopened)


def _is_to_hold(execution: Execution, approval: StepRun) -> bool:
    step = execution.step(approval.name)
    if not isinstance(step, ApprovalStep) or not step.recheck or not step.shown:
        return False
    if approval.status != StepStatus.DONE or not (approval.result_json or {}).get("approved"):
        return False
    followers = [execution.rows[name] for name in execution.followers_of(approval.name)]
    if execution.rows_of(Kind.FUNCTION):  # it was told of the approval once it has asked for what comes next
        return all(row.kind == Kind.FUNCTION for row in followers)
    return not any(row.attempt for row in followers)


def _reopened(execution: Execution, row: StepRun) -> bool:
    step: Any = execution.step(row.name)
    ctx = context_of(execution, row)
    try:
        now = shown_now(step, ctx)
    except EntityGone:
        return False  # whoever needs the row says so better
    if values_of(now.items) == (row.result_json or {}).get("shown"):
        return False
    before = Approval.objects.using(execution.using).of_steps([row]).first()
    opening = plan_opening(execution, step, ctx, None if before is None else _asked_before(before, execution))
    rows, until = execution.step_runs, first_moment(step)
    if not rows.wait_anew(row.pk, attempt=row.attempt, until=until):
        return False
    rows.block_again([execution.rows[name].pk for name in execution.followers_of(row.name)])
    row.reflect(status=StepStatus.WAITING, attempt=row.attempt + 1)
    note(
        execution,
        EventKind.APPROVAL_REOPENED,
        row.name,
        detail="What was approved has changed before anybody acted on it.",
        old=[] if before is None else texts_of(before.shown_json),
        new=texts_of(now.items),
    )
    open_approval(execution, row, step, opening)
    return True


def _asked_before(approval: Approval, execution: Execution) -> list[Any]:
    asked = ApprovalApprover.objects.using(execution.using).asked().filter(approval=approval)
    return [approver.user for approver in asked.select_related("user")]
