"""Works on a run, step after step, until it ends, waits, or others are to go on."""

from __future__ import annotations

from flowstate.engine.database.blocks import flush
from flowstate.engine.do.step import run_step
from flowstate.engine.do.waiting import begin_waiting
from flowstate.engine.execution import Execution
from flowstate.engine.functions.learn import learned_or_left
from flowstate.engine.functions.play import play
from flowstate.engine.look.run import Backward, Forward, Next
from flowstate.engine.undo.step import undo_step
from flowstate.workflows.function_step import UndeclaredStep
from flowstate.workflows.steps import Kind


def drive(execution: Execution, following: Next) -> None:
    """Carry out what follows and what follows from that; hooks and signals come between, after each commit."""
    flush(execution)
    while following is not None:
        match following:
            case Forward(step) if execution.step(step).kind is Kind.FUNCTION:
                following = play(execution)
            case Forward(step) | Backward(step) if isinstance(execution.step(step), UndeclaredStep):
                following = learned_or_left(execution, following)
            case Forward(step) if execution.step(step).waits:
                following = begin_waiting(execution, step)
            case Forward(step):
                following = run_step(execution, step)
            case Backward(step):
                following = undo_step(execution, step)
        flush(execution)
