"""A limit on how long the user's function may take."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from flowstate.exceptions import StepInterrupted


class TimeLimit:
    """One running limit of `seconds`; `restart` begins it anew."""

    def __init__(self, seconds: float, *, interrupts: bool) -> None:
        self.seconds = seconds
        self.interrupts = interrupts and threading.current_thread() is threading.main_thread()
        self.armed = False
        self.restart()

    def restart(self) -> None:
        """Give the function the whole time again."""
        self.started = time.monotonic()
        if self.armed and self.interrupts:
            signal.setitimer(signal.ITIMER_REAL, self.seconds)

    def interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        """Throw into the running function; only while it runs."""
        if self.armed:
            raise StepInterrupted

    @property
    def over(self) -> bool:
        """Whether more time has passed than the limit allows."""
        return time.monotonic() - self.started > self.seconds


@contextmanager
def time_limit(seconds: float, *, interrupts: bool = True) -> Iterator[TimeLimit]:
    """Raise `StepInterrupted` in the block after `seconds`.

    In the main thread (a script, a prefork worker's child) a timer signal interrupts even a function that
    hangs. Python cannot interrupt any other thread: there the block ends first and is refused afterwards.
    A timer that was running before (of a test runner, say) goes on afterwards with what it had left.
    """
    limit = TimeLimit(seconds, interrupts=interrupts)
    if limit.interrupts:
        previous_handler = signal.signal(signal.SIGALRM, limit.interrupt)
        previous_left, _interval = signal.getitimer(signal.ITIMER_REAL)
    limit.armed = True
    limit.restart()
    try:
        yield limit
    finally:
        limit.armed = False
        if limit.interrupts:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous_handler)
            if previous_left:
                spent = time.monotonic() - limit.started
                signal.setitimer(signal.ITIMER_REAL, max(previous_left - spent, 0.001))
    if limit.over:
        raise StepInterrupted


@contextmanager
def time_limit_until(moment: float, *, interrupts: bool = True) -> Iterator[TimeLimit]:
    """Raise `StepInterrupted` in the block once `moment` has come, on the monotonic clock; at once where it has."""
    left = moment - time.monotonic()
    if left <= 0:
        raise StepInterrupted
    with time_limit(left, interrupts=interrupts) as limit:
        yield limit
