"""The list of runs, for tables of any size: what it filters by, and how it pages without counting all rows."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import Prefetch
from django.utils.translation import gettext_lazy as _

from flowstate.actions.registry import all_actions
from flowstate.models import StepRun

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest
    from django.utils.functional import _StrOrPromise

    from flowstate.models import Run

    RunPaginator = Paginator[Run]
else:
    RunPaginator = Paginator

LONGEST_COUNT = 5000
"""Rows that are counted; the pages end there, since filters and search lead further than paging."""

NO_ACTION = "-"


class CappedPaginator(RunPaginator):
    """Counts up to a limit only: an exact count reads the whole table or index, on every page."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows[:LONGEST_COUNT].count())

    @property
    def capped(self) -> bool:
        """Whether there are, as far as was counted, more rows than pages."""
        return self.count >= LONGEST_COUNT


class RunChangeList(ChangeList):
    """Reads the steps of the runs on the page along, and nothing for what the page does not show."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the page."""
        super().get_results(request)
        steps = StepRun.objects.only("run_id", "seq", "status")
        rows: Any = self.result_list
        self.result_list = rows.prefetch_related(Prefetch("step_runs", steps))
        if not self.query and not self.has_active_filters:
            # All of them already: otherwise Django, which did not count them, offers to show all.
            self.full_result_count = self.result_count


class ActionFilter(admin.SimpleListFilter):
    """By action. The choices come from the code: a DISTINCT over the table would read all of it."""

    title = _("action")
    parameter_name = "action"

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, _StrOrPromise]]:
        """Return all declared actions, and the choice of runs that belong to none."""
        keys: list[tuple[str, _StrOrPromise]] = [(action.key, action.key) for action in all_actions()]
        return [*sorted(keys), (NO_ACTION, _("without an action"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        """Return the runs of the chosen action."""
        value = self.value()
        if value is None:
            return queryset
        return queryset.filter(action="" if value == NO_ACTION else value)
