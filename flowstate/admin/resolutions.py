"""What a person can do about a step whose undoing failed: force it, or leave it as it is for a reason."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from flowstate.admin.operation_page import Given, Operation
from flowstate.admin.reports import report_forced, report_waived
from flowstate.engine.operate.authority import may_resolve
from flowstate.models import Compensation, Run, RunStatus


def needs_attention(run: Run) -> bool:
    """Return whether undoing failed, and a person must act."""
    return run.status == RunStatus.ATTENTION


def failed_steps(run: Run) -> list[str]:
    """Return the steps whose undoing failed, in the order of undoing."""
    return [row.name for row in reversed(run.steps) if row.compensation == Compensation.FAILED]


def _forceable_steps(run: Run) -> list[str]:
    """Return those of them whose undo was derived: only that knows what to write over."""
    derived = {row.name for row in run.steps if row.undo is not None}
    return [name for name in failed_steps(run) if name in derived]


def _may(_run: Run, user: Any) -> bool:
    return may_resolve(user)


def _forceable(run: Run) -> bool:
    return needs_attention(run) and bool(_forceable_steps(run))


def _ask_force(run: Run) -> str:
    if not _forceable(run):
        return gettext("Nothing can be forced: no entity step of this run is left that could not be undone.")
    return gettext(
        "The step is undone once, over what somebody else wrote since; the history keeps what that was. "
        "What is gone, taken or referred to cannot be forced."
    )


def _force(run: Run, given: Given) -> Run:
    return run.force(given.user, given.step, given.reason)


def _report_force(request: HttpRequest, run: Run, given: Given, _before: str) -> None:
    report_forced(request, run, given.step)


def _ask_waive(run: Run) -> str:
    if not needs_attention(run):
        return gettext("Nothing can be waived: nothing is left of this run that could not be undone.")
    return gettext(
        "The step stays as it is, and counts as settled. The run ends when nothing is left that failed."
    )


def _waive(run: Run, given: Given) -> Run:
    return run.waive(given.user, given.step, given.reason)


def _report_waive(request: HttpRequest, run: Run, given: Given, _before: str) -> None:
    report_waived(request, run, given.step)


FORCE = Operation(
    name="force",
    label=_("Force"),
    may=_may,
    fits=_forceable,
    question=_ask_force,
    affected=_forceable_steps,
    affected_title=_("What can be forced"),
    undoes=needs_attention,
    perform=_force,
    report=_report_force,
    steps=_forceable_steps,
    reason="optional",
    dangerous=True,
)
WAIVE = Operation(
    name="waive",
    label=_("Waive"),
    may=_may,
    fits=needs_attention,
    question=_ask_waive,
    affected=failed_steps,
    affected_title=_("What could not be undone"),
    undoes=needs_attention,
    perform=_waive,
    report=_report_waive,
    steps=failed_steps,
    reason="required",
)
