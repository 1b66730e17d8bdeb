"""What becomes of steps whose worker is gone: their lease is over and nobody has finished them."""

from __future__ import annotations

from flowstate.conf import settings
from flowstate.engine.calls.errors import describe
from flowstate.engine.calls.hooks import announce_step_failed
from flowstate.engine.do.step import failure_of, lost_a_race
from flowstate.engine.execution import Execution
from flowstate.engine.look.counting import count_joins
from flowstate.engine.look.next import Next
from flowstate.engine.look.run import stop
from flowstate.exceptions import WorkerLost
from flowstate.models import Compensation, EventKind, Run, RunEvent, RunStatus, StepRun, StepStatus
from flowstate.models.processes import is_gone
from flowstate.workflows.steps import Kind


def end_leases_of_the_gone(using: str) -> int:
    """End the leases of this machine's processes that no longer exist; return how many.

    It only makes a takeover earlier: what cannot be judged from here waits for its lease.
    """
    ended = 0
    claims = StepRun.objects.using(using).claims_in_live_runs()
    for process in set(claims.values_list("claimed_by", flat=True)):
        if is_gone(process):
            run_ids = set(claims.filter(claimed_by=process).values_list("run_id", flat=True))
            ended += StepRun.objects.using(using).end_leases_of(process, run_ids)
            for run_id in run_ids:
                Run.objects.using(using).lower_wake_up(run_id)
    return ended


def recover(execution: Execution) -> Next:
    """Take the expired claims of a run back; the caller holds the lock of the run's row.

    A step is tried again under the same key. One that has lost its worker too often counts as the cause: it
    has failed, and unless it is optional, so has the run. In a run that is being undone already, a step whose rows cannot have been
    committed is cancelled, and one that may have had an outside effect is unknown, so that it is undone.
    """
    following: Next = None
    for row in execution.step_runs.expired(execution.run.pk):
        if row.status != StepStatus.RUNNING:
            _take_back_undoing(execution, row)
        elif execution.run.status != RunStatus.RUNNING:
            _settle(execution, row)
        elif row.lost + 1 < settings().max_lost_leases:
            _take_back(execution, row)
        else:
            following = _condemn(execution, row)
    return following


def _take_back(execution: Execution, row: StepRun) -> None:
    if execution.step_runs.lose_lease(row.pk, attempt=row.attempt):
        _record(execution, row, row.attempt, "The worker is gone; the step is tried again under its key.")


def _settle(execution: Execution, row: StepRun) -> None:
    status = StepStatus.UNKNOWN if row.kind == Kind.EXTERNAL or row.uncertain else StepStatus.CANCELLED
    if execution.step_runs.settle_lost(row.pk, attempt=row.attempt, status=status):
        _record(execution, row, row.attempt, f"The worker is gone and the run is being undone: {status}.")


def _condemn(execution: Execution, row: StepRun) -> Next:
    """Settle a step that counts as the cause. As by any failure the run is turned round, unless it outlives it."""
    words = f"Step {row.name} has lost its worker {row.lost + 1} times and is not tried again."
    error = WorkerLost(words)
    uncertain = row.kind == Kind.EXTERNAL or row.uncertain
    step = execution.step(row.name)
    outcome = failure_of(execution, row, step, error, failures=row.failures, uncertain=uncertain)
    rows = execution.step_runs
    if not rows.settle_lost(row.pk, attempt=row.attempt, status=outcome.status, **outcome.columns):
        return None
    _record(execution, row, row.attempt, words)
    announce_step_failed(execution, row.name, error)
    if outcome.forgiven or lost_a_race(execution, row.name):
        count_joins(execution, [row.name])
        return None
    return stop(execution, error, step=row.name)


def _take_back_undoing(execution: Execution, row: StepRun) -> None:
    rows = execution.step_runs
    if row.compensation != Compensation.RUNNING:
        return
    if row.compensation_lost + 1 < settings().max_lost_leases:
        rows.lose_compensation_lease(row.pk, attempt=row.compensation_attempt)
        words = "The worker is gone; undoing is tried again under its key."
    else:
        words = f"Undoing {row.name} has lost its worker {row.compensation_lost + 1} times."
        described = describe(WorkerLost(words), step=row.name, action=execution.action)
        rows.fail_compensation(row.pk, attempt=row.compensation_attempt, error=described.error)
    _record(execution, row, row.compensation_attempt, words)


def _record(execution: Execution, row: StepRun, attempt: int, words: str) -> None:
    RunEvent.objects.using(execution.using).record(
        execution.run, EventKind.LEASE_LOST, step=row.name, attempt=attempt, data={"detail": words}
    )
