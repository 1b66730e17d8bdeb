"""Says in one message what a run came to, right after somebody started, cancelled, retried or settled it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.utils.translation import gettext

from flowstate.models import RunStatus, WaitingFor

if TYPE_CHECKING:
    from django.http import HttpRequest

    from flowstate.models import Run


def report(request: HttpRequest, run: Run) -> None:
    """Add the message to the request."""
    level, text = _outcome(run)
    if run.replayed:
        text = gettext("This form was sent before; this is the run it started.") + " " + text
    messages.add_message(request, level, text)


def report_undone(request: HttpRequest) -> None:
    """Say that what had failed is undone."""
    messages.success(request, gettext("What could not be undone before is undone now."))


def report_forced(request: HttpRequest, run: Run, step: str) -> None:
    """Say what came of forcing a step."""
    if step in run.compensation_errors:
        text = gettext("%(step)s could not be forced: %(detail)s")
        detail = run.compensation_errors[step].get("detail", "")
        messages.error(request, text % {"step": step, "detail": detail})
    elif run.finished:
        report_undone(request)
    else:
        messages.success(request, gettext("%(step)s is undone.") % {"step": step} + " " + _left(run))


def report_waived(request: HttpRequest, run: Run, step: str) -> None:
    """Say that a step stays as it is, and what is left."""
    left = gettext("Nothing else is left to undo.") if run.finished else _left(run)
    messages.success(request, gettext("%(step)s stays as it is.") % {"step": step} + " " + left)


def _left(run: Run) -> str:
    return gettext("Left for a person: %(steps)s.") % {"steps": ", ".join(run.compensation_errors)}


def _outcome(run: Run) -> tuple[int, str]:
    match run.status:
        case RunStatus.SUCCEEDED:
            level, text = messages.SUCCESS, gettext("%(name)s succeeded.")
        case RunStatus.CANCELLED:
            level, text = (
                messages.SUCCESS,
                gettext("%(name)s was cancelled, and what had been done was undone."),
            )
        case RunStatus.ATTENTION:
            level, text = (
                messages.ERROR,
                gettext("%(name)s could not be undone completely: a person must act."),
            )
        case RunStatus.RUNNING:
            level, text = messages.INFO, _going_on(run)
        case RunStatus.COMPENSATING if run.cancelled_at is not None:
            level, text = (
                messages.INFO,
                gettext("%(name)s is being cancelled: what had been done is being undone."),
            )
        case _:
            level, text = messages.ERROR, f"{_failure(run)} {_undoing(run)}"
    facts = {"name": _name(run), "step": run.failed_step, "detail": (run.error or {}).get("detail", "")}
    return level, text % facts


def _name(run: Run) -> str:
    return run.label.replace("_", " ").capitalize()


def _failure(run: Run) -> str:
    if run.failed_step:
        return gettext("%(name)s failed at step %(step)s: %(detail)s")
    return gettext("%(name)s failed: %(detail)s")


def _undoing(run: Run) -> str:
    match run.status:
        case RunStatus.COMPENSATED:
            return gettext("What had been done was undone.")
        case RunStatus.COMPENSATING:
            return gettext("What had been done is being undone.")
    return gettext("Nothing was undone.")


def _going_on(run: Run) -> str:
    if run.cancelled_at is not None:
        return gettext("%(name)s is being cancelled: what is in flight finishes first.")
    match run.waiting_for:
        case WaitingFor.PERSON:
            return gettext("%(name)s has begun and waits for a person.")
        case WaitingFor.EVENT:
            return gettext("%(name)s has begun and waits for an event.")
        case WaitingFor.TIME:
            return gettext("%(name)s has begun and waits for its time.")
    return gettext("%(name)s has begun and goes on in the background.")
