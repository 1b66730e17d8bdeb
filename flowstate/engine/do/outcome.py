"""Writes what came of a step and claims what follows from it: from what is known, where that is enough.

What has settled has settled for good, a join is counted down on its own row, and each write is a
compare-and-set. Only a fork, a choice, a race or a failure needs a look at the run under its lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flowstate.engine import entities
from flowstate.engine.calls.hooks import announce_step_done
from flowstate.engine.database.blocks import LostClaim
from flowstate.engine.execution import Execution
from flowstate.engine.look.counting import count_joins
from flowstate.engine.look.next import Forward, Look, Next, Take
from flowstate.engine.look.parents import lock_ancestors
from flowstate.engine.look.run import (
    claim_of,
    claim_successor,
    end_run,
    know_claimed,
    lock_run,
    look,
    read_steps,
    take,
)
from flowstate.models import RunStatus, StepRun, StepStatus
from flowstate.models.clock import host_now


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a step: its status and its other columns."""

    status: StepStatus
    columns: dict[str, Any] = field(default_factory=dict)
    forgiven: bool = True
    """Whether the run goes on: a failed step may be optional."""
    touched: Sequence[entities.Touched] = ()
    """The rows that it touched, of models that are traced."""


def record_outcome(execution: Execution, name: str, outcome: Outcome) -> Next:
    """Write the outcome and claim what follows, in the caller's transaction."""
    row = execution.rows[name]
    successor = execution.successor_of(name)
    if successor is None and execution.all_settled_but(row):
        return _record_last(execution, row, outcome)
    if outcome.status == StepStatus.DONE:
        announce_step_done(execution, name)
    if successor is not None and execution.belongs_here(successor):
        return _go_straight_on(execution, row, outcome, successor)
    join = execution.join_of(name)
    if join is not None:
        following, last = execution.next_ready(), _is_last(execution, row, join)
        # Without workers the order is a stable one: what is ready and declared before the join goes first.
        if execution.carried or following is None or not last or following.seq > join.seq:
            return _count_down(execution, row, outcome, join, following, last=last)
    lock_run(execution)
    finish(execution, row, outcome, host_now())
    count_joins(execution, [name])
    return look(execution)


def _go_straight_on(execution: Execution, row: StepRun, outcome: Outcome, successor: StepRun) -> Next:
    """Write the outcome and claim what only waited for it; if that is lost, somebody stopped the run meanwhile."""
    _wake_up_in_time(execution, row, successor)
    claimed = finish(execution, row, outcome, host_now(), following=successor)
    return Forward(successor.name) if claimed else Look()


def _count_down(
    execution: Execution,
    row: StepRun,
    outcome: Outcome,
    join: StepRun,
    following: StepRun | None,
    *,
    last: bool,
) -> Next:
    """Write the outcome and count the join down; who counts the last step goes on with the join in place.

    The others take a step that is ready. The run's row stays as it is: who is at work elsewhere is found by it.
    """
    _wake_up_in_time(execution, row, *filter(None, (join, following)))
    rows, at, here = execution.step_runs, host_now(), execution.belongs_here(join)
    if last and here:
        return Forward(join.name) if finish(execution, row, outcome, at, following=join) else Look()
    finish(execution, row, outcome, at)
    if not rows.count_down_but_last(join.pk):
        if here and rows.claim_join(claim_of(execution, join)):
            read_steps(execution)  # the results of the others, which have come meanwhile
            return Forward(join.name)
        rows.count_down([join.pk])
        return Look()
    if following is None:
        return Look() if execution.may_wait else None
    # Another worker may be about to settle it and want the join's row, which this transaction holds.
    return Take(following.name) if execution.carried else take(execution, following.name)


def _is_last(execution: Execution, row: StepRun, join: StepRun) -> bool:
    """Return whether, as far as is known, the join waits for this step alone."""
    return all(execution.rows[name].settled for name in join.depends_on if name != row.name)


def _wake_up_in_time(execution: Execution, row: StepRun, *following: StepRun) -> None:
    """Have the run looked at in time, should this process die with one of these, whose lease may end earlier."""
    lease = min(execution.lease(execution.step(other.name)) for other in following)
    if lease < execution.lease(execution.step(row.name)):
        lock_ancestors(execution)
        execution.runs.lower_wake_up(execution.run.pk, delay=lease)


def _record_last(execution: Execution, row: StepRun, outcome: Outcome) -> Next:
    """Write the outcome of the last step and the run's end: what has settled elsewhere has for good."""
    at = host_now()
    row.reflect(status=outcome.status, **outcome.columns)
    if outcome.status == StepStatus.DONE:
        announce_step_done(execution, row.name)
    ended = end_run(execution, RunStatus.SUCCEEDED)
    if not ended:
        lock_run(execution)  # somebody stopped the run meanwhile
    finish(execution, row, outcome, at)
    return None if ended else look(execution)


def finish(
    execution: Execution, row: StepRun, outcome: Outcome, at: datetime, *, following: StepRun | None = None
) -> bool:
    """Write the outcome and claim the step that follows, if one is given; return whether that was claimed."""
    written: dict[str, Any] = {"attempt": row.attempt, "status": outcome.status, "at": at, **outcome.columns}
    rows = execution.step_runs
    if following is None:
        finished, claimed = rows.finish(row.pk, **written), False
    elif execution.run.deadline_at is not None:  # judged by the claim, a statement of its own
        finished = rows.finish(row.pk, **written)
        claimed = finished and claim_successor(execution, following)
    else:
        claim = claim_of(execution, following)
        finished, claimed = rows.finish_and_claim(row.pk, following=claim, **written)
        if claimed:
            know_claimed(execution, following)
    if not finished:
        raise LostClaim
    execution.know(row, status=outcome.status, ended_at=at, **outcome.columns)
    return claimed
