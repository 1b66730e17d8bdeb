"""What tests ask about runs: what was called, what came of children, and whether the journal is whole."""

from __future__ import annotations

from datetime import timedelta

from flowstate import SYSTEM, Workflow
from flowstate.engine.audit.fsck import find_broken
from flowstate.engine.carry.messages import carry_run
from flowstate.models import Run
from flowstate.testing import carry_due
from tests.kiosk import returns


def lines() -> list[str]:
    """Return what the steps wrote into the diary, in order."""
    return returns.diary.lines


def broken() -> list[str]:
    """Return which invariants the journal breaks."""
    return [f"{row.invariant} {row.words}" for row in find_broken(using="default", skew=timedelta(0))]


def carry(run: Run) -> str:
    return carry_run(str(run.pk), queue="flowstate")


def carried(workflow: type[Workflow]) -> Run:
    """Run a workflow, and what it runs, until nothing is due."""
    run = workflow.run(user=SYSTEM)
    carry_due()
    return run.refresh()


def child_of(run: Run, step: str) -> Run:
    child = run.step_runs.get(name=step).child
    assert child is not None
    return child
