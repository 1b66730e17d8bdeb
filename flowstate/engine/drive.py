"""Works on a run, step after step, until it ends, waits, or others are to go on."""

from __future__ import annotations

from functools import partial

from flowstate.engine.database.blocks import flush, in_transaction
from flowstate.engine.do.step import run_step
from flowstate.engine.do.waiting import begin_waiting
from flowstate.engine.execution import Execution
from flowstate.engine.functions.learn import learned_or_left
from flowstate.engine.functions.play import play
from flowstate.engine.look.next import Backward, Forward, Next, Take
from flowstate.engine.look.run import look_anew, take
from flowstate.engine.undo.step import undo_step
from flowstate.models import Compensation, StepStatus
from flowstate.models.clock import DbNow
from flowstate.models.processes import own_name
from flowstate.workflows.function_step import UndeclaredStep
from flowstate.workflows.steps import Kind


def drive(execution: Execution, following: Next) -> None:
    """Carry out what follows and what follows from that; hooks and signals come between, after each commit."""
    flush(execution)
    while following is not None:
        if isinstance(following, Forward | Backward):
            following = _carried_out(execution, following)
        elif isinstance(following, Take):
            following = _taken(execution, following.step)
        else:
            following = _looked(execution)
        flush(execution)


def _taken(execution: Execution, name: str) -> Next:
    return in_transaction(
        execution, partial(take, execution, name), landed=lambda: _claimed(execution, Forward(name))
    )


def _looked(execution: Execution) -> Next:
    found: list[Next] = []

    def work() -> Next:
        found[:] = [look_anew(execution)]
        return found[0]

    return in_transaction(execution, work, landed=lambda: _claimed(execution, found[0]))


def _claimed(execution: Execution, following: Next) -> bool:
    """Return whether the journal holds a claim for this process, where the answer to its COMMIT was lost."""
    match following:
        case Forward(name):
            token = {"status": StepStatus.RUNNING, "attempt": execution.rows[name].attempt}
        case Backward(name):
            attempt = execution.rows[name].compensation_attempt
            token = {"compensation": Compensation.RUNNING, "compensation_attempt": attempt}
        case _:  # nothing was claimed: to look again is no harm
            return False
    claimed = execution.step_runs.filter(pk=execution.rows[name].pk, **token)
    return claimed.filter(claimed_by=own_name(), lease_until__gt=DbNow()).exists()


def _carried_out(execution: Execution, following: Forward | Backward) -> Next:
    match following:
        case Forward(step) if execution.step(step).kind is Kind.FUNCTION:
            return play(execution)
        case _ if isinstance(execution.step(following.step), UndeclaredStep):
            return learned_or_left(execution, following)
        case Forward(step) if execution.step(step).waits:
            return begin_waiting(execution, step)
        case Forward(step):
            return run_step(execution, step)
        case Backward(step):
            return undo_step(execution, step)
