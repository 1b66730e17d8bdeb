"""Who has asked for a run: whoever retries one, or has it run another, does not take that from who asked first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from flowstate.models import Run


def requesters_of(runs: Iterable[Run], using: str) -> dict[UUID, frozenset[Any]]:
    """Return by run the keys of who asked for it, for the runs above it, and for all that those retry.

    No statement where there are no such runs, otherwise one for each retry in the longest row of them.
    """
    asked: dict[UUID, Any] = {}
    before: dict[UUID, set[UUID]] = {}
    keys = []
    for run in runs:
        keys.append(run.pk)
        asked[run.pk], before[run.pk] = run.requested_by_id, _before(run.retry_of_id, run.ancestors)
    while left := set().union(*before.values()) - before.keys():
        rows = Run.objects.using(using).filter(pk__in=left)
        before.update((pk, set()) for pk in left)  # one that was pruned names nobody
        for pk, by, retry_of, ancestors in rows.values_list(
            "pk", "requested_by_id", "retry_of_id", "ancestors"
        ):
            asked[pk], before[pk] = by, _before(retry_of, ancestors)
    return {key: frozenset(asked.get(pk) for pk in _all_before(key, before)) - {None} for key in keys}


def _before(retry_of: Any, ancestors: Any) -> set[UUID]:
    return {UUID(str(pk)) for pk in (retry_of, *(ancestors or ())) if pk is not None}


def _all_before(key: UUID, before: dict[UUID, set[UUID]]) -> set[UUID]:
    found, left = set[UUID](), {key}
    while left:
        found |= left
        left = set().union(*(before[pk] for pk in left)) - found
    return found
