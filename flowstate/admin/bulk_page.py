"""The page on which something is done with several runs: GET asks, POST does it run by run and says what came of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext, ngettext

from flowstate.admin import display, links, run_page
from flowstate.admin.operation_page import LONGEST_REASON, Given, Operation
from flowstate.admin.operations import OPERATIONS
from flowstate.exceptions import FlowstateError
from flowstate.models import Run

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite, ModelAdmin
    from django.db.models import QuerySet
    from django.utils.safestring import SafeString

MOST = 50
"""Runs at once: a page of the list."""

_BULK = {
    operation.name: operation for operation in OPERATIONS if operation.name in {"retry", "cancel", "waive"}
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One run: what would come of it or has, or why nothing does."""

    run: Run
    id: str
    url: str
    badge: SafeString
    row: str
    refused: str = ""
    """Why nothing is done; empty where it is."""
    done: str = ""
    """What was done, or would be."""
    new: Line | None = None
    """The run that goes on instead."""


def ask_for(
    model_admin: ModelAdmin[Run], name: str, request: HttpRequest, runs: QuerySet[Run]
) -> HttpResponse | None:
    """Return the way to the page that asks about these runs; None, with a message, where they are too many."""
    keys = [key.hex for key in runs.values_list("pk", flat=True)[: MOST + 1]]
    if len(keys) > MOST:
        text = gettext("At most %(most)d runs at once: select those of one page.")
        messages.error(request, text % {"most": MOST})
        return None
    url = reverse("admin:flowstate_run_bulk", args=[name], current_app=model_admin.admin_site.name)
    return redirect(f"{url}?{urlencode({'runs': ','.join(keys)})}")


def respond(model_admin: ModelAdmin[Run], name: str, request: HttpRequest) -> HttpResponse:
    """Ask on GET, do it on POST. Raises Http404 for what cannot be done with several runs."""
    operation = _BULK.get(name)
    if operation is None:
        raise Http404(name)
    if request.method not in {"GET", "HEAD", "POST"}:
        return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
    runs = _runs(model_admin, request)
    reason = str(request.POST.get("reason", "")).replace("\x00", "").strip()[:LONGEST_REASON]
    problem = ""
    if request.method == "POST":
        if reason or operation.reason != "required":
            given = Given(user=request.user, reason=reason)
            lines = [_perform(model_admin.admin_site, operation, run, given) for run in runs]
            return _show(model_admin, operation, request, lines, finished=True)
        problem = gettext("Say why.")
    lines = [_asked(model_admin.admin_site, operation, run, request.user) for run in runs]
    return _show(model_admin, operation, request, lines, problem=problem)


def _runs(model_admin: ModelAdmin[Run], request: HttpRequest) -> list[Run]:
    """Return the runs that the request names, those of them that this user may see, oldest first."""
    named = request.POST.get("runs") or request.GET.get("runs", "")
    keys = []
    for text in named.split(",")[:MOST]:
        try:
            keys.append(UUID(text))
        except ValueError:
            continue
    rows = model_admin.get_queryset(request).filter(pk__in=keys).select_related("content_type", "retried_by")
    return list(rows.prefetch_related("step_runs").order_by("pk"))


def _line(site: AdminSite, run: Run) -> Line:
    return Line(
        run=run,
        id=display.short_id(run.pk),
        url=links.run_url(site, run),
        badge=display.run_badge(run),
        row=run_page.kind_and_key(run),
    )


def _refusal(operation: Operation, run: Run, user: Any) -> str:
    if not operation.may(run, user):
        return gettext("You may not do this with this run.")
    return "" if operation.fits(run) else operation.question(run)


def _asked(site: AdminSite, operation: Operation, run: Run, user: Any) -> Line:
    line = _line(site, run)
    refused = _refusal(operation, run, user)
    if refused:
        return replace(line, refused=refused)
    return replace(line, done=", ".join(operation.affected(run)))


def _perform(site: AdminSite, operation: Operation, run: Run, given: Given) -> Line:
    """Do it with one run; what is refused or goes wrong there keeps none of the others back."""
    refused = _refusal(operation, run, given.user)
    if refused:
        return replace(_line(site, run), refused=refused)
    result = run
    try:
        for step in _steps(operation, run):
            result = operation.perform(run, replace(given, step=step))
    except FlowstateError as err:
        return replace(_line(site, run.refresh()), refused=str(err))
    done = gettext("done")
    if result.pk == run.pk:
        return replace(_line(site, run.refresh()), done=done)
    return replace(_line(site, run), done=done, new=_line(site, result))


def _steps(operation: Operation, run: Run) -> Sequence[str]:
    # What is about single steps is done with all of them, each for the same reason.
    return operation.steps(run) or ("",)


def _show(
    model_admin: ModelAdmin[Run],
    operation: Operation,
    request: HttpRequest,
    lines: list[Line],
    *,
    problem: str = "",
    finished: bool = False,
) -> HttpResponse:
    site = model_admin.admin_site
    able = [line for line in lines if not line.refused]
    text = ngettext("%(operation)s %(count)d run", "%(operation)s %(count)d runs", len(able))
    context = {
        **site.each_context(request),
        "title": text % {"operation": operation.label, "count": len(able)},
        "opts": model_admin.opts,
        "media": model_admin.media,
        "operation": operation,
        "able": able,
        "refused": [line for line in lines if line.refused],
        "keys": ",".join(line.run.pk.hex for line in able),
        "problem": problem,
        "finished": finished,
        "longest_reason": LONGEST_REASON,
        "back_url": links.list_url(site, Run),
    }
    request.current_app = site.name
    return TemplateResponse(request, "admin/flowstate/run/bulk.html", context)
