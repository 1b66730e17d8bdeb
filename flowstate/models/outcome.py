"""The error of a run as an exception again, rebuilt from what the journal says, never imported by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from flowstate.exceptions import CompensationFailed, FlowstateError, RunCancelled, StepError, StepFailed
from flowstate.models.statuses import RunStatus

if TYPE_CHECKING:
    from flowstate.models.run import Run


def error_of(run: Run) -> FlowstateError | None:
    """Return the exception that tells how the run ended badly; None if it goes on or ended well."""
    match run.status:
        case RunStatus.ATTENTION:
            return _attention(run)
        case RunStatus.CANCELLED:
            by = f" by {run.cancelled_by_label}" if run.cancelled_by_label else ""
            return RunCancelled(f"Run {run.pk} ({run.label}) was cancelled{by}.", str(run.pk))
        case RunStatus.FAILED | RunStatus.COMPENSATED:
            return _step_error(run) or _step_failed(run)
        case _:
            return None


def _attention(run: Run) -> CompensationFailed:
    errors = {step: str(error.get("detail", "")) for step, error in run.compensation_errors.items()}
    original = (run.error or {}).get(
        "detail", "It was cancelled." if run.cancelled_at else "All else is done."
    )
    listed = "; ".join(f"{step}: {detail}" for step, detail in errors.items())
    return CompensationFailed(
        f"Run {run.pk} ({run.label}) needs a person: {original} Undoing failed at {listed}",
        str(run.pk),
        run.failed_step,
        errors,
    )


def _step_error(run: Run) -> StepError | None:
    error = run.error or {}
    for kind in _subclasses(StepError):
        if f"{kind.__module__}.{kind.__qualname__}" == error.get("class"):
            try:
                return kind(error.get("detail"), error.get("code"))
            except Exception:  # a subclass with arguments of its own may not be rebuilt from these two
                return None
    return None


def _step_failed(run: Run) -> StepFailed:
    error = run.error or {}
    name = str(error.get("class", "")).rpartition(".")[2]
    return StepFailed(
        f"Step {run.failed_step} of run {run.pk} ({run.label}) failed: {name}: {error.get('detail', '')}",
        str(run.pk),
        run.failed_step,
    )


def _subclasses(kind: type[StepError]) -> Iterator[type[StepError]]:
    yield kind
    for subclass in kind.__subclasses__():
        yield from _subclasses(subclass)
