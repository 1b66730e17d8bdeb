"""What a person can do with a run: cancel it, retry it. GET asks, POST does; the engine decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from flowstate.admin import display, links, run_page
from flowstate.admin.reports import report
from flowstate.engine.authority import may_operate
from flowstate.exceptions import FlowstateError
from flowstate.models import Compensation, Run, RunStatus, StepRun, StepStatus

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin
    from django.utils.functional import _StrPromise

LONGEST_REASON = 500  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Something to do with a run; `fits` and `question` are about the run as it is now."""

    name: str
    label: _StrPromise
    fits: Callable[[Run], bool]
    question: Callable[[Run], str]
    affected: Callable[[Run], list[str]]
    affected_title: _StrPromise
    undoes: Callable[[Run], bool]
    """Whether it undoes what the run has done, so that the page shows which rows would change."""
    perform: Callable[[Run, Any, str], Run]
    takes_reason: bool
    dangerous: bool


def offered(run: Run, user: Any) -> list[Operation]:
    """Return what this user may do with the run as it is now."""
    fitting = [operation for operation in OPERATIONS if operation.fits(run)]
    return fitting if fitting and may_operate(run, user) else []


def operate(
    model_admin: ModelAdmin[Run], operation: Operation, request: HttpRequest, run: Run
) -> HttpResponse:
    """Ask on GET, do it on POST. Raises PermissionDenied for a user who may see the run and no more."""
    if not may_operate(run, request.user):
        raise PermissionDenied
    if request.method == "POST":
        return _perform(model_admin, operation, request, run)
    if request.method not in {"GET", "HEAD"}:
        return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
    site = model_admin.admin_site
    context = {
        **site.each_context(request),
        "title": gettext("%(operation)s run %(id)s")
        % {"operation": operation.label, "id": display.short_id(run.pk)},
        "subtitle": run.label,
        "opts": model_admin.opts,
        "media": model_admin.media,
        "run": run,
        "badge": display.run_badge(run),
        "entity": run_page.entity_name(site, request, run),
        "operation": operation,
        "fits": operation.fits(run),
        "question": operation.question(run),
        "affected": operation.affected(run),
        **_preview(operation, run),
        "longest_reason": LONGEST_REASON,
        "run_name": gettext("Run %(id)s") % {"id": display.short_id(run.pk)},
        "back_url": links.run_url(site, run),
    }
    request.current_app = site.name
    return TemplateResponse(request, "admin/flowstate/run/operation.html", context)


def _preview(operation: Operation, run: Run) -> dict[str, Any]:
    if not operation.fits(run) or not operation.undoes(run):
        return {}
    try:
        preview = run.preview_undo()
    except FlowstateError as err:  # such as a workflow that this code no longer has
        return {"preview_problem": str(err)}
    return {"preview": preview, "staying": [step.step for step in preview if step.by == "nothing"]}


def _perform(
    model_admin: ModelAdmin[Run], operation: Operation, request: HttpRequest, run: Run
) -> HttpResponse:
    # PostgreSQL stores no NUL characters, and no field of a page can send one.
    reason = request.POST.get("reason", "").replace("\x00", "").strip()[:LONGEST_REASON]
    needed_attention = run.status == RunStatus.ATTENTION
    try:
        result = operation.perform(run, request.user, reason)
    except FlowstateError as err:
        messages.error(request, str(err))
        return redirect(links.run_url(model_admin.admin_site, run))
    if needed_attention and result.finished:
        # How the run itself ended is bad news still, but not what came of the click.
        messages.success(request, gettext("What could not be undone before is undone now."))
    else:
        report(request, result)
    return redirect(links.run_url(model_admin.admin_site, result))


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


def _cancel(run: Run, user: Any, reason: str) -> Run:
    return run.cancel(user, reason)


# --- retry ---------------------------------------------------------------------------------------


def _needs_attention(run: Run) -> bool:
    return run.status == RunStatus.ATTENTION


def _retryable(run: Run) -> bool:
    if run.status == RunStatus.ATTENTION:
        return True
    return run.finished and not run.success and not hasattr(run, "retried_by")


def _ask_retry(run: Run) -> str:
    if run.status == RunStatus.ATTENTION:
        return gettext("What could not be undone is tried again.")
    if not _retryable(run):
        return gettext("It cannot be retried: it goes on, ended well, or was retried already.")
    return gettext(
        "A new run takes over the steps that are done and were not undone, and does the others again."
    )


def _to_retry(run: Run) -> list[str]:
    if run.status == RunStatus.ATTENTION:
        return [row.name for row in reversed(run.steps) if row.compensation == Compensation.FAILED]
    kept = {row.name for row in run.steps if row.status == StepStatus.DONE and not row.compensated}
    return [row.name for row in run.steps if row.name not in kept]


def _retry(run: Run, user: Any, _reason: str) -> Run:
    return run.retry(user)


OPERATIONS = (
    Operation(
        name="cancel",
        label=_("Cancel"),
        fits=_cancellable,
        question=_ask_cancel,
        affected=_to_undo,
        affected_title=_("What will be undone, in this order"),
        undoes=_cancellable,
        perform=_cancel,
        takes_reason=True,
        dangerous=True,
    ),
    Operation(
        name="retry",
        label=_("Retry"),
        fits=_retryable,
        question=_ask_retry,
        affected=_to_retry,
        affected_title=_("What will be tried again, in this order"),
        undoes=_needs_attention,
        perform=_retry,
        takes_reason=False,
        dangerous=False,
    ),
)
"""Everything that can be done with a run, in the order of the buttons."""
