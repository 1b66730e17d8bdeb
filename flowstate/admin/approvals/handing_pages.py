"""Handing decisions on: one approval to somebody else, or all of mine for a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from flowstate.admin import links
from flowstate.admin.approvals.decision_page import source_of
from flowstate.engine.approvals.handing import delegate, end_delegation
from flowstate.engine.operate.authority import may_operate_all
from flowstate.exceptions import FlowstateError
from flowstate.models import Approval, ApprovalDelegate
from flowstate.models.clock import host_now

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin

MOST_LISTED = 100
MOMENT = "%Y-%m-%dT%H:%M"


class PersonField(forms.CharField):
    """A person by their name."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("widget", forms.TextInput(attrs={"class": "vTextField", "autocomplete": "off"}))
        super().__init__(max_length=254, **options)

    def clean(self, value: Any) -> Any:
        """Return the user, or None where nobody was named."""
        name = super().clean(value)
        if not name:
            return None
        users = get_user_model()
        found = users._default_manager.filter(**{users.USERNAME_FIELD: name, "is_active": True}).first()
        if found is None:
            raise forms.ValidationError(gettext("There is nobody of that name."))
        return found


def _moment(**options: Any) -> forms.DateTimeField:
    return forms.DateTimeField(
        widget=forms.DateTimeInput(format=MOMENT, attrs={"type": "datetime-local"}), **options
    )


class ReassignForm(forms.Form):
    """To whom, and why; instead of whom only for who may operate all runs."""

    to = PersonField(label=_("Hand it to"), help_text=_("The user name of somebody who may decide it."))
    instead_of = PersonField(
        label=_("Instead of"), required=False, help_text=_("The user name; empty means yourself.")
    )
    reason = forms.CharField(
        label=_("Reason"),
        required=False,
        max_length=500,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        help_text=_("Optional; it is kept in the run's history."),
    )


class DelegateForm(forms.Form):
    """Who stands in, and when."""

    to = PersonField(label=_("Who stands in for you"), help_text=_("The user name."))
    since = _moment(label=_("From"), required=False, help_text=_("Empty means from now on."))
    until = _moment(label=_("Until"))


def reassign(admin: ModelAdmin[Approval], request: HttpRequest, approval: Approval) -> HttpResponse:
    """Ask on GET to whom, hand it over on POST."""
    form = ReassignForm(request.POST if request.method == "POST" else None)
    if not may_operate_all(request.user):
        del form.fields["instead_of"]
    back = links.approval_url(admin.admin_site, approval)
    if request.method == "POST" and form.is_valid():
        given = {"instead_of": None, **form.cleaned_data}
        try:
            approval.reassign(
                request.user,
                given["to"],
                instead_of=given["instead_of"],
                reason=given["reason"],
                source=source_of(request),
            )
        except FlowstateError as err:
            form.add_error(None, str(err))
        else:
            text = gettext("%(what)s is for %(who)s to decide now.")
            messages.success(request, text % {"what": approval.what, "who": given["to"]})
            return redirect(links.list_url(admin.admin_site, Approval))
    facts = {"title": gettext("Hand on: %(what)s") % {"what": approval.what}, "back_url": back}
    return _page(admin, request, "reassign", form, facts)


def delegates(admin: ModelAdmin[Approval], request: HttpRequest) -> HttpResponse:
    """List who stands in for me, and for whom I do; on POST, have somebody stand in."""
    form = DelegateForm(request.POST if request.method == "POST" else None)
    here = links.page_url(admin.admin_site, Approval, "delegates")
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            delegate(user=request.user, to=given["to"], until=given["until"], since=given["since"])
        except FlowstateError as err:
            form.add_error(None, str(err))
        else:
            text = gettext("%(who)s stands in for you.") % {"who": given["to"]}
            messages.success(request, text)
            return redirect(here)
    mine = Q(delegator=request.user.pk) | Q(delegate=request.user.pk)
    rows = ApprovalDelegate.objects.filter(mine, until__gt=host_now())
    facts = {
        "title": gettext("Standing in"),
        "rows": rows.select_related("delegator", "delegate").order_by("since")[:MOST_LISTED],
        "back_url": links.list_url(admin.admin_site, Approval),
    }
    return _page(admin, request, "delegates", form, facts)


def end(admin: ModelAdmin[Approval], request: HttpRequest, pk: int) -> HttpResponse:
    """Let one person stand in no more. Raises Http404 for what is not theirs, PermissionDenied on GET."""
    if request.method != "POST":
        raise PermissionDenied
    mine = Q(delegator=request.user.pk) | Q(delegate=request.user.pk)
    row = ApprovalDelegate.objects.filter(mine, pk=pk).first()
    if row is None:
        raise Http404(str(pk))
    end_delegation(row, user=request.user)
    messages.success(request, gettext("That is over."))
    return redirect(links.page_url(admin.admin_site, Approval, "delegates"))


def _page(
    admin: ModelAdmin[Approval], request: HttpRequest, name: str, form: forms.Form, facts: dict[str, Any]
) -> HttpResponse:
    site = admin.admin_site
    context = {
        **site.each_context(request),
        "opts": admin.opts,
        "media": admin.media,
        "form": form,
        "list_url": links.list_url(site, Approval),
        **facts,
    }
    request.current_app = site.name
    status = 400 if form.errors else 200
    return TemplateResponse(request, f"admin/flowstate/approval/{name}.html", context, status=status)
