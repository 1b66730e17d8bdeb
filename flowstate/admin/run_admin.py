"""The admin of runs: who sees which, the list, the page of one. Nothing is written here."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.functional import SimpleLazyObject
from django.utils.html import format_html
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from flowstate.actions.registry import all_actions
from flowstate.admin import bulk_page, display, links, live, run_page
from flowstate.admin.operation_page import Operation, operate
from flowstate.admin.operations import OPERATIONS, offered
from flowstate.admin.run_list import FILTERS, CappedPaginator, RunChangeList, found, numbers_of
from flowstate.admin.views import own_view
from flowstate.engine.approvals.inbox import decides_in
from flowstate.engine.operate.authority import may_resolve
from flowstate.models import Run, StepRun

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.utils.safestring import SafeString

    RunModelAdmin = admin.ModelAdmin[Run]
else:  # cannot be subscripted at run time
    RunModelAdmin = admin.ModelAdmin


@admin.register(Run)
class RunAdmin(RunModelAdmin):
    """Runs as the journal tells them: read-only, with buttons that ask the engine.

    Staff see the runs they asked for and those on rows they may view; with `flowstate.view_run`, all of them.
    The engine says who may cancel and retry. Tracebacks are for those with `flowstate.change_run`, which has
    no other use: nobody edits a run.
    """

    list_display = (
        "name",
        "what",
        "state",
        "steps_settled",
        "entity",
        "who",
        "age",
    )
    list_filter = FILTERS
    list_per_page = 50
    list_max_show_all = 0
    search_fields = ("id",)  # `found` says what is looked at
    search_help_text = _(
        "Search by run (its id or the end of it), key of a step, key of the row, action, workflow or user."
    )
    ordering = ("-id",)
    sortable_by = ()
    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    actions = ("bulk_retry", "bulk_cancel", "bulk_waive")

    # --- who may what --------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Run]:
        """Return the runs this user may see: every page, filter and search of this admin starts from them."""
        return Run.objects.visible_to(request.user).select_related("content_type").order_by("-id")

    def has_view_permission(self, request: HttpRequest, obj: Run | None = None) -> bool:
        """Return whether this user may see the run. A list, of their own runs at least, is for all staff."""
        return obj is None or Run.objects.visible_to(request.user).filter(pk=obj.pk).exists()

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Return whether the index lists runs: for those who may see more than their own."""
        models = {action.model._meta for action in all_actions()}
        enough = ["flowstate.view_run", *(f"{model.app_label}.view_{model.model_name}" for model in models)]
        return any(request.user.has_perm(permission) for permission in enough)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False: actions start runs."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Run | None = None) -> bool:
        """Return False: nobody edits the journal."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Run | None = None) -> bool:
        """Return False: nobody takes lines out of the journal."""
        return False

    # --- pages ---------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        """Return the stock pages, of which adding and deleting are refused, and one for each operation."""
        own = [
            path(
                f"<uuid:run_id>/{operation.name}/",
                own_view(self.admin_site, partial(self._operate, operation)),
                name=f"flowstate_run_{operation.name}",
            )
            for operation in OPERATIONS
        ]
        bulk = path("bulk/<str:name>/", own_view(self.admin_site, self._bulk), name="flowstate_run_bulk")
        state = path("<uuid:run_id>/live/", own_view(self.admin_site, self._live), name="flowstate_run_live")
        return [*own, bulk, state, *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show a run. Raises Http404 for one that is not there for this user."""
        if request.method not in {"GET", "HEAD"}:
            raise PermissionDenied
        run = self._get_run(request, object_id)
        context = {
            **self.admin_site.each_context(request),
            **self._state(request, run),
            "title": gettext("Run %(id)s") % {"id": display.short_id(run.pk)},
            "subtitle": run.label,
            "opts": self.opts,
            "media": self.media,
            **(extra_context or {}),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/flowstate/run/change_form.html", context)

    def _live(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        """Return what changes on the page of a run; nothing, 204, where it still is as the page has it."""
        # Results, errors and undo records may be large: they are read only where something has moved.
        moving = Prefetch("step_runs", StepRun.objects.only("run_id", "seq", *live.MOVING))
        looked_at = self.get_queryset(request).select_related("retried_by").prefetch_related(moving, "events")
        run = looked_at.filter(pk=run_id).first()
        if run is None:
            raise Http404(run_id)
        if request.GET.get("seen") == live.fingerprint(run):
            return HttpResponse(status=204)
        run = self._get_run(request, str(run_id))
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "flowstate/run_live.html", self._state(request, run))

    def _state(self, request: HttpRequest, run: Run) -> dict[str, Any]:
        buttons = [
            {"label": operation.label, "url": links.run_url(self.admin_site, run, operation.name)}
            for operation in offered(run, request.user)
        ]
        return {
            **run_page.context_of(self.admin_site, request, run),
            **live.context_of(self.admin_site, request, run),
            "buttons": buttons,
        }

    def _operate(self, operation: Operation, request: HttpRequest, run_id: UUID) -> HttpResponse:
        return operate(self, operation, request, self._get_run(request, str(run_id)))

    def _get_run(self, request: HttpRequest, object_id: str) -> Run:
        try:
            pk = UUID(object_id)
        except ValueError as err:
            raise Http404(object_id) from err
        run = _read(self.get_queryset(request), pk)
        if run is None and decides_in(request.user, pk):
            run = _read(super().get_queryset(request), pk)
        if run is None:
            raise Http404(object_id)
        return run

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list, below the numbers of the runs that this user may see."""
        numbers = SimpleLazyObject(
            partial(numbers_of, self.admin_site, request)
        )  # counted when they are shown
        context = {"title": capfirst(self.opts.verbose_name_plural), "flowstate_numbers": numbers}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Run], search_term: str
    ) -> tuple[QuerySet[Run], bool]:
        """Return the runs that fit the term."""
        term = search_term.strip()
        return (found(request, queryset, term) if term else queryset), False

    # --- several at once -----------------------------------------------------------------------

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Return what this user may do with several runs; whether with each of them is asked for each."""
        actions: dict[str, Any] = super().get_actions(request)
        if not may_resolve(request.user):
            actions.pop("bulk_waive", None)
        return actions

    @admin.action(description=_("Retry selected runs"))
    def bulk_retry(self, request: HttpRequest, queryset: QuerySet[Run]) -> HttpResponse | None:
        """Ask whether to retry the selected runs."""
        return bulk_page.ask_for(self, "retry", request, queryset)

    @admin.action(description=_("Cancel selected runs"))
    def bulk_cancel(self, request: HttpRequest, queryset: QuerySet[Run]) -> HttpResponse | None:
        """Ask whether to cancel the selected runs."""
        return bulk_page.ask_for(self, "cancel", request, queryset)

    @admin.action(description=_("Waive what could not be undone of selected runs"))
    def bulk_waive(self, request: HttpRequest, queryset: QuerySet[Run]) -> HttpResponse | None:
        """Ask why to leave as it is what could not be undone of the selected runs."""
        return bulk_page.ask_for(self, "waive", request, queryset)

    def _bulk(self, request: HttpRequest, name: str) -> HttpResponse:
        return bulk_page.respond(self, name, request)

    # --- columns -------------------------------------------------------------------------------

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[RunChangeList]:
        """Return the list that reads steps along."""
        return RunChangeList

    @admin.display(description=_("run"))
    def name(self, run: Run) -> SafeString:
        """Return the short id."""
        return format_html("<code>{}</code>", display.short_id(run.pk))

    @admin.display(description=_("action"))
    def what(self, run: Run) -> SafeString:
        """Return the short name of the action, or of the workflow where there is none; the full one on hover."""
        return format_html('<span title="{}">{}</span>', run.action or run.workflow, run.label)

    @admin.display(description=_("status"))
    def state(self, run: Run) -> SafeString:
        """Return the status as a badge."""
        return display.run_badge(run)

    @admin.display(description=_("progress"))
    def steps_settled(self, run: Run) -> SafeString:
        """Return the progress as a bar, and below it what went wrong on the way."""
        rows = run.steps
        failed, lost = sum(row.failures for row in rows), sum(row.lost for row in rows)
        if not failed and not lost:
            return display.progress_bar(run)
        tried = display.attempts(sum(row.attempt for row in rows), failed, lost)
        text = gettext("attempts: %(count)s") % {"count": tried}
        return format_html('{}<br><span class="quiet">{}</span>', display.progress_bar(run), text)

    @admin.display(description=_("row"))
    def entity(self, run: Run) -> str:
        """Return the kind and key of the row: its name would be a query for each."""
        name = run_page.kind_and_key(run)
        url = links.entity_url(self.admin_site, run)
        return format_html('<a href="{}">{}</a>', url, name) if url else name

    @admin.display(description=_("who"))
    def who(self, run: Run) -> SafeString | str:
        """Return who asked for it, as they were called then, and the way to all that they asked for."""
        if run.requested_by_id is None:
            return run.requested_by_label
        return format_html('<a href="?user={}">{}</a>', run.requested_by_id, run.requested_by_label)

    @admin.display(description=_("started"))
    def age(self, run: Run) -> SafeString:
        """Return how long ago it began, and how long it took if it has ended."""
        if run.duration is None:
            return display.age(run.started_at)
        took = gettext("took %(duration)s") % {"duration": display.run_duration(run)}
        return format_html('{}<br><span class="quiet">{}</span>', display.age(run.started_at), took)


def _read(runs: QuerySet[Run], pk: UUID) -> Run | None:
    rows = runs.select_related("content_type", "retry_of", "retried_by")
    return rows.prefetch_related("step_runs", "events").filter(pk=pk).first()
