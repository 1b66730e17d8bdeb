"""The page that starts an action: its input form, or a question where it takes no input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.contrib.admin.helpers import AdminForm
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.translation import gettext

from flowstate.actions.bound import BoundAction
from flowstate.admin import links
from flowstate.admin.forms import ActionForm
from flowstate.admin.reports import report
from flowstate.exceptions import AlreadyRunning, InputInvalid, StartRefused, StepError
from flowstate.models import Run

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY = "idempotency_key"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionPage:
    """One request for the page of an action, of a row or of the collection."""

    model_admin: ModelAdmin[Any]
    request: HttpRequest
    action: BoundAction

    def respond(self) -> HttpResponse:
        """Show the form on GET; on POST start the action and go to its run, or show what was wrong.

        Raises PermissionDenied (`ActionDenied` is one) for a user whom the rules do not let do it.
        """
        if not self.action.allows(self.request.user):
            raise PermissionDenied
        if self.request.method in {"GET", "HEAD"}:
            return self._show(self._form())
        if self.request.method != "POST":
            return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
        form = self._form(self.request.POST)
        run = self._start(form) if form.is_valid() else None
        if run is None:
            return self._show(form)
        report(self.request, run)
        return redirect(links.run_url(self.model_admin.admin_site, run) or self._back_url())

    def _form(self, data: Mapping[str, Any] | None = None) -> ActionForm:
        # The context that the engine validates in.
        context = {"user": self.request.user, "entity": self.action.entity}
        serializer = self.action.input_serializer
        return ActionForm(None if serializer is None else serializer(context=context), data)

    def _start(self, form: ActionForm) -> Run | None:
        """Return the run; None where the start was refused, which the form or a message then says."""
        try:
            return self.action.run(user=self.request.user, input=form.given(), idempotency_key=self._key())
        except InputInvalid as err:
            form.refuse(err.errors)
        except AlreadyRunning as err:
            messages.error(self.request, self._with_link(err))
        except (StartRefused, StepError) as err:
            messages.error(self.request, str(err))
        return None

    def _key(self) -> str:
        # Each form that is shown has a key of its own, so that one sent twice starts one run.
        try:
            return str(UUID(self.request.POST.get(KEY, "")))
        except ValueError:
            return str(uuid4())

    def _with_link(self, err: AlreadyRunning) -> str:
        visible = Run.objects.visible_to(self.request.user)
        run = visible.filter(pk=err.run_id).first() if err.run_id else None
        url = links.run_url(self.model_admin.admin_site, run) if run else ""
        return format_html('{} <a href="{}">{}</a>', str(err), url, gettext("See it")) if url else str(err)

    def _back_url(self) -> str:
        site, entity = self.model_admin.admin_site, self.action.entity
        if entity is None:
            return links.list_url(site, self.model_admin.model)
        return links.row_url(site, self.model_admin.model, entity.pk)

    def _show(self, form: ActionForm) -> HttpResponse:
        entity = self.action.entity
        fieldsets = [(None, {"fields": list(form.fields)})] if form.fields else []
        any_form: Any = form  # AdminForm is typed for forms of models, and works with any
        context = {
            **self.model_admin.admin_site.each_context(self.request),
            "title": self.action.label,
            "subtitle": None if entity is None else str(entity),
            "opts": self.model_admin.opts,
            "media": self.model_admin.media + form.media,
            "action": self.action,
            "entity": entity,
            "form": form,
            "adminform": AdminForm(any_form, fieldsets, {}, model_admin=self.model_admin),
            "key_name": KEY,
            "key": uuid4(),
            "back_url": self._back_url(),
            "list_url": links.list_url(self.model_admin.admin_site, self.model_admin.model),
        }
        self.request.current_app = self.model_admin.admin_site.name
        return TemplateResponse(self.request, "admin/flowstate/actions/action.html", context)
