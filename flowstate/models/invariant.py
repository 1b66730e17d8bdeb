"""One condition that no row of the journal may meet, and what is said of the rows that do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import models
from django.db.models import Exists, OuterRef, Q

from flowstate.models.run import Run
from flowstate.models.step_run import StepRun

LATE = 300.0
"""Seconds by which a wake-up may come after its moment: workers and sweepers move it on while they look."""

SWEEP = "Run manage.py flowstate_sweep, then check again. If it stays, look at the run's history."
REPORT = "Keep the rows as they are and report a defect with the run's history: no verb leads here."
BY_HAND = "Find out outside whether the effect still stands and undo it by hand; then report a defect."


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """One row that breaks an invariant."""

    invariant: str
    table: str
    key: str
    run: str
    step: str
    """The step's name; empty where the row is the run's."""
    words: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Invariant:
    """One condition that no row of a table may meet."""

    number: str
    words: str
    """What is wrong with a row that meets it, said of the row."""

    remedy: str
    model: type[models.Model]
    broken: Q
    step: str = "name"
    """The column that names the step; in rows of runs, the one that failed."""

    def rows(self, using: str) -> models.QuerySet[Any]:
        """Return the rows that break the invariant, in the order of their keys."""
        return self.model._base_manager.using(using).filter(self.broken).order_by("pk")

    def found(self, using: str, limit: int) -> Iterator[Broken]:
        """Yield what is said of the first `limit` rows that break it. One statement."""
        of_run = self.model is Run
        names = ("pk", "pk", "failed_step") if of_run else ("pk", "run_id", self.step)
        for key, run, step in self.rows(using).values_list(*names)[:limit]:
            yield Broken(
                invariant=self.number,
                table=self.model._meta.db_table,
                key=str(key),
                run=str(run),
                step="" if of_run else step,
                words=self.words,
                remedy=self.remedy,
            )


def having(*conditions: Q | Exists, **columns: Any) -> Exists:
    """Return whether the run has such a step."""
    return Exists(StepRun.objects.filter(*conditions, run=OuterRef("pk"), **columns))


def of_run(number: str, words: str, broken: Q, remedy: str = REPORT) -> Invariant:
    """Return a condition on runs."""
    return Invariant(number=number, words=words, remedy=remedy, model=Run, broken=broken)


def of_step(number: str, words: str, broken: Q, remedy: str = REPORT) -> Invariant:
    """Return a condition on steps."""
    return Invariant(number=number, words=words, remedy=remedy, model=StepRun, broken=broken)
