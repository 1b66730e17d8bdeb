"""Moves the clock by which flowstate judges retries, deadlines and leases in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flowstate.models.clock import shift_clock


@contextmanager
def move_clock(*, seconds: float) -> Iterator[None]:
    """Let the time be so many seconds later within the block; rows keep the times they were given."""
    shift_clock(seconds)
    try:
        yield
    finally:
        shift_clock(-seconds)
