"""Works on a run, step after step, until it ends, waits, or others are to go on."""

from __future__ import annotations

from flowstate.engine.database.blocks import flush
from flowstate.engine.do.step import run_step
from flowstate.engine.do.waiting import begin_waiting
from flowstate.engine.execution import Execution
from flowstate.engine.look.run import Backward, Forward, Next
from flowstate.engine.undo.step import undo_step


def drive(execution: Execution, following: Next) -> None:
    """Carry out what follows and what follows from that; hooks and signals come between, after each commit."""
    flush(execution)
    while following is not None:
        match following:
            case Forward(step) if execution.step(step).waits:
                following = begin_waiting(execution, step)
            case Forward(step):
                following = run_step(execution, step)
            case Backward(step):
                following = undo_step(execution, step)
        flush(execution)
