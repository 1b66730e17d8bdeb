"""What must hold of every row of the journal, as conditions that find the rows of which it does not.

The numbers are those of the design's invariants. Each condition is one statement, so that it may be asked
beside workers: a statement sees no half of a commit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import reduce
from operator import or_
from typing import Any

from django.db import models
from django.db.models import DateTimeField, Exists, ExpressionWrapper, F, OuterRef, Q

from flowstate.models.clock import DbNow
from flowstate.models.run import Run
from flowstate.models.run_event import EventKind, RunEvent
from flowstate.models.statuses import (
    BRANCH,
    CONDITIONS,
    ENDED,
    LIVE,
    UNSTARTED,
    Compensation,
    RunStatus,
    StepStatus,
)
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

    def rows(self, using: str) -> models.QuerySet[Any]:
        """Return the rows that break the invariant, in the order of their keys."""
        return self.model._base_manager.using(using).filter(self.broken).order_by("pk")

    def found(self, using: str, limit: int) -> Iterator[Broken]:
        """Yield what is said of the first `limit` rows that break it. One statement."""
        of_step = self.model is StepRun
        names = ("pk", "run_id", "name") if of_step else ("pk", "pk", "failed_step")
        for key, run, step in self.rows(using).values_list(*names)[:limit]:
            yield Broken(
                invariant=self.number,
                table=self.model._meta.db_table,
                key=str(key),
                run=str(run),
                step=step if of_step else "",
                words=self.words,
                remedy=self.remedy,
            )


def _having(*conditions: Q | Exists, **columns: Any) -> Exists:
    return Exists(StepRun.objects.filter(*conditions, run=OuterRef("pk"), **columns))


_IN_FLIGHT = Q(status=StepStatus.RUNNING) | Q(compensation=Compensation.RUNNING)
_HAPPENED = Q(status__in=(StepStatus.DONE, StepStatus.UNKNOWN))
_TO_UNDO = _HAPPENED & Q(compensation=Compensation.PENDING)
_UNDONE = Q(compensation__in=(Compensation.DONE, Compensation.WAIVED))
_TRIED = Q(compensation__in=(Compensation.RUNNING, Compensation.DONE, Compensation.FAILED))
_STOPPED = Q(run__error__isnull=False) | Q(run__cancelled_at__isnull=False)
_AT_WORK = (RunStatus.RUNNING, RunStatus.COMPENSATING)
_BADLY = (RunStatus.FAILED, RunStatus.COMPENSATED)
_ROW_KINDS = ("create", "update", "delete", "transactional", "choice", "first")
_SAYS_WHY = reduce(or_, (Q(reason__startswith=words) for words in (*CONDITIONS, BRANCH)))
_LEASE_LONG_OVER = ExpressionWrapper(
    OuterRef("wake_at") - timedelta(seconds=LATE), output_field=DateTimeField()
)


def _of_run(number: str, words: str, broken: Q, remedy: str = REPORT) -> Invariant:
    return Invariant(number=number, words=words, remedy=remedy, model=Run, broken=broken)


def _of_step(number: str, words: str, broken: Q, remedy: str = REPORT) -> Invariant:
    return Invariant(number=number, words=words, remedy=remedy, model=StepRun, broken=broken)


_RUNS = (
    _of_run("I8", "has ended but does not say when", Q(status__in=ENDED, ended_at=None)),
    _of_run("I8", "says when it ended but is live", Q(status__in=LIVE, ended_at__isnull=False)),
    _of_run("I9", "has ended but still has a wake-up", Q(status__in=ENDED, wake_at__isnull=False)),
    _of_run(
        "I10",
        "has the idempotency key of another run",
        Q(
            Exists(
                Run.objects.filter(idempotency_key=OuterRef("idempotency_key")).exclude(pk=OuterRef("pk"))
            ),
            idempotency_key__isnull=False,
        ),
    ),
    _of_run(
        "I11",
        "has the exclusive key of another run",
        Q(
            Exists(Run.objects.filter(exclusive_key=OuterRef("exclusive_key")).exclude(pk=OuterRef("pk"))),
            exclusive_key__isnull=False,
        ),
    ),
    _of_run(
        "I11", "has ended but still holds its exclusive key", Q(status__in=ENDED, exclusive_key__isnull=False)
    ),
    _of_run(
        "I12", "is live, but nobody will ever look at it: no wake-up", Q(status__in=LIVE, wake_at=None), SWEEP
    ),
    _of_run("I12", "has no steps, so nobody can work on it", Q(~_having())),
    _of_run(
        "I12",
        "goes on, but none of its steps can: none is ready, claimed or waiting",
        Q(
            ~_having(status__in=(StepStatus.READY, StepStatus.RUNNING, StepStatus.WAITING)),
            status=RunStatus.RUNNING,
        ),
        SWEEP,
    ),
    _of_run(
        "I12",
        "is being undone, but nothing is left to undo and nothing in flight",
        Q(~_having(_IN_FLIGHT), ~_having(_TO_UNDO), status=RunStatus.COMPENSATING),
        SWEEP,
    ),
    _of_run(
        "I12",
        "is looked at long after a claim on one of its steps is over",
        Q(_having(lease_until__lt=_LEASE_LONG_OVER), status__in=_AT_WORK),
        SWEEP,
    ),
    _of_run(
        "I12",
        "has a step that is due, but is looked at long after",
        Q(
            ~_having(lease_until__isnull=False),
            _having(status=StepStatus.READY, wake_at__lte=DbNow()),
            status=RunStatus.RUNNING,
            wake_at__gt=DbNow(LATE),
        ),
        SWEEP,
    ),
    _of_run(
        "I12",
        "has a step whose wait is over, but is looked at long after",
        Q(
            ~_having(lease_until__isnull=False),
            _having(status=StepStatus.WAITING, wake_at__lte=DbNow()),
            status=RunStatus.RUNNING,
            wake_at__gt=DbNow(LATE),
        ),
        SWEEP,
    ),
    _of_run(
        "I12",
        "has a step whose undoing is due, but is looked at long after",
        Q(
            ~_having(lease_until__isnull=False),
            ~_having(_TO_UNDO, wake_at__gt=DbNow()),
            status=RunStatus.COMPENSATING,
            wake_at__gt=DbNow(LATE),
        ),
        SWEEP,
    ),
    _of_run(
        "I15",
        "ended as undone, but none of its steps was",
        Q(~_having(_UNDONE), status=RunStatus.COMPENSATED),
    ),
    _of_run("I15", "ended as not undone, but steps were", Q(_having(_UNDONE), status=RunStatus.FAILED)),
    _of_run(
        "I15",
        "needs attention, but none of its compensations failed",
        Q(~_having(compensation=Compensation.FAILED), status=RunStatus.ATTENTION),
    ),
    _of_run(
        "I15",
        "has ended, but one of its compensations failed and nobody waived it",
        Q(_having(compensation=Compensation.FAILED), status__in=ENDED),
        BY_HAND,
    ),
    _of_run(
        "I24",
        "was cancelled, but ended otherwise",
        Q(cancelled_at__isnull=False, status__in=(RunStatus.SUCCEEDED, *_BADLY)),
    ),
    _of_run(
        "I27",
        "ended as cancelled, but nobody cancelled it",
        Q(cancelled_at=None, status=RunStatus.CANCELLED),
    ),
    _of_run("I27", "failed, but does not say of what", Q(error__isnull=True, status__in=_BADLY)),
    _of_run(
        "I27",
        "is being undone, but neither failed nor was cancelled",
        Q(error__isnull=True, cancelled_at=None, status=RunStatus.COMPENSATING),
    ),
    _of_run(
        "I27",
        "names a failed step that it does not have, or that did not fail",
        Q(
            ~_having(name=OuterRef("failed_step"), status__in=(StepStatus.FAILED, StepStatus.UNKNOWN)),
        )
        & ~Q(failed_step=""),
    ),
    _of_run(
        "I27",
        "retries a run that goes on or ended well",
        Q(retry_of__isnull=False, retry_of__status__in=(*LIVE, RunStatus.SUCCEEDED)),
    ),
)

_STEPS = (
    _of_step(
        "I1",
        "writes rows in its own transaction, so its outcome cannot be in doubt, but is",
        Q(kind__in=_ROW_KINDS) & (Q(status=StepStatus.UNKNOWN) | Q(uncertain=True)),
    ),
    _of_step(
        "I3",
        "was worked on, but never claimed: its token is 0",
        Q(status__in=(StepStatus.RUNNING, StepStatus.WAITING, StepStatus.DONE), attempt=0),
    ),
    _of_step("I4", "has a lease, but nobody holds it", Q(lease_until__isnull=False) & ~_IN_FLIGHT),
    _of_step("I5", "has no idempotency key", Q(key="")),
    _of_step(
        "I9", "holds a lease, but its run has ended", Q(lease_until__isnull=False, run__status__in=ENDED)
    ),
    _of_step(
        "I9",
        "is not settled, but its run has ended",
        Q(status__in=(*UNSTARTED, StepStatus.RUNNING), run__status__in=ENDED),
    ),
    _of_step(
        "I9", "still has a wake-up, but its run has ended", Q(wake_at__isnull=False, run__status__in=ENDED)
    ),
    _of_step(
        "I9", "is in flight, but its run waits for a person", _IN_FLIGHT & Q(run__status=RunStatus.ATTENTION)
    ),
    _of_step("I12", "is claimed without a lease, so nobody takes it over", _IN_FLIGHT & Q(lease_until=None)),
    _of_step(
        "I12",
        "waits for a time, but for none that will come",
        Q(kind="delay", status=StepStatus.WAITING, wake_at=None),
    ),
    _of_step(
        "I12",
        "waits for an event that nothing can bring: its wait is gone",
        Q(kind="event", status=StepStatus.WAITING, event_wait=None),
    ),
    _of_step(
        "I9",
        "waits for nothing any more, but would still be given an event",
        Q(event_wait__isnull=False) & ~Q(status=StepStatus.WAITING),
    ),
    _of_step(
        "I12", "is ready from no time on, so nobody claims it", Q(status=StepStatus.READY, wake_at=None)
    ),
    _of_step(
        "I15",
        "is being undone while it is being done",
        Q(status=StepStatus.RUNNING, compensation=Compensation.RUNNING),
    ),
    _of_step("I15", "was undone, but never done", _TRIED & ~_HAPPENED),
    _of_step("I15", "was waived, but never done", Q(compensation=Compensation.WAIVED) & ~_HAPPENED),
    _of_step(
        "I15",
        "was done and not undone, but its run is through with undoing",
        _TO_UNDO
        & (
            Q(run__status=RunStatus.COMPENSATED)
            # In attention without either, it was only a step that lost a race which could not be undone.
            | (Q(run__status=RunStatus.ATTENTION) & _STOPPED)
            | Q(
                Exists(StepRun.objects.filter(_TRIED | _UNDONE, run=OuterRef("run"))),
                run__status__in=(RunStatus.FAILED, RunStatus.CANCELLED),
            )
        ),
        BY_HAND,
    ),
    _of_step(
        "I15",
        "may have had its effect, but is not called unknown, so that it is never undone",
        Q(uncertain=True, status__in=(StepStatus.FAILED, StepStatus.CANCELLED, StepStatus.SKIPPED)),
        BY_HAND,
    ),
    _of_step(
        "I17",
        "was taken over from the run that its own retries, but both may undo it",
        Q(
            Exists(
                StepRun.objects.filter(
                    run__retried_by=OuterRef("run"),
                    name=OuterRef("name"),
                    key=OuterRef("key"),
                ).exclude(compensation__in=(Compensation.NONE, Compensation.WAIVED))
            ),
            run__retry_of__isnull=False,
        ),
        BY_HAND,
    ),
    _of_step(
        "I24",
        "may still start, but its run is being undone",
        Q(status__in=UNSTARTED, run__status__in=(RunStatus.COMPENSATING, RunStatus.ATTENTION)),
    ),
    _of_step(
        "I25",
        "counts more failures and lost leases than it was claimed",
        Q(run__atomic=False)
        & (
            Q(attempt__lt=F("failures") + F("lost"))
            | Q(compensation_attempt__lt=F("compensation_failures") + F("compensation_lost"))
        ),
    ),
    _of_step("I27", "is of a run that is not there", ~Q(Exists(Run.objects.filter(pk=OuterRef("run_id"))))),
    _of_step(
        "I27",
        "was skipped, but says neither by which condition nor for which branch",
        Q(status=StepStatus.SKIPPED) & ~_SAYS_WHY,
    ),
    _of_step(
        "I27",
        "was waived, but the history does not say by whom and why",
        Q(
            ~Exists(
                RunEvent.objects.filter(
                    run=OuterRef("run"), step=OuterRef("name"), kind=EventKind.UNDO_WAIVED
                )
            ),
            compensation=Compensation.WAIVED,
            run__retry_of=None,
        ),
    ),
    _of_step(
        "I27",
        "has settled, but does not say when",
        Q(status__in=(StepStatus.DONE, StepStatus.FAILED, StepStatus.UNKNOWN), ended_at=None),
    ),
)

INVARIANTS = (*_RUNS, *_STEPS)
"""All that a condition on one row, and on the rows of its run, can find."""
