"""Checks the invariants on the journal: which row breaks which, and what to do about it.

Reads only, a bounded number of rows at a time, and may run beside workers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from datetime import timedelta
from itertools import groupby, islice
from typing import Any

from django.db.models import Exists, OuterRef

from flowstate.engine.audit.coherence import incoherences
from flowstate.engine.audit.facts import StepFacts
from flowstate.models import EventKind, Run, RunEvent, StepRun
from flowstate.models.invariant import Broken
from flowstate.models.invariants import INVARIANTS
from flowstate.workflows.steps import Kind

PAGE = 500
"""Runs whose steps are in memory at the same time."""

SKEW = timedelta(seconds=5)
"""How far the clocks of the hosts may be apart whose times are compared."""

_COLUMNS = [item.name for item in fields(StepFacts) if item.name != "taken"]


def find_broken(*, using: str, limit: int = 100, skew: timedelta = SKEW) -> Iterator[Broken]:
    """Yield the rows that break an invariant, at most `limit` for each condition.

    First what a condition in SQL can find, then how the steps of each run fit each other, page by page.
    """
    for invariant in INVARIANTS:
        yield from invariant.found(using, limit)
    yield from islice(_incoherent(using, skew), limit)


def _incoherent(using: str, skew: timedelta) -> Iterator[Broken]:
    for steps in _runs(using):
        for number, step, words, remedy in incoherences(steps, skew):
            yield Broken(
                invariant=number,
                table=StepRun._meta.db_table,
                key=str(step.pk),
                run=str(step.run_id),
                step=step.name,
                words=words,
                remedy=remedy,
            )


def _runs(using: str) -> Iterator[list[StepFacts]]:
    """Yield the steps of each run. One statement reads a page, so that it sees no half of a commit."""
    by_a_person = (EventKind.RETRY_REQUESTED, EventKind.UNDO_FORCED)
    reopened = Exists(RunEvent.objects.filter(run=OuterRef("run"), kind__in=by_a_person))
    rows = StepRun.objects.using(using).annotate(reopened=reopened).order_by("run_id", "seq")
    for first, last in _pages(using):
        page = list(rows.filter(run_id__gte=first, run_id__lte=last).values(*_COLUMNS))
        # After the page: what a choice took does not change any more, and other results may be large.
        choices = StepRun.objects.using(using).filter(
            run_id__gte=first, run_id__lte=last, kind__in=(Kind.CHOICE, Kind.FIRST)
        )
        taken = dict(choices.values_list("pk", "result_json"))
        facts = (StepFacts(**row, taken=taken.get(row["pk"])) for row in page)
        for _run, steps in groupby(facts, key=lambda step: step.run_id):
            yield list(steps)


def _pages(using: str) -> Iterator[tuple[Any, Any]]:
    """Yield the first and the last key of each page of runs."""
    runs = Run.objects.using(using).order_by("pk").values_list("pk", flat=True)
    page = list(runs[:PAGE])
    while page:
        yield page[0], page[-1]
        page = list(runs.filter(pk__gt=page[-1])[:PAGE])
