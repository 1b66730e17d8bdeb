"""The page of something to do with a run: GET asks and shows what would change, POST does it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext

from flowstate.admin import display, links, run_page
from flowstate.admin.discretion import Discretion
from flowstate.exceptions import FlowstateError
from flowstate.models import Run

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin
    from django.utils.functional import _StrPromise

LONGEST_REASON = 500  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a person says to an operation."""

    user: Any
    reason: str = ""
    step: str = ""


def _no_step(run: Run) -> Sequence[str]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Something to do with a run; `fits` and `question` are about the run as it is now."""

    name: str
    label: _StrPromise
    may: Callable[[Run, Any], bool]
    fits: Callable[[Run], bool]
    question: Callable[[Run], str]
    affected: Callable[[Run], list[str]]
    affected_title: _StrPromise
    undoes: Callable[[Run], bool]
    """Whether it is about what the run has done, so that the page shows which rows undoing would change."""
    perform: Callable[[Run, Given], Run]
    report: Callable[[HttpRequest, Run, Given, str], None]
    """Tells what came of it: with the run it led to, what was given, and the status before."""
    steps: Callable[[Run], Sequence[str]] = _no_step
    """The steps of which it does one; none where it is about the whole run."""
    reason: Literal["none", "optional", "required"] = "none"
    dangerous: bool = False
    submit: _StrPromise | str = ""
    """What the button that does it begins with, where the label does not read well before its object."""


def operate(
    model_admin: ModelAdmin[Run], operation: Operation, request: HttpRequest, run: Run
) -> HttpResponse:
    """Ask on GET, do it on POST. Raises PermissionDenied for a user who may see the run and no more."""
    if not operation.may(run, request.user):
        raise PermissionDenied
    if request.method in {"GET", "HEAD"}:
        return _ask(model_admin, operation, request, run)
    if request.method != "POST":
        return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
    given = _given(operation, request, run)
    if operation.reason == "required" and not given.reason:
        return _ask(model_admin, operation, request, run, problem=gettext("Say why."))
    return _perform(model_admin, operation, request, run, given)


def _ask(
    model_admin: ModelAdmin[Run],
    operation: Operation,
    request: HttpRequest,
    run: Run,
    problem: str = "",
) -> HttpResponse:
    site = model_admin.admin_site
    fits = operation.fits(run)
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
        "verb": operation.submit or operation.label,
        "fits": fits,
        "question": operation.question(run),
        "problem": problem,
        "affected": operation.affected(run),
        "steps": operation.steps(run) if fits else (),
        "chosen": _given(operation, request, run).step,
        **(_preview(operation, run, Discretion(site, request, run)) if fits else {}),
        "longest_reason": LONGEST_REASON,
        "run_name": gettext("Run %(id)s") % {"id": display.short_id(run.pk)},
        "back_url": links.run_url(site, run),
    }
    request.current_app = site.name
    return TemplateResponse(request, "admin/flowstate/run/operation.html", context)


def _preview(operation: Operation, run: Run, discretion: Discretion) -> dict[str, Any]:
    if not operation.undoes(run):
        return {}
    try:
        preview = discretion.preview(run.preview_undo())
    except FlowstateError as err:  # such as a workflow that this code no longer has
        return {"preview_problem": str(err)}
    steps = operation.steps(run)
    return {
        "preview": [step for step in preview if not steps or step.own_step in steps],
        "staying": [step.step for step in preview if step.by == "nothing" and not steps],
    }


def _given(operation: Operation, request: HttpRequest, run: Run) -> Given:
    # PostgreSQL stores no NUL characters, and no field of a page can send one.
    sent = {**request.GET.dict(), **request.POST.dict()}
    reason, step = (str(sent.get(name, "")).replace("\x00", "").strip() for name in ("reason", "step"))
    steps = operation.steps(run)
    if request.method != "POST" and step not in steps:
        step = steps[0] if steps else ""
    return Given(user=request.user, reason=reason[:LONGEST_REASON], step=step)


def _perform(
    model_admin: ModelAdmin[Run], operation: Operation, request: HttpRequest, run: Run, given: Given
) -> HttpResponse:
    before = run.status
    try:
        result = operation.perform(run, given)
    except FlowstateError as err:
        messages.error(request, str(err))
        return redirect(links.run_url(model_admin.admin_site, run))
    operation.report(request, result, given, before)
    return redirect(links.run_url(model_admin.admin_site, result))
