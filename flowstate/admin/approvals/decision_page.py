"""The page of one approval: what is shown, who has voted, and the forms of a yes and of a no."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from flowstate.admin import display, links, run_page
from flowstate.admin.approval_lines import lines_of, votes
from flowstate.admin.diagram import run_graph
from flowstate.admin.forms import ActionForm
from flowstate.engine.approvals.inbox import standing_of
from flowstate.engine.approvals.judge import Voice, Why
from flowstate.engine.approvals.showing import note_view
from flowstate.engine.loading import workflow_step
from flowstate.exceptions import FlowstateError, InputInvalid
from flowstate.exceptions.approvals import ApprovalChanged, ReasonMissing
from flowstate.models import Approval
from flowstate.workflows.approvals import ApprovalStep

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from django.contrib.admin import ModelAdmin

WHY_NOT: dict[Why, Any] = {
    Why.NO_PERSON: _("Log in to decide."),
    Why.INACTIVE: _("Your account is not active."),
    Why.OWN_REQUEST: _("You have asked for this yourself, so somebody else decides."),
    Why.STANDS_IN_FOR_REQUESTER: _("You stand in for who asked for this, so somebody else decides."),
    Why.NOT_ALLOWED: _("Others decide this."),
    Why.VOTED: _("You have voted. A vote is not taken back."),
    Why.VOICE_USED: _("Somebody who stands in for you has voted."),
}


@dataclass(slots=True, kw_only=True)
class Sent:
    """What a person has sent that did not decide it, to be shown again, and why it did not."""

    form: ActionForm | None = None
    comment: str = ""
    reason: str = ""
    problem: str = ""
    changes: list[dict[str, Any]] = field(default_factory=list)


def show(
    admin: ModelAdmin[Approval], request: HttpRequest, approval: Approval, sent: Sent | None = None
) -> HttpResponse:
    """Return the page. That somebody who may decide has looked is kept in the history."""
    site, sent = admin.admin_site, sent or Sent()
    judged = standing_of(request.user, approval)
    may_vote = approval.pending and isinstance(judged, Voice)
    if may_vote:
        note_view(approval, user=request.user, source=source_of(request))
    run = approval.run
    run_url = links.run_url(site, run)
    (line,) = lines_of(site, [approval])
    context = {
        **site.each_context(request),
        "title": line.what,
        "subtitle": None,
        "opts": admin.opts,
        "media": admin.media,
        "approval": approval,
        "line": line,
        "run": run,
        "run_url": run_url,
        "run_id": display.short_id(run.pk),
        "entity": run_page.entity_name(site, request, run),
        "entity_url": links.entity_url(site, run),
        "graph": run_graph(run, run_url),
        "may_vote": may_vote,
        "why_not": "" if not isinstance(judged, Why) else WHY_NOT[judged],
        "stands_in_for": _other(judged, request.user),
        "form": (sent.form or form_of(approval, request)) if may_vote else None,
        "sent": sent,
        "approve_url": links.approval_url(site, approval, "approve"),
        "reject_url": links.approval_url(site, approval, "reject"),
        "reassign_url": links.approval_url(site, approval, "reassign"),
        "list_url": links.list_url(site, Approval),
    }
    request.current_app = site.name
    status = 409 if sent.changes else 400 if sent.problem or (sent.form and sent.form.errors) else 200
    return TemplateResponse(request, "admin/flowstate/approval/change_form.html", context, status=status)


def approve(admin: ModelAdmin[Approval], request: HttpRequest, approval: Approval) -> HttpResponse:
    """Vote for it and go back to the inbox; or show the page again, with what was wrong or has changed."""
    form = form_of(approval, request, request.POST)
    comment = request.POST.get("comment", "")
    sent = Sent(form=form, comment=comment)
    if not form.is_valid():
        return show(admin, request, approval, sent)

    def vote() -> None:
        digest = request.POST.get("digest", "")
        given = form.given()
        approval.approve(request.user, comment, given, shown_digest=digest, source=source_of(request))

    return _decide(admin, request, approval, sent, vote)


def reject(admin: ModelAdmin[Approval], request: HttpRequest, approval: Approval) -> HttpResponse:
    """Reject it and go back to the inbox; or show the page again."""
    reason, digest = request.POST.get("reason", ""), request.POST.get("digest", "")

    def vote() -> None:
        approval.reject(request.user, reason, shown_digest=digest, source=source_of(request))

    return _decide(admin, request, approval, Sent(reason=reason), vote)


def _decide(
    admin: ModelAdmin[Approval], request: HttpRequest, approval: Approval, sent: Sent, vote: Any
) -> HttpResponse:
    try:
        vote()
    except ApprovalChanged as err:
        sent.changes = compared(err.old, err.new)
        return show(admin, request, approval.refresh(), sent)
    except ReasonMissing:
        sent.problem = gettext("Say why you reject it: who asked will read it.")
        return show(admin, request, approval.refresh(), sent)
    except InputInvalid as err:
        if sent.form is None:
            sent.problem = str(err)
        else:
            sent.form.refuse(err.errors)
        return show(admin, request, approval.refresh(), sent)
    except FlowstateError as err:
        messages.error(request, str(err))
        return redirect(links.list_url(admin.admin_site, Approval))
    messages.success(request, told(approval))
    return redirect(links.list_url(admin.admin_site, Approval))


def told(approval: Approval) -> str:
    """Return what has come of a vote, for who gave it."""
    if approval.pending:
        text = gettext("%(what)s: your vote counts, %(votes)s have approved.")
    else:
        text = gettext("%(what)s: %(status)s. Workers go on with the run.")
    return text % {"what": approval.what, "votes": votes(approval), "status": approval.get_status_display()}


def form_of(approval: Approval, request: HttpRequest, data: Mapping[str, Any] | None = None) -> ActionForm:
    """Return the form that the step asks for; one without fields where it asks for nothing."""
    step = workflow_step(approval.run, approval.step)
    if not isinstance(step, ApprovalStep) or step.form is None:
        return ActionForm(None, data)
    return ActionForm(step.form(context={"user": request.user}), data)


def compared(old: Sequence[Mapping[str, str]], new: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Return old and new texts side by side, in the order of the new ones."""
    before = {item["name"]: item for item in old}
    after = {item["name"]: item for item in new}
    rows = []
    for name in dict.fromkeys([*after, *before]):
        was, now = before.get(name, {}).get("text", ""), after.get(name, {}).get("text", "")
        label = (after.get(name) or before[name])["label"]
        rows.append({"label": label, "old": was, "new": now, "changed": was != now})
    return rows


def source_of(request: HttpRequest) -> str:
    """Return where a vote comes from, for the history: this way in, and the address that the server sees."""
    return f"admin, {request.META.get('REMOTE_ADDR') or '-'}"


def _other(judged: Voice | Why, user: Any) -> str:
    """Return the name of who they stand in for, where that is why they may."""
    if not isinstance(judged, Voice) or judged.pk == user.pk:
        return ""
    other = get_user_model()._default_manager.filter(pk=judged.pk).first()
    return "" if other is None else str(other)
