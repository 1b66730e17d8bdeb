"""What a step makes of those that it waited for: who won a race, and whose failures a join reports together."""

from __future__ import annotations

from typing import Any

from flowstate.engine.execution import Execution
from flowstate.engine.look.forgiving import answered_for
from flowstate.exceptions import StepsFailed
from flowstate.models import StepRun, StepStatus
from flowstate.workflows.steps import Step

_FAILED = (StepStatus.FAILED, StepStatus.UNKNOWN)


def outlives_failure(execution: Execution, step: Step[Any]) -> bool:
    """Return whether the run goes on when the step fails: it is optional, or a join or a race answers for it."""
    return step.optional or answered_for(execution, step.name)


def refuse_failures(execution: Execution, row: StepRun, step: Step[Any]) -> None:
    """Raise `StepsFailed` with all errors if the step collects them and one that it needs has failed."""
    if not step.collect_errors:
        return
    needed = [execution.rows[name] for name in row.depends_on]
    failed = [other for other in needed if other.status in _FAILED]
    if any(not other.optional for other in failed):
        what = f"{len(failed)} of the {len(needed)} steps that {step.name} waits for failed"
        raise _steps_failed(what, failed)


def winner_of(execution: Execution, row: StepRun) -> str:
    """Return which of its steps won a race: of several that are done, the one that ended first.

    Raises `StepsFailed` where none is done.
    """
    runners = [execution.rows[name] for name in row.depends_on]
    done = [runner for runner in runners if runner.status == StepStatus.DONE and runner.ended_at is not None]
    if not done:
        what = f"None of the {len(runners)} steps of the race {row.name} succeeded"
        raise _steps_failed(what, runners)
    return min(done, key=lambda runner: (runner.ended_at, runner.seq)).name


def _steps_failed(what: str, rows: list[StepRun]) -> StepsFailed:
    listed = ", ".join(f"{row.name} ({_why(row)})" for row in rows)
    errors = {row.name: row.error for row in rows if row.error is not None}
    return StepsFailed(f"{what}: {listed}.", errors=errors)


def _why(row: StepRun) -> str:
    return str(row.error["detail"]) if row.error else f"{row.status}: {row.reason}".rstrip(": ")
