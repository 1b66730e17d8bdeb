"""Several approvals at once: GET lists what will happen, POST does it, one decision after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.db.models import prefetch_related_objects
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext, ngettext

from flowstate.admin import links
from flowstate.admin.approval_lines import lines_of
from flowstate.admin.approvals.decision_page import form_of, source_of
from flowstate.engine.approvals.inbox import PAGE, decidable
from flowstate.exceptions import FlowstateError
from flowstate.models import Approval

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin


def approve_several(admin: ModelAdmin[Approval], request: HttpRequest) -> HttpResponse:
    """Ask on GET, approve on POST. What the user may not decide is left out; what has changed is refused."""
    if request.method not in {"GET", "HEAD", "POST"}:
        return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
    chosen = decidable(request.user, _keys(request))
    # Something must be filled in for these, each on its own page.
    with_form = [approval for approval in chosen if form_of(approval, request).fields]
    able = [approval for approval in chosen if approval not in with_form]
    if not chosen:
        messages.warning(request, gettext("Choose what to approve; nothing of it waits for you."))
        return redirect(links.list_url(admin.admin_site, Approval))
    if request.method == "POST":
        return _approve(admin, request, able)
    prefetch_related_objects(chosen, "votes")
    context = {
        **admin.admin_site.each_context(request),
        "title": ngettext("Approve %d request", "Approve %d requests", len(able)) % len(able),
        "opts": admin.opts,
        "media": admin.media,
        "able": lines_of(admin.admin_site, able),
        "with_form": lines_of(admin.admin_site, with_form),
        "list_url": links.list_url(admin.admin_site, Approval),
    }
    request.current_app = admin.admin_site.name
    return TemplateResponse(request, "admin/flowstate/approval/bulk.html", context)


def _approve(admin: ModelAdmin[Approval], request: HttpRequest, able: list[Approval]) -> HttpResponse:
    comment, done = request.POST.get("comment", ""), 0
    for approval in able:
        digest = request.POST.get(f"digest-{approval.pk}", "")
        try:
            approval.approve(request.user, comment, shown_digest=digest, source=source_of(request))
        except FlowstateError as err:
            messages.error(request, f"{approval.what}: {err}")
        else:
            done += 1
    if done:
        text = ngettext("You have approved %d request.", "You have approved %d requests.", done)
        messages.success(request, text % done)
    return redirect(links.list_url(admin.admin_site, Approval))


def _keys(request: HttpRequest) -> list[int]:
    sent: Any = request.POST if request.method == "POST" else request.GET
    return [
        int(key) for key in sent.getlist("pk")[:PAGE] if key.isascii() and key.isdecimal() and len(key) < 19
    ]
