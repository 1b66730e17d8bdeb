"""Deletes what need not be kept any longer: ended runs with all that belongs to them, and events that are over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import ProtectedError, Q, RestrictedError

from flowstate.engine.database.contention import tried_again
from flowstate.models import Event, Run
from flowstate.models.clock import db_now
from flowstate.models.families import families_of, in_lots
from flowstate.models.retention import Retention

BATCH = 1000
"""Runs that are looked at together, and deleted in one transaction; a larger family stays one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruning:
    """What to delete: runs for which the time is over, of those that are `chosen`."""

    using: str
    retention: Retention
    chosen: Q = field(default_factory=Q)
    """Which runs to look at. A child run goes with the run above it, chosen or not."""
    now: datetime

    def __iter__(self) -> Iterator[list[set[UUID]]]:
        """Yield families of runs that may go, as many as fit into one transaction. Deletes nothing.

        A family goes when the time of all its members is over: a run to which one refers that is live, or kept,
        is never among them. The runs are read by the index on the time of their end, a page at a time.
        """
        lot: list[set[UUID]] = []
        size = 0
        for family in self._families():
            if lot and size + len(family) > BATCH:
                yield lot
                lot, size = [], 0
            lot.append(family)
            size += len(family)
        if lot:
            yield lot

    @property
    def heads(self) -> int:
        """How many families there are at most. One statement."""
        latest = self.retention.latest(self.now)
        return 0 if latest is None else Run.objects.using(self.using).heads(self._wanted, latest).count()

    @property
    def _wanted(self) -> Q:
        return self.retention.over(self.now) & self.chosen

    def _families(self) -> Iterator[set[UUID]]:
        latest = self.retention.latest(self.now)
        after: tuple[datetime, UUID] | None = None
        while latest is not None:
            heads = Run.objects.using(self.using).heads(self._wanted, latest, after=after)
            page = list(heads.values_list("ended_at", "pk")[:BATCH])
            if not page:
                return
            ended_at, pk = page[-1]
            assert ended_at is not None  # noqa: S101 - they have ended
            after = (ended_at, pk)
            yield from self._over([pk for _at, pk in page])

    def _over(self, heads: list[UUID]) -> Iterator[set[UUID]]:
        families = families_of(heads, self.using)
        over: set[UUID] = set()
        members = (
            (Q(parent__isnull=False) | self.chosen) if self.chosen else Q()
        )  # `| Q()` would drop the empty one
        for some in in_lots(pk for family in families.values() for pk in family):
            found = Run.objects.using(self.using).filter(self.retention.over(self.now), members, pk__in=some)
            over.update(found.values_list("pk", flat=True))
        yield from (family for family in families.values() if family <= over)


def pruning(using: str, retention: Retention, chosen: Q) -> Pruning:
    """Return what to delete now, by the database's clock."""
    return Pruning(using=using, retention=retention, chosen=chosen, now=db_now(using))


def delete_families(families: list[set[UUID]], using: str) -> int:
    """Delete runs with their steps, history and all else that is theirs, in one transaction; return how many.

    Rows of others that protect a run from being deleted protect its family; the other families then go one by
    one.
    """
    try:
        return tried_again(using, lambda: _delete(set().union(*families), using))
    except (ProtectedError, RestrictedError):
        if len(families) == 1:
            return 0
        return sum(delete_families([family], using) for family in families)


def delete_expired_events(using: str) -> Iterator[int]:
    """Delete events that are over and that no step has yet to be given; yield how many, for each transaction."""
    while True:
        try:
            deleted = tried_again(using, lambda: Event.objects.using(using).remove_expired(BATCH))
        except RestrictedError:  # given to a step at this moment: not among those of the next look
            continue
        if not deleted:
            return
        yield deleted


def _delete(runs: set[UUID], using: str) -> int:
    with transaction.atomic(using=using):
        journal = Run.objects.using(using)
        # Who retries an ended run holds its row: either the retry is seen here, or finds the run gone.
        locked = journal.lock_ended(runs)
        if journal.filter(retry_of__in=locked).exclude(pk__in=runs).exists():
            return 0
        return journal.remove(locked)
