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
from flowstate.models import StepStatus
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
            following = in_transaction(execution, lambda: look_anew(execution))
        flush(execution)


def _taken(execution: Execution, name: str) -> Next:
    row, attempt = execution.rows[name], execution.rows[name].attempt + 1

    def landed() -> bool:
        """Whether the journal holds the claim, and for this process, where the answer to its COMMIT was lost."""
        claimed = execution.step_runs.filter(pk=row.pk, status=StepStatus.RUNNING, attempt=attempt)
        return claimed.filter(claimed_by=own_name(), lease_until__gt=DbNow()).exists()

    return in_transaction(execution, partial(take, execution, name), landed=landed)


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
