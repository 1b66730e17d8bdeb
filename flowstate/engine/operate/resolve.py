"""What a person decides about a step whose undoing failed: waive it, or force it. Surfaces ask `may_resolve`.

Each decision, who took it and why are one commit with what it changes, and once nothing failed is left, with
the end of the run.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db import connections, router

from flowstate.engine.calls.hooks import announce_undone
from flowstate.engine.database.blocks import in_transaction
from flowstate.engine.database.contention import is_contention
from flowstate.engine.drive import drive
from flowstate.engine.execution import Execution
from flowstate.engine.functions.learn import learn_inverses
from flowstate.engine.loading import load
from flowstate.engine.look.next import Next
from flowstate.engine.look.run import lock_run, look
from flowstate.engine.operate.verbs import cannot, keep_failure, record_act, require_user
from flowstate.engine.undo.conflicts import (
    invert,
    kept_error,
    overwritten_facts,
    overwritten_words,
    told_apart,
)
from flowstate.exceptions import InputInvalid, RunConflict, StepUnknown, WorkflowUnknown
from flowstate.models import Compensation, EventKind, Run, RunStatus, StepRun
from flowstate.models.clock import host_now
from flowstate.workflows.steps import Step
from flowstate.workflows.workflow import Workflow


def waive(run: Run, *, user: Any, step: str, reason: str) -> None:
    """Leave a step as it is whose undoing failed. The run ends where that was the last.

    Whatever the step, and also where the code no longer knows it: a person can always move a run on. Raises
    `InputInvalid` without a reason, `RunConflict` for a run that is not in attention and for another step,
    `ActionDenied` without a user.
    """
    require_user(user, run, "waived")
    if not reason.strip():
        message = (
            f"Step {step} of run {run.pk} ({run.label}) cannot be waived without a reason: say why it stays."
        )
        raise InputInvalid(message, {"reason": [message]})
    execution = _load_in_any_case(run)

    def work() -> Next:
        lock_run(execution)
        row = _failed_row(execution, step, "waived")
        if not execution.step_runs.waive(row.pk, attempt=row.compensation_attempt):
            raise _too_late(execution, step, "waived")
        record_act(execution, EventKind.UNDO_WAIVED, user, reason.strip(), step=step)
        return look(execution)

    drive(execution, in_transaction(execution, work))


def force(run: Run, *, user: Any, step: str, reason: str = "") -> None:
    """Undo an entity step that met a conflict, once, over what somebody else wrote.

    What cannot be overwritten stays a conflict, with its new words: a row that is gone, a value that is taken, a
    row that others refer to. Raises `RunConflict` for a step that has no derived inverse, for a run that is
    not in attention, and for another step; `ActionDenied` without a user.
    """
    require_user(user, run, "forced")
    execution = load(run.pk, using=router.db_for_write(Run))
    learn_inverses(execution)
    row = _failed_row(execution, step, "forced")
    declared = execution.step(row.name)
    if not declared.derives_inverse:
        rule = f"The compensation of step {step} is code of its own, which must decide; retry or waive it."
        raise cannot(execution.run, "forced", rule)
    joined = connections[execution.using].in_atomic_block
    try:
        following = in_transaction(execution, partial(_force, execution, row, declared, user, reason))
    except RunConflict:
        raise
    except Exception as err:
        if joined and is_contention(err):
            raise  # only the caller, whose transaction it is, can start over
        kept = told_apart(execution, row, err)
        following = in_transaction(execution, partial(_fail_again, execution, row, declared, user, kept))
    drive(execution, following)


def _force(execution: Execution, row: StepRun, step: Step[Any], user: Any, reason: str) -> Next:
    undone = invert(execution, row, step, force=True)
    lock_run(execution)
    at = host_now()
    rows = execution.step_runs
    if execution.run.status != RunStatus.ATTENTION or not rows.force(
        row.pk, attempt=row.compensation_attempt, at=at
    ):
        raise _too_late(execution, step.name, "forced")
    keep_failure(execution, row)
    words = reason.strip() or overwritten_words(undone)
    record_act(
        execution, EventKind.UNDO_FORCED, user, words, step=step.name, **overwritten_facts(undone, step)
    )
    row.reflect(compensation=Compensation.DONE, compensation_ended_at=at)
    announce_undone(execution, step.name)
    return look(execution)


def _fail_again(execution: Execution, row: StepRun, step: Step[Any], user: Any, error: Exception) -> Next:
    lock_run(execution)
    rows = execution.step_runs
    kept = kept_error(execution, step, error)
    if execution.run.status != RunStatus.ATTENTION or not rows.fail_again(
        row.pk, attempt=row.compensation_attempt, error=kept
    ):
        raise _too_late(execution, step.name, "forced")
    keep_failure(execution, row)
    record_act(execution, EventKind.UNDO_FORCED, user, f"in vain: {kept['detail']}", step=step.name)
    return look(execution)


# --- which run, which step -----------------------------------------------------------------------


class _Gone(Workflow):
    """Stands for a workflow, or a step of one, that the code no longer has."""

    nothing = Step("nothing", lambda ctx: None)


def _load_in_any_case(run: Run) -> Execution:
    using = router.db_for_write(Run)
    try:
        return load(run.pk, using=using)
    except (WorkflowUnknown, StepUnknown):
        rows = list(StepRun.objects.using(using).for_run(run.pk).select_related("run"))
        return Execution(
            run=rows[0].run,
            rows={row.name: row for row in rows},
            workflow=_Gone,
            action=None,
            using=using,
        )


def _failed_row(execution: Execution, step: str, verb: str) -> StepRun:
    if execution.run.status != RunStatus.ATTENTION:
        raise cannot(execution.run, verb, "Only a run that needs attention can be.")
    row = execution.rows.get(step)
    if row is None or row.compensation != Compensation.FAILED:
        failed = [row.name for row in execution.rows.values() if row.compensation == Compensation.FAILED]
        message = (
            f"Step {step!r} of run {execution.run.pk} ({execution.run.label}) cannot be {verb}: its undoing did not "
            f"fail. That of {', '.join(failed)} did."
        )
        raise RunConflict(message)
    return row


def _too_late(execution: Execution, step: str, verb: str) -> RunConflict:
    return cannot(execution.run, verb, f"Somebody was faster with step {step}.")
