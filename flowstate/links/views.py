"""The page that a link leads to: GET shows what is asked, and decides nothing; POST decides."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.core.signing import BadSignature, SignatureExpired
from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods
from rest_framework import serializers

from flowstate.engine.approvals.inbox import standing_of
from flowstate.engine.approvals.judge import Voice
from flowstate.engine.approvals.showing import note_view
from flowstate.engine.loading import workflow_step
from flowstate.exceptions import FlowstateError, InputInvalid
from flowstate.exceptions.approvals import ApprovalChanged
from flowstate.links.tokens import addressed
from flowstate.models import Approval
from flowstate.workflows.approvals import ApprovalStep

COMMENT, DIGEST, DECISION = "flowstate-comment", "flowstate-digest", "flowstate-decision"
"""Names of the page's own fields, which no field of a step's form can have."""


@never_cache
@csrf_protect
@require_http_methods(["GET", "HEAD", "POST"])
def _confirm(request: HttpRequest, token: str) -> HttpResponse:
    """Show the approval that the link is about to the person it was made for, who is logged in."""
    try:
        link = addressed(token)
    except SignatureExpired:
        return _say(request, gettext("This link is too old. Look at what waits for you instead."), 410)
    except BadSignature:
        return _say(request, gettext("This is no link of ours, or not all of it."), 404)
    if not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path())
    if str(request.user.pk) != link.user:
        message = gettext("This link was made for somebody else. Log in as the person who got it.")
        return _say(request, message, 403)
    return _answer(request, link.approval)


def _answer(request: HttpRequest, pk: int) -> HttpResponse:
    rows = Approval.objects.select_related("run").prefetch_related("votes")
    approval = rows.filter(pk=pk).first()
    if approval is None:
        return _say(request, gettext("What this link was about is gone."), 410)
    return _decide(request, approval) if request.method == "POST" else _show(request, approval)


confirm = _confirm
for _alias in connections:  # the engine commits for itself, also where each request is a transaction
    confirm = transaction.non_atomic_requests(using=_alias)(confirm)


def _decide(request: HttpRequest, approval: Approval) -> HttpResponse:
    said, digest = request.POST.get(COMMENT, ""), request.POST.get(DIGEST, "")
    source = source_of(request)
    try:
        match request.POST.get(DECISION):
            case "approve":
                form = _filled_in(approval, request)
                approval.approve(request.user, said, form, shown_digest=digest, source=source)
            case "reject":
                approval.reject(request.user, said, shown_digest=digest, source=source)
            case _:
                return _show(request, approval)
    except ApprovalChanged as err:
        before = {item["name"]: item["text"] for item in err.old}
        return _show(request, approval.refresh(), error=err, before=before)
    except FlowstateError as err:
        return _show(request, approval.refresh(), error=err)
    return _say(request, _told(approval), 200)


def _told(approval: Approval) -> str:
    if approval.pending:
        return gettext("Thank you. Your vote counts; others have to agree, too.")
    return gettext("Thank you. It is %(status)s.") % {"status": approval.get_status_display()}


def _show(
    request: HttpRequest,
    approval: Approval,
    *,
    error: FlowstateError | None = None,
    before: dict[str, str] | None = None,
) -> HttpResponse:
    may_vote = approval.pending and isinstance(standing_of(request.user, approval), Voice)
    if may_vote:
        note_view(approval, user=request.user, source=source_of(request))
    seen = before or {}
    shown = [{**item, "before": seen.get(item["name"], item["text"])} for item in approval.shown_texts]
    context = {
        "approval": approval,
        "run": approval.run,
        "may_vote": may_vote,
        # What it is about is for who may decide; the link of somebody who was put out shows nothing of it.
        "shown": shown if may_vote else [],
        "serializer": _form_of(approval, request, error) if may_vote else None,
        "error": error,
        "comment": request.POST.get(COMMENT, ""),
        "names": {"comment": COMMENT, "digest": DIGEST, "decision": DECISION},
    }
    return render(
        request, "flowstate/link/approval.html", context, status=error.status_code if error else 200
    )


def _say(request: HttpRequest, message: str, status: int) -> HttpResponse:
    return render(request, "flowstate/link/message.html", {"message": message}, status=status)


def _step_form(approval: Approval) -> type[serializers.Serializer[Any]] | None:
    step = workflow_step(approval.run, approval.step)
    return step.form if isinstance(step, ApprovalStep) else None


def _form_of(approval: Approval, request: HttpRequest, error: FlowstateError | None) -> Any:
    form = _step_form(approval)
    if form is None:
        return None
    if not isinstance(error, InputInvalid):
        return form(context={"user": request.user})
    filled = form(data=_filled_in(approval, request), context={"user": request.user})
    filled.is_valid()  # for its errors, which stand beside the fields
    return filled


def _filled_in(approval: Approval, request: HttpRequest) -> QueryDict | None:
    """Return what was sent of the step's form; nothing where it asks for nothing."""
    form = _step_form(approval)
    if form is None:
        return None
    sent = request.POST.copy()
    for name in (COMMENT, DIGEST, DECISION, "csrfmiddlewaretoken"):
        sent.pop(name, None)
    return sent


def source_of(request: HttpRequest) -> str:
    """Return where a vote comes from, for the history: this way in, and the address that the server sees."""
    return f"link, {request.META.get('REMOTE_ADDR') or '-'}"
