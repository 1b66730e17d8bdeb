"""ActionsAdminMixin: what a model's own admin shows of its actions and of the runs on its rows."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin.options import IS_POPUP_VAR
from django.contrib.admin.utils import quote, unquote
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db.models import Model, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext

from flowstate.actions.actions import ActionSet, actions_of
from flowstate.admin import display, links
from flowstate.admin.action_page import ActionPage
from flowstate.admin.approval_lines import ApprovalLine, lines_of
from flowstate.admin.buttons import Button, buttons_for
from flowstate.admin.selection_page import SelectionPage
from flowstate.admin.views import own_view
from flowstate.exceptions import DeclarationInvalid, LineageUnknown
from flowstate.models import Approval, Run, runs_of
from flowstate.models.touch import Deed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.models import QuerySet

    from flowstate.actions.bound import BoundAction
    from flowstate.models.run_verbs import RunQuerySet

    AnyModelAdmin = admin.ModelAdmin[Any]
else:  # cannot be subscripted at run time, and the model's own admin class stands beside this one
    AnyModelAdmin = object


class ActionsAdminMixin(AnyModelAdmin):
    """Put it before ModelAdmin: `class OrderAdmin(ActionsAdminMixin, ModelAdmin)`.

    Rows get a button for each action that this user may do with them now, the list of their runs, and what
    steps did with them; the list of rows gets a button for each action of the collection. The pages keep
    whatever templates they have: all this is put around them. A user needs to see the row in this admin, and
    the action's rules.
    """

    latest_runs = 10
    """Runs, and things that steps did with it, that the page of a row lists."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Refuse a class on which Django's own methods would come first and hide these."""
        super().__init_subclass__(**options)
        if cls.__mro__.index(admin.ModelAdmin) < cls.__mro__.index(ActionsAdminMixin):
            message = f"{cls.__name__} must name ActionsAdminMixin before ModelAdmin, or its pages stay as they are."
            raise DeclarationInvalid(message)

    def get_urls(self) -> list[URLPattern]:
        """Return a page for the actions of the collection, one for those of rows, and the stock ones."""
        prefix = f"{self.opts.app_label}_{self.opts.model_name}"
        on_list = own_view(self.admin_site, self._answer_on_list)
        on_row = own_view(self.admin_site, self._answer_on_row)
        on_selection = own_view(self.admin_site, self._answer_on_selection)
        return [
            path("actions/<str:name>/selected/", on_selection, name=f"{prefix}_selected_action"),
            path("actions/<str:name>/", on_list, name=f"{prefix}_list_action"),
            path("<path:object_id>/actions/<str:name>/", on_row, name=f"{prefix}_row_action"),
            *super().get_urls(),
        ]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Return the actions on a selection: the admin's own, and those of the model's rows.

        Which of the rows they may be done with is asked for each row, and said before anything is done.
        """
        found: dict[str, Any] = super().get_actions(request)
        if self.actions is None or IS_POPUP_VAR in request.GET:
            return found
        plural = self.opts.verbose_name_plural
        actions = self._actions(None)
        for name in actions.names():
            action = actions[name]
            if action.action.detail:
                text = gettext("%(action)s selected %(rows)s") % {"action": action.label, "rows": plural}
                found[f"flowstate_{name}"] = (partial(_ask_about_selection, name), f"flowstate_{name}", text)
        return found

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Return the list of rows with the buttons of the collection's actions."""
        response = super().changelist_view(request, extra_context)
        # Neither the pages of admin actions, such as "delete selected", nor redirects.
        if not isinstance(response, TemplateResponse) or "cl" not in (context := response.context_data or {}):
            return response
        buttons = [] if context["is_popup"] else self._buttons(request, None)
        return _around(response, "admin/flowstate/actions/change_list.html", flowstate_buttons=buttons)

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,  # noqa: FBT001, FBT002 - Django's signature
        change: bool = False,  # noqa: FBT001, FBT002
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        """Return the page of a row with the buttons of its actions and its latest runs."""
        response = super().render_change_form(request, context, add, change, form_url, obj)
        if obj is None or context.get("is_popup") or not isinstance(response, TemplateResponse):
            return response
        return _around(
            response,
            "admin/flowstate/actions/change_form.html",
            flowstate_buttons=self._buttons(request, obj),
            flowstate_approvals=self._approvals(request, obj),
            flowstate_runs=self._runs(request, obj),
            flowstate_runs_url=self._runs_url(obj),
            flowstate_lineage=self._lineage(request, obj),
        )

    def _answer_on_list(self, request: HttpRequest, name: str) -> HttpResponse:
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        return self._answer(request, name, None)

    def _answer_on_row(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        row = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404(object_id)
        if not self.has_view_or_change_permission(request, row):
            raise PermissionDenied
        return self._answer(request, name, row)

    def _answer_on_selection(self, request: HttpRequest, name: str) -> HttpResponse:
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        return self.selection_page(request, name).respond()

    def selection_page(self, request: HttpRequest, name: str) -> SelectionPage:
        """Return the page of an action on several rows. Raises Http404 for what is no action of a row."""
        actions = self._actions(None)
        if name not in actions or not actions[name].action.detail:
            raise Http404(name)
        return SelectionPage(model_admin=self, request=request, name=name, actions=actions)

    def _answer(self, request: HttpRequest, name: str, row: Model | None) -> HttpResponse:
        actions = self._actions(row)
        if name not in actions or actions[name].action.detail is (row is None):
            raise Http404(name)
        return ActionPage(model_admin=self, request=request, action=actions[name]).respond()

    def _actions(self, row: Model | None) -> ActionSet:
        # Not `row.actions`: the attribute may have another name.
        return ActionSet(self.model, actions_of(self.model), row)

    def _buttons(self, request: HttpRequest, row: Model | None) -> list[Button]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_{'list' if row is None else 'row'}_action"

        def url_of(action: BoundAction) -> str:
            args = [action.name] if row is None else [quote(row.pk), action.name]
            return reverse(f"admin:{name}", args=args, current_app=self.admin_site.name)

        return buttons_for(self.admin_site, request.user, self._actions(row), url_of)

    def _approvals(self, request: HttpRequest, row: Model) -> Sequence[ApprovalLine]:
        """Return what people have still to decide about the row."""
        runs = self._runs_on(request, row).filter(ended_at=None)
        pending = Approval.objects.pending().filter(run__in=runs).order_by("pk")
        rows = pending.select_related("run").prefetch_related("votes")[: self.latest_runs]
        return lines_of(self.admin_site, rows)

    def _runs_on(self, request: HttpRequest, row: Model) -> RunQuerySet:
        on_row = Q()
        for content_type, object_id in self._filed_under(row):
            on_row |= Q(content_type=content_type, object_id=object_id)
        return Run.objects.visible_to(request.user).filter(on_row)

    def _runs(self, request: HttpRequest, row: Model) -> Sequence[dict[str, Any]]:
        runs = self._runs_on(request, row).order_by("-pk")
        return [
            {
                "run": run,
                "id": display.short_id(run.pk),
                "url": links.run_url(self.admin_site, run),
                "badge": display.run_badge(run),
                "progress": display.progress_bar(run),
                "duration": display.run_duration(run),
            }
            for run in runs.prefetch_related("step_runs")[: self.latest_runs]
        ]

    def _lineage(self, request: HttpRequest, row: Model) -> list[dict[str, Any]] | None:
        """Return what steps did with the row, as far as this user may see; None where that is not kept."""
        try:
            entries = runs_of(row, limit=self.latest_runs, visible_to=request.user)
        except LineageUnknown:
            return None
        return [
            {
                "entry": entry,
                "deed": Deed(entry.deed).label,
                "id": display.short_id(entry.run.pk),
                "url": links.run_url(self.admin_site, entry.run),
            }
            for entry in entries
        ]

    def _runs_url(self, row: Model) -> str:
        url = links.list_url(self.admin_site, Run)
        content_type, object_id = self._filed_under(row)[0]
        return url and f"{url}?{urlencode({'content_type': content_type.pk, 'object_id': object_id})}"

    def _filed_under(self, row: Model) -> list[tuple[ContentType, str]]:
        # An action that a parent model declares files its runs under the parent's row.
        bound = [action.bind(row) for action in actions_of(self.model).values()]
        places = dict.fromkeys(
            (action.model, str(action.entity_id)) for action in bound if action.action.detail
        )
        places.setdefault((row._meta.concrete_model or type(row), str(row.pk)))
        return [(ContentType.objects.get_for_model(model), key) for model, key in places]


def _ask_about_selection(
    name: str, model_admin: Any, request: HttpRequest, rows: QuerySet[Any]
) -> HttpResponse | None:
    """Do what the admin calls an action: ask on a page of its own."""
    page: SelectionPage = model_admin.selection_page(request, name)
    return page.ask(rows)


def _around(response: TemplateResponse, template: str, **context: Any) -> TemplateResponse:
    """Have `template` extend whatever the page would have been rendered with, the project's own included."""
    response.context_data = {
        **(response.context_data or {}),
        **context,
        "flowstate_parent": response.resolve_template(response.template_name),
    }
    response.template_name = template
    return response
