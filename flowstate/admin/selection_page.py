"""The page that starts an action on several rows: who is refused before, and what came of each afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4, uuid5

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.contrib.admin.helpers import AdminForm
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext, ngettext

from flowstate.actions.actions import ActionSet
from flowstate.actions.bound import BoundAction
from flowstate.admin import display, links
from flowstate.admin.action_page import KEY
from flowstate.admin.forms import ActionForm
from flowstate.exceptions import FlowstateError, InputInvalid
from flowstate.models import Run

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.utils.safestring import SafeString

MOST = 100
"""Rows at once."""
ROWS = "rows"
"""The hidden fields that name them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One row: the run that was started on it, or why there is none."""

    row: Model
    url: str
    action: BoundAction
    refused: str = ""
    run_id: str = ""
    run_url: str = ""
    badge: SafeString | str = ""
    replayed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionPage:
    """One request to start an action on several rows; `actions` binds it to one of them."""

    model_admin: ModelAdmin[Any]
    request: HttpRequest
    name: str
    actions: ActionSet

    def ask(self, rows: QuerySet[Any]) -> HttpResponse | None:
        """Ask about the rows that were selected in the list; None, with a message, where they are too many."""
        chosen = list(rows[: MOST + 1])
        if len(chosen) > MOST:
            text = gettext("At most %(most)d rows at once: select fewer of them.")
            messages.error(self.request, text % {"most": MOST})
            return None
        lines = self._lines(chosen)
        return self._show(lines, self._form(lines))

    def respond(self) -> HttpResponse:
        """Start it on each of the rows that the form names, and say what came of it."""
        if self.request.method in {
            "GET",
            "HEAD",
        }:  # a reload of the answer's address: there is nothing to show
            return redirect(links.list_url(self.model_admin.admin_site, self.model_admin.model))
        if self.request.method != "POST":
            return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
        lines = self._lines(self._rows())
        if not lines:
            messages.error(self.request, gettext("None of these rows is there, for you at least."))
            return redirect(links.list_url(self.model_admin.admin_site, self.model_admin.model))
        form = self._form(lines, self.request.POST)
        if not form.is_valid():
            return self._show(lines, form)
        results = []
        for line in lines:
            try:
                results.append(line if line.refused else self._start(line, form))
            except InputInvalid as err:
                if not any(result.run_id for result in results):  # the same for all, most likely
                    form.refuse(err.errors)
                    return self._show(lines, form)
                results.append(self._refused(line, str(err)))
        return self._show(results, form, finished=True)

    # --- which rows ----------------------------------------------------------------------------

    def _rows(self) -> list[Any]:
        """Return the rows that the form names, those of them that this user may see, in the order of the form."""
        field = self.model_admin.opts.pk
        keys = []
        for text in self.request.POST.getlist(ROWS)[:MOST]:
            try:
                keys.append(field.to_python(text))
            except Exception:  # noqa: S112 - whatever the model's own key says about a text that is none
                continue
        found = {row.pk: row for row in self.model_admin.get_queryset(self.request).filter(pk__in=keys)}
        return [found[key] for key in dict.fromkeys(keys) if key in found]

    def _lines(self, rows: Sequence[Any]) -> list[Line]:
        return [
            self._line(row)
            for row in rows
            if self.model_admin.has_view_or_change_permission(self.request, row)
        ]

    def _line(self, row: Any) -> Line:
        action = self.actions[self.name].bind(row)
        allowed = action.allows(self.request.user)
        return Line(
            row=row,
            url=links.row_url(self.model_admin.admin_site, self.model_admin.model, row.pk),
            action=action,
            refused="" if allowed else gettext("You may not do this with this row now."),
        )

    @staticmethod
    def _refused(line: Line, why: str) -> Line:
        return Line(row=line.row, url=line.url, action=line.action, refused=why)

    # --- starting ------------------------------------------------------------------------------

    def _start(self, line: Line, form: ActionForm) -> Line:
        """Hand a run over to the workers; one that is refused keeps none of the others back."""
        key = str(
            uuid5(self._key(), str(line.row.pk))
        )  # a form that is sent twice starts one run on each row
        try:
            run = line.action.enqueue(user=self.request.user, input=form.given(), idempotency_key=key)
        except InputInvalid:
            raise
        except FlowstateError as err:
            return self._refused(line, str(err))
        return Line(
            row=line.row,
            url=line.url,
            action=line.action,
            run_id=display.short_id(run.pk),
            run_url=links.run_url(self.model_admin.admin_site, run),
            badge=display.run_badge(run),
            replayed=run.replayed,
        )

    def _key(self) -> UUID:
        try:
            return UUID(self.request.POST.get(KEY, ""))
        except ValueError:
            return uuid4()

    # --- showing -------------------------------------------------------------------------------

    def _form(self, lines: Sequence[Line], data: Mapping[str, Any] | None = None) -> ActionForm:
        able = next((line for line in lines if not line.refused), None)
        entity = able.row if able else None
        serializer = self.actions[self.name].input_serializer
        context = {"user": self.request.user, "entity": entity}
        return ActionForm(None if serializer is None else serializer(context=context), data)

    def _show(self, lines: Sequence[Line], form: ActionForm, *, finished: bool = False) -> HttpResponse:
        site, opts = self.model_admin.admin_site, self.model_admin.opts
        able = [line for line in lines if not line.refused]
        any_form: Any = form  # AdminForm is typed for forms of models, and works with any
        fieldsets = [(None, {"fields": list(form.fields)})] if form.fields else []
        label = self.actions[self.name].label
        counted = ngettext("%(action)s: %(count)d row", "%(action)s: %(count)d rows", len(able))
        name = f"admin:{opts.app_label}_{opts.model_name}_selected_action"
        context = {
            **site.each_context(self.request),
            "title": counted % {"action": label, "count": len(able)},
            "opts": opts,
            "media": self.model_admin.media + form.media,
            "action": self.actions[self.name],
            "able": able,
            "refused": [line for line in lines if line.refused],
            "finished": finished,
            "form": form,
            "adminform": AdminForm(any_form, fieldsets, {}, model_admin=self.model_admin),
            "rows_name": ROWS,
            "key_name": KEY,
            "key": self._key(),
            "post_url": reverse(name, args=[self.name], current_app=site.name),
            "list_url": links.list_url(site, self.model_admin.model),
            "runs_url": links.list_url(site, Run),
        }
        self.request.current_app = site.name
        return TemplateResponse(self.request, "admin/flowstate/actions/selection.html", context)
