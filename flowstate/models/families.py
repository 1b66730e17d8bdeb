"""Families: runs that refer to each other and go together, with child runs, undo runs and retries."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import TypeVar
from uuid import UUID

from django.db.models import Q

from flowstate.models.run import Run
from flowstate.models.step_run import StepRun

Item = TypeVar("Item")

IN_ONE_QUERY = 1000
"""Keys that one statement names."""


def families_of(heads: Collection[UUID], using: str) -> dict[UUID, set[UUID]]:
    """Return the whole family of each head: of a run that is neither a child nor a retry.

    To it belong its children and the runs that undo them, its retry and the retry of that, and all theirs. Two
    or three statements for each generation, however many the heads are.
    """
    head_of = {head: head for head in heads}
    young = list(head_of)
    while young:
        born: dict[UUID, UUID] = {}
        for some in in_lots(young):
            born |= _children_of(some, using) | _retries_of(some, using)
        new = {pk: head_of[elder] for pk, elder in born.items() if pk not in head_of}
        head_of |= new
        young = list(new)
    families: dict[UUID, set[UUID]] = {head: set() for head in heads}
    for pk, head in head_of.items():
        families[head].add(pk)
    return families


def in_lots(items: Iterable[Item], size: int = IN_ONE_QUERY) -> Iterator[list[Item]]:
    """Yield the items in lists of at most `size`."""
    rest = iter(items)
    while lot := list(islice(rest, size)):
        yield lot


def _children_of(runs: list[UUID], using: str) -> dict[UUID, UUID]:
    """Return the runs that steps of these have begun, each with its parent."""
    begun = Q(child__isnull=False) | Q(undone_by__isnull=False)
    steps = StepRun.objects.using(using).filter(begun, run__in=runs)
    pairs: Iterable[tuple[UUID | None, ...]] = steps.values_list("child_id", "undone_by_id")
    named = {pk for pair in pairs for pk in pair if pk is not None}
    # A retry's step names the child that it has taken over, which stays the child of the run before.
    found: dict[UUID, UUID] = {}
    for some in in_lots(named):
        children = Run.objects.using(using).filter(pk__in=some, parent__in=runs)
        found.update(children.values_list("pk", "parent_id"))
    return found


def _retries_of(runs: list[UUID], using: str) -> dict[UUID, UUID]:
    retries = Run.objects.using(using).filter(retry_of__in=runs)
    return dict(retries.values_list("pk", "retry_of_id"))
