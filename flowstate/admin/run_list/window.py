"""How many runs one page of the list reads at most: the latest of them, or those up to a run that is named.

No index names the status, the workflow or the action of a run: an entry more in an index is a write more for every
step. A filter by these therefore looks through so many runs, the latest first, and the page leads on to older ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from flowstate.models import Run

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest

LONGEST_LOOK = 10_000
"""Runs that one page looks through."""

UP_TO = "upto"
"""The parameter that names the run from which on older ones are looked through."""

_KEPT = "_flowstate_window"


class Window:
    """The runs that one request looks through."""

    def __init__(self, first: UUID | None) -> None:
        rows = Run.objects.order_by("-pk")
        if first is not None:
            rows = rows.filter(pk__lte=first)
        beyond = rows.values_list("pk", flat=True)[LONGEST_LOOK : LONGEST_LOOK + 1]
        self.first = first
        self.next: UUID | None = next(iter(beyond), None)
        """The latest run that is not looked at any more; None where there is none."""

    def applied(self, runs: QuerySet[Run]) -> QuerySet[Run]:
        """Return those of the runs that are looked at: a range of the primary key."""
        if self.first is not None:
            runs = runs.filter(pk__lte=self.first)
        return runs if self.next is None else runs.filter(pk__gt=self.next)


def window_of(request: HttpRequest) -> Window:
    """Return the window of a request; one query, once."""
    window: Window | None = getattr(request, _KEPT, None)
    if window is None:
        window = Window(first_of(request))
        setattr(request, _KEPT, window)
    return window


def first_of(request: HttpRequest) -> UUID | None:
    """Return the run from which on a request looks; None for the latest."""
    try:
        return UUID(request.GET.get(UP_TO, ""))
    except ValueError:
        return None
