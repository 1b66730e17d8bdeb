"""Decides what a run asks people, and carries the run on, in one line of a test."""

from __future__ import annotations

from typing import Any

from flowstate.models import Approval, Run
from flowstate.testing.carrying import carry_due


def approve(run: Run, by: Any, *, step: str = "", comment: str = "", form: Any = None) -> Run:
    """Have a person approve what the run waits for, carry what is due then, and return the run as it is afterwards.

    `step` says which, where it waits for several. Raises what `Approval.approve` does, and LookupError where
    nothing, or more than one thing, waits to be decided.
    """
    _pending(run, step).approve(by, comment, form)
    carry_due()
    return run.refresh()


def reject(run: Run, by: Any, reason: str, *, step: str = "") -> Run:
    """Have a person reject it, for this reason; otherwise as `approve`."""
    _pending(run, step).reject(by, reason)
    carry_due()
    return run.refresh()


def _pending(run: Run, step: str) -> Approval:
    pending = list(run.approvals.pending().filter(**{"step": step} if step else {}))
    if len(pending) != 1:
        waiting = ", ".join(approval.step for approval in pending) or "nothing"
        message = f"Run {run.pk} is {run.refresh().status}, and {waiting} waits to be decided: name the step."
        raise LookupError(message)
    return pending[0]
