"""Looks at a run under the lock of its row, and writes what `decide` says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from django.db.models import DateTimeField, Value
from django.db.models.lookups import GreaterThan

from flowstate.conf import settings
from flowstate.engine.calls.errors import describe
from flowstate.engine.calls.hooks import announce, announce_end
from flowstate.engine.calls.outputs import output_of, record_problem
from flowstate.engine.decide import Advance, Attention, End, Leave, Rest, Undo, decide, waited_for
from flowstate.engine.execution import Execution
from flowstate.engine.handover import publish_run, publish_step
from flowstate.engine.look.counting import count_joins
from flowstate.engine.look.next import Backward, Forward, Look, Next
from flowstate.engine.look.parents import lock_ancestors, tell_attention, tell_end
from flowstate.engine.look.recheck import reopen_changed
from flowstate.engine.look.stopping import forget_waits, stop_losing_children, stop_unstarted
from flowstate.engine.look.wake_up import plan_wake_up
from flowstate.exceptions import RunTimeout
from flowstate.models import Compensation, RunStatus, StepRun, StepStatus, WaitingFor
from flowstate.models.claim import Claim
from flowstate.models.clock import DbNow, host_now
from flowstate.workflows.steps import Kind


def lock_run(execution: Execution) -> None:
    """Lock the run's row until the transaction ends; after those of the runs above, before those of its steps."""
    lock_ancestors(execution)
    runs = execution.runs.select_for_update()
    fresh = runs.only("status", "cancelled_at").get(pk=execution.run.pk)
    execution.run.reflect(status=fresh.status, cancelled_at=fresh.cancelled_at)


def look_anew(execution: Execution) -> Next:
    """Lock the run's row and look at the run: the first that its transaction does."""
    lock_run(execution)
    return look(execution)


def look(execution: Execution) -> Next:
    """Read the steps again, decide and write; the caller holds the lock of the run's row."""
    read_steps(execution)
    return _act(execution)


def go_on(execution: Execution) -> Next:
    """Decide and write from the rows in memory: for who holds the run's lock, and the only claim in the run."""
    return _act(execution)


def _act(execution: Execution) -> Next:
    match decide(execution.state()):
        case Advance(ready, losers, lost):
            stop_losing_children(execution, lost)
            return _go_on(execution, ready, losers)
        case Leave(skipped, cancelled):
            if not _left(execution, skipped, cancelled):
                read_steps(execution)  # somebody has claimed one meanwhile
            return _act(execution)
        case Undo(due):
            return _undo(execution, due)
        case End(status):
            end_run(execution, status)
        case Attention():
            _need_attention(execution)
        case Rest():
            plan_wake_up(execution)
    return None


def _go_on(execution: Execution, ready: tuple[str, ...], losers: tuple[str, ...]) -> Next:
    """Claim what may begin. What lost a race is undone where there is nothing to claim, else by another worker."""
    if _deadline_passed(execution):
        return stop(execution, RunTimeout(_timeout_words(execution)), step="")
    if not execution.passive and reopen_changed(execution, _that_may_begin(execution, ready)):
        return look(execution)
    following = _advance(execution, ready)
    if following is not None or not losers:
        if losers and execution.carried:
            publish_run(execution)
        return following
    following = _undo(execution, losers)
    if isinstance(following, Backward):
        lease = execution.lease(execution.step(following.step))
        execution.runs.lower_wake_up(execution.run.pk, delay=lease)
    return following


def _that_may_begin(execution: Execution, unblocked: tuple[str, ...]) -> list[str]:
    ready = (name for name, row in execution.rows.items() if row.status == StepStatus.READY)
    return [name for name in (*unblocked, *ready) if execution.belongs_here(execution.rows[name])]


def _left(execution: Execution, skipped: Mapping[str, str], cancelled: Mapping[str, str]) -> bool:
    """Settle the steps without starting them, each for its reason; False where one is no longer as it was."""
    rows = execution.step_runs
    as_known = True
    for reason, out in _by_reason(execution, skipped):
        as_known &= rows.leave_out([row.pk for row in out], reason=reason) == len(out)
        for row in out:
            row.reflect(status=StepStatus.SKIPPED, reason=reason, ended_at=host_now())
    for reason, out in _by_reason(execution, cancelled):
        as_known &= rows.abandon([row.pk for row in out], reason=reason) == len(out)
        forget_waits(out, execution.using)
        for row in out:
            status = StepStatus.UNKNOWN if row.uncertain else StepStatus.CANCELLED
            row.reflect(status=status, reason=reason, ended_at=host_now(), wake_at=None)
    count_joins(execution, [*skipped, *cancelled])
    return as_known


def _by_reason(execution: Execution, reasons: Mapping[str, str]) -> Iterable[tuple[str, list[StepRun]]]:
    found: dict[str, list[StepRun]] = {}
    for name, reason in reasons.items():
        found.setdefault(reason, []).append(execution.rows[name])
    return found.items()


def proceed(
    execution: Execution,
    undone: str,
    record: Callable[[], None],
    record_and_claim: Callable[[Claim], bool] | None = None,
) -> Next:
    """Record that a step was undone and go on from what is known, without reading the steps again.

    `record_and_claim` records it and claims the next undoing at once, and returns whether that was won. What is
    known to have settled has settled for good, and each write is a compare-and-set. Where that is not enough, or
    somebody was or may be faster, the run is looked at under its lock.
    """
    decision = decide(execution.state())
    match decision:
        case End(status) if end_run(execution, status):
            record()
            return None
        case Attention() if _need_attention(execution):
            record()
            return None
        case Undo(due):
            first, *others = _in_turn(execution, due)
            if _others_may_claim(execution, first, undone):
                record()
                return Look()
            if not _recorded_and_claimed(execution, execution.rows[first], record, record_and_claim):
                return Look()
            _share(execution, first, others)
            return Backward(first)
        case _:
            lock_run(execution)
            record()
    return look(execution)


def read_steps(execution: Execution) -> None:
    """Replace the rows in memory by what the journal holds now."""
    rows = execution.step_runs.for_run(execution.run.pk)
    execution.rows = {row.name: row for row in rows}
    for row in execution.rows.values():
        row.run = execution.run


def stop(
    execution: Execution, error: BaseException, *, step: str, record: Callable[[], None] = lambda: None
) -> Next:
    """Turn the run round because it failed: nothing new starts.

    `record` writes how the step failed: after the run's row, which the turn itself locks.
    """
    run = execution.run
    lock_ancestors(execution)
    described = describe(error, step=step, action=execution.action)
    columns: dict[str, Any] = {"error": described.error, "traceback": described.traceback}
    runs = execution.runs
    if not runs.begin_undoing(run.pk, wake_in=settings().lease_grace, step=step, **columns):
        lock_run(execution)  # somebody stopped the run meanwhile
        record()
        return look(execution)
    record()
    run.reflect(status=RunStatus.COMPENSATING, failed_step=step, **columns)
    run.cause = error
    unstarted = [row for row in execution.rows.values() if not row.settled]
    if not _knows_all(execution, step):
        stop_unstarted(execution)
        return look(execution)
    if unstarted:
        stop_unstarted(execution)
        for row in unstarted:
            row.reflect(status=StepStatus.UNKNOWN if row.uncertain else StepStatus.CANCELLED)
    return _act(execution)


def _knows_all(execution: Execution, failed: str) -> bool:
    """Return whether the rows in memory are as the journal holds them, so that none has to be read again.

    What has settled has for good. What waits for the step that failed here, through others or not, was never
    let go: only the holder of that step's token settles it. That nobody else stopped the run says its row,
    which the caller has just turned round. Parallel branches may have moved on: then it is not known.
    """
    behind = {failed}
    for row in execution.rows.values():
        if row.settled:
            continue
        if row.status != StepStatus.BLOCKED or behind.isdisjoint(row.depends_on):
            return False
        behind.add(row.name)
    return True


def claim_successor(execution: Execution, row: StepRun) -> bool:
    """Claim the step that only waited for the one just finished, without a look at the run."""
    step = execution.step(row.name)
    rows = execution.step_runs
    if execution.run.deadline_at is not None:
        deadline = Value(execution.run.deadline_at, output_field=DateTimeField())
        rows = rows.filter(GreaterThan(deadline, DbNow()))
    won = rows.claim(row.pk, seen=StepStatus.BLOCKED, attempt=row.attempt, lease=execution.lease(step))
    if won:
        know_claimed(execution, row)
    return won


def claim_of(execution: Execution, row: StepRun) -> Claim:
    """Return the claim, as this process would hold it, of a step that only waits for the one it settles."""
    lease = execution.lease(execution.step(row.name))
    return Claim(pk=row.pk, attempt=row.attempt, lease=lease, missing=1)


def know_claimed(execution: Execution, row: StepRun) -> None:
    """Stage that this process has claimed the step."""
    execution.know(row, status=StepStatus.RUNNING, attempt=row.attempt + 1, started_at=host_now())


def _advance(execution: Execution, unblocked: tuple[str, ...]) -> Next:
    rows = execution.step_runs
    mine: StepRun | None = None
    # What decides a race goes first: nobody is to begin what is about to lose.
    for row in sorted(execution.rows.values(), key=lambda row: row.kind != Kind.FIRST):
        if row.name in unblocked:
            if mine is None and execution.belongs_here(row):
                mine = _claimed(execution, row, StepStatus.BLOCKED)
            elif rows.make_ready(row.pk):
                row.reflect(status=StepStatus.READY)
                if execution.carried or not execution.belongs_here(row):
                    publish_step(execution, row)
        elif mine is None and row.status == StepStatus.READY and execution.belongs_here(row):
            mine = _claimed(execution, row, StepStatus.READY)
    plan_wake_up(execution, claimed=mine)
    return None if mine is None else Forward(mine.name)


def take(execution: Execution, name: str) -> Next:
    """Claim a step that was ready; where somebody was faster, look at the run anew."""
    row = execution.rows[name]
    if not _claimed(execution, row, StepStatus.READY):
        return Look()
    return Forward(name)


def _claimed(execution: Execution, row: StepRun, seen: StepStatus) -> StepRun | None:
    rows = execution.step_runs
    lease = execution.lease(execution.step(row.name))
    won = (
        rows.claim_due(row.pk, attempt=row.attempt, lease=lease)
        if seen == StepStatus.READY
        else rows.claim(row.pk, seen=seen, attempt=row.attempt, lease=lease)
    )
    if not won:
        return None
    row.reflect(status=StepStatus.RUNNING, attempt=row.attempt + 1, started_at=host_now())
    return row


def _undo(execution: Execution, due: tuple[str, ...]) -> Next:
    """Take the first of the due steps that may be undone now; the run's wake-up is early enough as it is.

    Inverses follow each other in their order, also among workers: they are not claimed, and the second to carry
    one out finds it recorded.
    """
    if execution.passive:
        return None
    turn = _in_turn(execution, due)
    for number, name in enumerate(turn, start=1):
        if _claimed_undoing(execution, execution.rows[name]):
            _share(execution, name, turn[number:])
            return Backward(name)
    plan_wake_up(execution)
    return None


def _in_turn(execution: Execution, due: Sequence[str]) -> list[str]:
    """Return the due steps as this process takes them: among workers what takes its time goes first."""
    if not execution.carried:
        return list(due)
    return sorted(due, key=lambda name: execution.step(name).derives_inverse)


def _share(execution: Execution, taken: str, others: Sequence[str]) -> None:
    """Have another worker join in, while this one calls a compensation that it has claimed."""
    if execution.carried and others and execution.rows[taken].compensation == Compensation.RUNNING:
        publish_run(execution)


def _claimed_undoing(execution: Execution, row: StepRun) -> bool:
    """Claim the undoing of a step; an inverse is carried out in the transaction that records it, unclaimed."""
    step = execution.step(row.name)
    if step.derives_inverse or step.undone_by_run:
        return True
    claim = _claim_of_undoing(execution, row)
    rows = execution.step_runs
    won = rows.claim_compensation(claim.pk, attempt=claim.attempt, lease=claim.lease)
    if won:
        row.reflect(compensation=Compensation.RUNNING, compensation_attempt=claim.attempt + 1)
    return won


def _recorded_and_claimed(
    execution: Execution,
    row: StepRun,
    record: Callable[[], None],
    record_and_claim: Callable[[Claim], bool] | None,
) -> bool:
    """Record what was undone and claim the undoing of the row: in one statement, where there is such a one."""
    step = execution.step(row.name)
    if record_and_claim is None or step.derives_inverse or step.undone_by_run:
        record()
        return _claimed_undoing(execution, row)
    claim = _claim_of_undoing(execution, row)
    won = record_and_claim(claim)
    if won:
        row.reflect(compensation=Compensation.RUNNING, compensation_attempt=claim.attempt + 1)
    return won


def _others_may_claim(execution: Execution, name: str, undone: str) -> bool:
    """Return whether other workers may be about to claim this undoing, which was due before this one ended.

    Two who each hold their own row and want the other's would wait for one another.
    """
    step = execution.step(name)
    claimed = not (step.derives_inverse or step.undone_by_run)
    return execution.carried and claimed and not waited_for(name, undone, execution.state().steps)


def _claim_of_undoing(execution: Execution, row: StepRun) -> Claim:
    lease = execution.lease(execution.step(row.name))
    return Claim(pk=row.pk, attempt=row.compensation_attempt, lease=lease)


def _need_attention(execution: Execution) -> bool:
    lock_ancestors(execution)
    was = RunStatus(execution.run.status)
    if was == RunStatus.ATTENTION:  # somebody has acted, but not on all
        return False
    won = execution.runs.need_attention(execution.run.pk, was=was)
    if won:
        execution.know(execution.run, status=RunStatus.ATTENTION, waiting_for=WaitingFor.PERSON)
        announce(execution, "attention")
        tell_attention(execution)
    return won


def end_run(execution: Execution, status: RunStatus) -> bool:
    """End the run, with its value if it ended well; False where somebody moved it meanwhile."""
    run = execution.run
    lock_ancestors(execution)
    value, problem = output_of(execution) if status == RunStatus.SUCCEEDED else (None, "")
    ended_at = host_now()
    runs = execution.runs
    if not runs.end(run.pk, was=RunStatus(run.status), status=status, at=ended_at, value=value):
        return False
    execution.know(
        run,
        status=status,
        value_json=value,
        ended_at=ended_at,
        wake_at=None,
        waiting_for=WaitingFor.NOTHING,
        exclusive_key=None,
    )
    record_problem(execution, problem)
    announce_end(execution, status)
    tell_end(execution, status, value)
    return True


def _deadline_passed(execution: Execution) -> bool:
    run = execution.run
    if run.deadline_at is None:
        return False
    return execution.runs.filter(pk=run.pk, deadline_at__lte=DbNow()).exists()


def _timeout_words(execution: Execution) -> str:
    limit = execution.declaration.meta.timeout
    return f"Run {execution.run.pk} ({execution.run.label}) took longer than its {limit} seconds."
