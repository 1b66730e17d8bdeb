"""Rows of the journal made by hand: as they should be, but for what a test plants in them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from flowstate.models import EventKind, EventWait, Run, RunEvent, StepRun
from flowstate.models.clock import FAR_FUTURE

NOW = datetime.now(tz=UTC)
CHAIN, KEEP = "tests.kiosk.returns.Chain", "tests.kiosk.returns.Keep"

DONE = {"status": "done", "compensation": "pending"}
UNDONE = {"status": "done", "compensation": "done", "compensation_ended_at": NOW}
RUNNING, COMPENSATED = {"status": "running"}, {"status": "compensated"}


def run_row(status: str, **columns: Any) -> Run:
    """Insert a run as it should be with this status, but for `columns`."""
    live = status in {"running", "compensating", "attention"}
    bad = status in {"compensating", "attention", "failed", "compensated"}
    wake_at = FAR_FUTURE if status == "attention" else NOW
    run = Run(
        workflow=CHAIN,
        status=status,
        wake_at=wake_at if live else None,
        ended_at=None if live else NOW,
        error={"code": "error", "detail": "no"} if bad else None,
        cancelled_at=NOW if status == "cancelled" else None,
    )
    run.reflect(**columns)
    run.save(force_insert=True)
    return run


def step_row(run: Run, status: str, name: str = "pay", **columns: Any) -> StepRun:
    """Insert a step as it should be with this status, but for `columns`."""
    settled = status in {"done", "failed", "unknown"}
    at_work = status == "running" or columns.get("compensation") == "running"
    row = StepRun(
        run=run,
        seq=StepRun.objects.filter(run=run).count(),
        name=name,
        kind="external",
        key=f"{run.pk}:{name}",
        status=status,
        attempt=0 if status in {"blocked", "ready", "cancelled", "skipped"} else 1,
        lease_until=NOW + timedelta(seconds=60) if at_work else None,
        wake_at=NOW if status == "ready" else None,
        ended_at=NOW if settled else None,
        compensation_attempt=1 if columns.get("compensation") in {"running", "done", "failed"} else 0,
    )
    row.reflect(**columns)
    row.save(force_insert=True)
    return row


def late(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def pair(status: str, one: dict[str, Any], two: dict[str, Any], **of_run: Any) -> None:
    """Insert a run with two steps, the second of which depends on the first."""
    run = run_row(status, **of_run)
    step_row(run, **{"name": "pay", **one})
    step_row(run, **{"name": "book", "depends_on": ["pay"], **two})


def alone(run: dict[str, Any], **step: Any) -> None:
    """Insert a run with one step."""
    step_row(run_row(**run), **step)


def orphan() -> None:
    """Insert a run that has ended with its step, and delete the run alone, as a person at a prompt might."""
    run = run_row("succeeded")
    step_row(run, "done")
    Run.objects.filter(pk=run.pk)._raw_delete("default")


def taken_over_and_kept() -> None:
    old = run_row("failed", workflow=KEEP, failed_step="last")
    step_row(old, "done", compensation="pending", key="k")
    step_row(old, "failed", "last")
    new = run_row("succeeded", retry_of=old)
    step_row(new, "done", compensation="pending", key="k")


def waived(status: str = "done", run: str = "compensated", *, told: bool = True) -> None:
    """Insert a run of which a person has waived a step."""
    row = step_row(run_row(run), status, compensation="waived", compensation_ended_at=NOW)
    if told:
        RunEvent.objects.record(row.run, EventKind.UNDO_WAIVED, step=row.name, data={"detail": "so be it"})


def retried_while_live() -> None:
    old = run_row("running")
    step_row(old, "ready")
    step_row(run_row("succeeded", retry_of=old), "done")


def still_awaited() -> None:
    row = step_row(run_row("succeeded"), "done", kind="event")
    EventWait.objects.create(step_run=row, topic="t", token_hash="h")  # noqa: S106 - no token has it


def unawaited(**columns: Any) -> None:
    """Insert a child run whose parent does not wait for it."""
    parent = run_row("running")
    step_row(parent, "ready", kind="workflow")
    child = run_row("running", parent_id=parent.pk, parent_step="pay", **columns)
    step_row(child, "ready")
