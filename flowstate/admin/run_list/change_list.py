"""How the list of runs pages without counting all rows, and what it reads along."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import Prefetch

from flowstate.admin.run_list.kinds import Standing
from flowstate.admin.run_list.window import LONGEST_LOOK, UP_TO, window_of
from flowstate.models import StepRun

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest

    from flowstate.models import Run

    RunPaginator = Paginator[Run]
else:
    RunPaginator = Paginator

_KEYED = {"object_id", "user", "id__exact"}
"""Parameters by which an index leads to the runs, however old they are."""
_LOOKED_FOR = {"action", "workflow", "model", "started", UP_TO}
"""Those by which none does."""


class CappedPaginator(RunPaginator):
    """Counts up to a limit only: an exact count reads the whole table or index, on every page."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows[:LONGEST_LOOK].count())


class RunChangeList(ChangeList):
    """Looks through so many runs at most, and reads the steps of those on the page along."""

    older_url = ""
    """Where the search goes on; empty where all runs were looked at, or an index led to those that fit."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Run]:
        """Return the runs that fit, those in the window where no index leads to them."""
        runs: QuerySet[Run] = super().get_queryset(request, exclude_parameters)
        if not self._is_looked_through():
            return runs
        window = window_of(request)
        if window.next is not None:
            self.older_url = self.get_query_string({UP_TO: str(window.next)})
        return window.applied(runs)

    def _is_looked_through(self) -> bool:
        if self.query:
            return False  # the search does so itself where it must
        if _LOOKED_FOR.intersection(self.params):
            return True
        standing = self.params.get("status__exact")
        if standing is None:
            return not _KEYED.intersection(self.params)
        return standing not in Standing.values or not Standing(standing).by_index

    def get_results(self, request: HttpRequest) -> None:
        """Read the page."""
        super().get_results(request)
        steps = StepRun.objects.only("run_id", "seq", "kind", "status", "attempt", "failures", "lost")
        rows: Any = self.result_list
        self.result_list = rows.prefetch_related(Prefetch("step_runs", steps))
        if not self.query and not self.has_active_filters:
            # All of them already: otherwise Django, which did not count them, offers to show all.
            self.full_result_count = self.result_count
