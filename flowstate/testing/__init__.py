"""For the tests of projects that use flowstate: carry runs in the test's own process, move the clock, decide.

Inside a `TestCase` nothing is published, since its transaction never commits; `carry_due` does what workers
would have done.
"""

from __future__ import annotations

from flowstate.testing.carrying import carry_due
from flowstate.testing.deciding import approve, reject
from flowstate.testing.time import move_clock

__all__ = ["approve", "carry_due", "move_clock", "reject"]
