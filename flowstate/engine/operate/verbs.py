"""What a person does with a run: cancel it, or have it go on. Surfaces ask `may_operate` first.

What a person does about a single step of one that needs attention is in `resolve.py`.
"""

from __future__ import annotations

from typing import Any

from django.db import router

from flowstate.actions.system import SYSTEM
from flowstate.conf import settings
from flowstate.engine.database.blocks import in_transaction
from flowstate.engine.drive import drive
from flowstate.engine.execution import Execution
from flowstate.engine.loading import load
from flowstate.engine.look.next import Next
from flowstate.engine.look.parents import tell_resumed
from flowstate.engine.look.run import lock_run, look
from flowstate.engine.look.stopping import stop_unstarted
from flowstate.engine.new_run import label_of
from flowstate.engine.operate.takeover import continuation_of
from flowstate.exceptions import ActionDenied, RunConflict
from flowstate.models import Compensation, EventKind, Run, RunEvent, RunStatus, StepRun

LONGEST_REASON = 500
"""Characters of a reason that the history keeps."""


def cancel(run: Run, *, user: Any, reason: str = "") -> None:
    """Stop a running run and undo, in this process, what it has done.

    What is in flight elsewhere finishes, is recorded and undone by whoever finishes it. After the first
    commit nothing new starts. Raises `RunConflict` for a run that has ended or is being undone, and
    `ActionDenied` without a user.
    """
    require_user(user, run, "cancelled")
    execution = load(run.pk, using=router.db_for_write(Run))

    def work() -> Next:
        lock_run(execution)
        runs = execution.runs
        if not runs.request_cancel(execution.run.pk, user_id=_key(user), label=label_of(user)):
            raise cannot(execution.run, "cancelled", "Only a running run can be.")
        record_act(execution, EventKind.CANCEL_REQUESTED, user, reason)
        runs.begin_undoing(execution.run.pk, wake_in=settings().lease_grace)
        stop_unstarted(execution)
        lock_run(execution)
        return look(execution)

    drive(execution, in_transaction(execution, work))


def retry(run: Run, *, user: Any, from_step: str | None = None) -> Run:
    """Have a run go on and return the run that does; with `from_step`, which is for ended ones, from there on.

    In attention: its failed compensations are tried again, in this process, and the run itself is returned.
    Ended badly: a new run takes over what is done and not undone, and is worked on in this process as by
    `.run()`; a second call gives the same one. Raises `RunConflict` for a run that goes on or has ended well,
    and `ActionDenied` for who may not start it again.
    """
    require_user(user, run, "retried")
    execution = load(run.pk, using=router.db_for_write(Run))
    if execution.run.status == RunStatus.ATTENTION and from_step is None:
        drive(execution, in_transaction(execution, lambda: _undo_again(execution, user)))
        return run.refresh()
    if execution.run.finished and execution.run.parent_id is not None:
        rule = f"It worked for run {execution.run.parent_id}: retry that one, if it has ended badly."
        raise cannot(execution.run, "retried", rule)
    if not execution.run.finished or execution.run.success:
        raise cannot(execution.run, "retried", "Only one that needs attention or ended badly can be.")
    return continuation_of(execution, user, from_step)


def require_user(user: Any, run: Run, verb: str) -> None:
    """Raise `ActionDenied` for None: the program itself says SYSTEM."""
    if user is None:
        message = f"Run {run.pk} was {verb} without a user: pass user=, or SYSTEM for the program itself."
        raise ActionDenied(message)


def _undo_again(execution: Execution, user: Any) -> Next:
    lock_run(execution)
    run = execution.run
    # Where nothing stopped the run, it was only a step that lost a race which could not be undone.
    was = RunStatus.RUNNING if run.error is None and run.cancelled_at is None else RunStatus.COMPENSATING
    if not execution.runs.resume(run.pk, status=was, wake_in=settings().lease_grace):
        raise cannot(run, "retried", "Somebody was faster.")
    tell_resumed(execution)
    record_act(execution, EventKind.RETRY_REQUESTED, user, "")
    for row in execution.rows.values():
        if row.compensation == Compensation.FAILED:
            keep_failure(execution, row)
    execution.step_runs.reopen_compensations(run.pk)
    lock_run(execution)
    return look(execution)


def keep_failure(execution: Execution, row: StepRun) -> None:
    """Put how an undoing failed into the history, before the row forgets it."""
    RunEvent.objects.using(execution.using).record(
        execution.run,
        EventKind.COMPENSATION_ATTEMPT_FAILED,
        at=row.compensation_ended_at,
        step=row.name,
        attempt=row.compensation_failures,
        data=row.compensation_error or {},
    )


def record_act(
    execution: Execution, kind: EventKind, user: Any, reason: str, *, step: str = "", **facts: Any
) -> None:
    """Put what a person did into the history, in the transaction that makes it true."""
    RunEvent.objects.using(execution.using).record(
        execution.run,
        kind,
        step=step,
        actor_id=_key(user),
        actor_label=label_of(user),
        data={"detail": reason[:LONGEST_REASON], **facts} if reason or facts else {},
    )


def cannot(run: Run, verb: str, rule: str) -> RunConflict:
    """Return the error that the run's status does not fit."""
    return RunConflict(f"Run {run.pk} ({run.label}) cannot be {verb}: it is {run.status}. {rule}")


def _key(user: Any) -> Any:
    return None if user is SYSTEM else getattr(user, "pk", None)
