"""Works on a run, step after step, until it ends, waits, or others are to go on."""

from __future__ import annotations

from flowstate.engine.backward import undo_step
from flowstate.engine.blocks import flush
from flowstate.engine.execution import Execution
from flowstate.engine.forward import run_step
from flowstate.engine.look import Backward, Forward, Next
from flowstate.engine.waiting import begin_waiting


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
