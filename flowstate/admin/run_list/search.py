"""Finds runs by what somebody has at hand: an id or its end, a key that a step has sent, the key of a row, a name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from uuid import UUID

from django.contrib.contenttypes.models import ContentType
from django.db.models import Q

from flowstate.actions.registry import all_actions
from flowstate.admin.run_list.window import LONGEST_LOOK, window_of
from flowstate.models import Run

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest

_ID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
_END_OF_ID = re.compile(r"[0-9a-f]{4,32}", re.IGNORECASE)


def found(request: HttpRequest, runs: QuerySet[Run], term: str) -> QuerySet[Run]:
    """Return the runs that fit: by id, else by the key of their row, else by names within the window.

    The idempotency key of a step begins with the id of its run, so that it leads there too.
    """
    term = term.replace("\x00", "").strip()
    by_id = _ID.match(term)
    if by_id:
        return runs.filter(pk=UUID(by_id[0]))
    on_row = _on_row(runs, term)
    if on_row:
        return runs.filter(pk__in=on_row)
    return window_of(request).applied(runs).filter(_named(term))


def _on_row(runs: QuerySet[Run], term: str) -> list[UUID]:
    """Return the keys of the runs on rows with this key, of whatever model that has actions."""
    types = ContentType.objects.get_for_models(*{action.model for action in all_actions()})
    keyed = runs.filter(content_type__in=types.values(), object_id=term)
    return list(keyed.order_by("-pk").values_list("pk", flat=True)[:LONGEST_LOOK])


def _named(term: str) -> Q:
    named = Q(workflow__icontains=term) | Q(action__icontains=term) | Q(requested_by_label__icontains=term)
    if _END_OF_ID.fullmatch(term):
        named |= Q(id__iendswith=term)
    return named | Q(object_id=term)
