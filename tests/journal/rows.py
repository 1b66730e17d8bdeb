"""Rows of the journal as a test needs them, without an engine."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flowstate.models import Compensation, Run, RunStatus, StepRun, StepStatus
from flowstate.models.clock import DbNow

ENDED_AT = datetime(2026, 1, 2, tzinfo=UTC)


def a_run(status: RunStatus = RunStatus.RUNNING, **columns: Any) -> Run:
    """Insert a run that fits the constraints."""
    ended = status not in {RunStatus.RUNNING, RunStatus.COMPENSATING, RunStatus.ATTENTION}
    moments = {"ended_at": ENDED_AT, "wake_at": None} if ended else {"wake_at": DbNow(60)}
    run = Run.objects.create(workflow="tests.nothing", status=status, **{**moments, **columns})
    return Run.objects.get(pk=run.pk)


def a_step(
    run: Run | None = None,
    status: StepStatus = StepStatus.READY,
    compensation: Compensation = Compensation.NONE,
    **columns: Any,
) -> StepRun:
    """Insert a step that fits the constraints."""
    held = status == StepStatus.RUNNING or compensation == Compensation.RUNNING
    moments: dict[str, Any] = {"lease_until": DbNow(60) if held else None}
    if status == StepStatus.READY:
        moments["wake_at"] = DbNow(-1)
    run = run or a_run()
    row = StepRun.objects.create(
        run=run,
        seq=columns.pop("seq", run.step_runs.count()),
        name=columns.pop("name", "a"),
        kind=columns.pop("kind", "external"),
        key="k",
        status=status,
        compensation=compensation,
        **{**moments, **columns},
    )
    return StepRun.objects.get(pk=row.pk)
