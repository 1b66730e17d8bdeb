"""What a person can do with a run as a whole: cancel it, resume it, retry it. The engine decides."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from flowstate.admin.operation_page import Given, Operation
from flowstate.admin.reports import report, report_undone
from flowstate.admin.resolutions import FORCE, WAIVE, failed_steps, needs_attention
from flowstate.engine.operate.again import again_from, restart_points
from flowstate.engine.operate.authority import may_operate
from flowstate.models import Compensation, Run, RunStatus, StepRun, StepStatus
from flowstate.models.clock import host_now

SLACK = 10.0
"""Seconds for which a run may be due before a person may call a worker: one is probably on its way."""


def offered(run: Run, user: Any) -> list[Operation]:
    """Return what this user may do with the run as it is now."""
    return [operation for operation in OPERATIONS if operation.fits(run) and operation.may(run, user)]


# --- cancel --------------------------------------------------------------------------------------


def _cancellable(run: Run) -> bool:
    return run.status == RunStatus.RUNNING and run.cancelled_at is None


def _ask_cancel(run: Run) -> str:
    if not _cancellable(run):
        return gettext("It cannot be cancelled: it has ended, or is being undone already.")
    return gettext("Nothing new starts then, what is in flight finishes, and what was done is undone.")


def _to_undo(run: Run) -> list[str]:
    pending = [row for row in reversed(run.steps) if row.compensation == Compensation.PENDING]
    return [name for name in map(_undone_by_cancel, pending) if name]


def _undone_by_cancel(row: StepRun) -> str:
    if row.status == StepStatus.RUNNING:
        return gettext("%(step)s, once it has finished") % {"step": row.name}
    return row.name if row.uncertain or row.status in {StepStatus.DONE, StepStatus.UNKNOWN} else ""


def _cancel(run: Run, given: Given) -> Run:
    return run.cancel(given.user, given.reason)


def _report(request: HttpRequest, run: Run, _given: Given, _before: str) -> None:
    report(request, run)


# --- retry ---------------------------------------------------------------------------------------


def _retryable(run: Run) -> bool:
    if needs_attention(run):
        return True
    alone = run.parent_id is None  # a child is retried with its parent
    return run.finished and not run.success and alone and not hasattr(run, "retried_by")


def _ask_retry(run: Run) -> str:
    if needs_attention(run):
        return gettext("What could not be undone is tried again.")
    if not _retryable(run):
        return gettext("It cannot be retried: it goes on, ended well, or was retried already.")
    return gettext(
        "A new run takes over the steps that are done and were not undone, and does the others again."
    )


def _to_retry(run: Run) -> list[str]:
    if needs_attention(run):
        return failed_steps(run)
    kept = {row.name for row in run.steps if row.status == StepStatus.DONE and not row.compensated}
    return [row.name for row in run.steps if row.name not in kept]


def _retry(run: Run, given: Given) -> Run:
    return run.retry(given.user)


def _report_retry(request: HttpRequest, run: Run, _given: Given, before: str) -> None:
    if before == RunStatus.ATTENTION and run.finished:
        # How the run itself ended is bad news still, but not what came of the click.
        report_undone(request)
    else:
        report(request, run)


# --- retry from a step ---------------------------------------------------------------------------


def _restartable(run: Run) -> bool:
    return not needs_attention(run) and _retryable(run) and bool(restart_points(run))


def _ask_retry_from(run: Run) -> str:
    if not _restartable(run):
        return gettext(
            "It cannot be retried from a step: it goes on, ended well, was retried already, or what its steps did stands."
        )
    return gettext(
        "A new run does the step and all that depend on it again, though they are done. It takes over the other "
        "steps that are done and were not undone."
    )


def _points(run: Run) -> list[str]:
    return restart_points(run) if _restartable(run) else []


def _told_points(run: Run) -> list[str]:
    rows = {row.name: row for row in run.steps}
    text = gettext("%(step)s: does %(steps)s again")
    return [
        text % {"step": name, "steps": ", ".join(one for one in rows if one in again_from(rows, name))}
        for name in _points(run)
    ]


def _retry_from(run: Run, given: Given) -> Run:
    return run.retry(given.user, from_step=given.step)


# --- resume --------------------------------------------------------------------------------------


def _resumable(run: Run) -> bool:
    """Return whether it waits for its next attempt, or is due and nobody looks at it."""
    if run.status not in {RunStatus.RUNNING, RunStatus.COMPENSATING}:
        return False
    overdue = run.wake_at is not None and run.wake_at <= host_now() - timedelta(seconds=SLACK)
    return overdue or bool(_attempts_to_come(run))


def _attempts_to_come(run: Run) -> list[str]:
    now = host_now()
    return [
        row.name
        for row in run.steps
        if row.wake_at is not None and row.wake_at > now and row.status != StepStatus.WAITING
    ]


def _ask_resume(run: Run) -> str:
    if not _resumable(run):
        return gettext("There is nothing to resume: it waits for nothing that could begin now.")
    return gettext(
        "Attempts that wait for their moment begin now, and workers are told to look at the run. A delay, an event or "
        "a person is waited for all the same."
    )


def _resume(run: Run, given: Given) -> Run:
    return run.resume(given.user)


OPERATIONS = (
    Operation(
        name="cancel",
        label=_("Cancel"),
        may=may_operate,
        fits=_cancellable,
        question=_ask_cancel,
        affected=_to_undo,
        affected_title=_("What will be undone, in this order"),
        undoes=_cancellable,
        perform=_cancel,
        report=_report,
        reason="optional",
        dangerous=True,
    ),
    Operation(
        name="retry",
        label=_("Retry"),
        may=may_operate,
        fits=_retryable,
        question=_ask_retry,
        affected=_to_retry,
        affected_title=_("What will be tried again, in this order"),
        undoes=needs_attention,
        perform=_retry,
        report=_report_retry,
    ),
    Operation(
        name="retry-from",
        label=_("Retry from a step"),
        submit=_("Retry from"),
        may=may_operate,
        fits=_restartable,
        question=_ask_retry_from,
        affected=_told_points,
        affected_title=_("Where it can begin again"),
        undoes=lambda _run: False,
        perform=_retry_from,
        report=_report_retry,
        steps=_points,
        dangerous=True,
    ),
    Operation(
        name="resume",
        label=_("Resume now"),
        submit=_("Resume"),
        may=may_operate,
        fits=_resumable,
        question=_ask_resume,
        affected=_attempts_to_come,
        affected_title=_("What begins now"),
        undoes=lambda _run: False,
        perform=_resume,
        report=_report,
    ),
    FORCE,
    WAIVE,
)
"""Everything that can be done with a run, in the order of the buttons."""
