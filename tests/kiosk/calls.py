"""What tests of functions ask of their runs, and of what the steps really did."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from flowstate.engine.audit.fsck import find_broken
from flowstate.engine.carry.messages import carry_run
from flowstate.models import Run
from tests.kiosk import functions, returns


@pytest.fixture
def forgotten() -> Iterator[None]:
    """Begin anew, and leave nothing behind, in each test."""
    returns.forget()
    functions.turns.clear()
    yield
    returns.forget()
    functions.turns.clear()


def lines() -> list[str]:
    """Return what the steps did, without the calls of the function itself."""
    return [line for line in returns.diary.lines if line != "call"]


def statuses(run: Run) -> dict[str, str]:
    """Return the status of each step as it is now."""
    return {row.name: row.status for row in run.refresh().steps}


def carry(run: Run, queue: str = "flowstate") -> str:
    """Do what a worker does that was told of the run."""
    return carry_run(str(run.pk), queue=queue)


def broken() -> list[str]:
    """Return which invariants the journal breaks."""
    found = find_broken(using="default", skew=timedelta(0))
    return [f"{row.invariant} {row.step} {row.words}" for row in found]


def gone() -> None:
    """End as a process that is killed: nothing it would still write is written."""
    raise KeyboardInterrupt
