"""What must hold of every row of the journal, as conditions that find the rows of which it does not.

The numbers are those of the design's invariants. Each condition is one statement, so that it may be asked
beside workers: a statement sees no half of a commit.
"""

from __future__ import annotations

from datetime import timedelta
from functools import reduce
from operator import or_

from django.db.models import DateTimeField, Exists, ExpressionWrapper, F, OuterRef, Q

from flowstate.models.approval_invariants import APPROVALS
from flowstate.models.child_invariants import BELOW, CHILDREN
from flowstate.models.clock import DbNow
from flowstate.models.invariant import (
    BY_HAND,
    LATE,
    SWEEP,
    having,
    of_run,
    of_step,
)
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


_RUNS = (
    of_run("I8", "has ended but does not say when", Q(status__in=ENDED, ended_at=None)),
    of_run("I8", "says when it ended but is live", Q(status__in=LIVE, ended_at__isnull=False)),
    of_run("I9", "has ended but still has a wake-up", Q(status__in=ENDED, wake_at__isnull=False)),
    of_run(
        "I10",
        "has the idempotency key of another run",
        Q(
            Exists(
                Run.objects.filter(idempotency_key=OuterRef("idempotency_key")).exclude(pk=OuterRef("pk"))
            ),
            idempotency_key__isnull=False,
        ),
    ),
    of_run(
        "I11",
        "has the exclusive key of another run",
        Q(
            Exists(Run.objects.filter(exclusive_key=OuterRef("exclusive_key")).exclude(pk=OuterRef("pk"))),
            exclusive_key__isnull=False,
        ),
    ),
    of_run(
        "I11", "has ended but still holds its exclusive key", Q(status__in=ENDED, exclusive_key__isnull=False)
    ),
    of_run(
        "I12", "is live, but nobody will ever look at it: no wake-up", Q(status__in=LIVE, wake_at=None), SWEEP
    ),
    of_run("I12", "has no steps, so nobody can work on it", Q(~having())),
    of_run(
        "I12",
        "goes on, but none of its steps can: none is ready, claimed or waiting",
        Q(
            ~having(status__in=(StepStatus.READY, StepStatus.RUNNING, StepStatus.WAITING)),
            status=RunStatus.RUNNING,
        ),
        SWEEP,
    ),
    of_run(
        "I12",
        "is being undone, but nothing is left to undo and nothing in flight",
        Q(~having(_IN_FLIGHT | BELOW), ~having(_TO_UNDO), status=RunStatus.COMPENSATING),
        SWEEP,
    ),
    of_run(
        "I12",
        "is looked at long after a claim on one of its steps is over",
        Q(having(lease_until__lt=_LEASE_LONG_OVER), status__in=_AT_WORK),
        SWEEP,
    ),
    of_run(
        "I12",
        "has a step that is due, but is looked at long after",
        Q(
            ~having(lease_until__isnull=False),
            having(status=StepStatus.READY, wake_at__lte=DbNow()),
            status=RunStatus.RUNNING,
            wake_at__gt=DbNow(LATE),
        ),
        SWEEP,
    ),
    of_run(
        "I12",
        "has a step whose wait is over, but is looked at long after",
        Q(
            ~having(lease_until__isnull=False),
            having(status=StepStatus.WAITING, wake_at__lte=DbNow()),
            status=RunStatus.RUNNING,
            wake_at__gt=DbNow(LATE),
        ),
        SWEEP,
    ),
    of_run(
        "I12",
        "has a step whose undoing is due, but is looked at long after",
        Q(
            ~having(lease_until__isnull=False),
            ~having(_TO_UNDO, wake_at__gt=DbNow()),
            ~having(BELOW),
            status=RunStatus.COMPENSATING,
            wake_at__gt=DbNow(LATE),
        ),
        SWEEP,
    ),
    of_run(
        "I15",
        "ended as undone, but none of its steps was",
        Q(~having(_UNDONE), status=RunStatus.COMPENSATED),
    ),
    of_run("I15", "ended as not undone, but steps were", Q(having(_UNDONE), status=RunStatus.FAILED)),
    of_run(
        "I15",
        "needs attention, but none of its compensations failed",
        Q(~having(compensation=Compensation.FAILED), status=RunStatus.ATTENTION),
    ),
    of_run(
        "I15",
        "has ended, but one of its compensations failed and nobody waived it",
        Q(having(compensation=Compensation.FAILED), status__in=ENDED),
        BY_HAND,
    ),
    of_run(
        "I24",
        "was cancelled, but ended otherwise",
        Q(cancelled_at__isnull=False, status__in=(RunStatus.SUCCEEDED, *_BADLY)),
    ),
    of_run(
        "I27",
        "ended as cancelled, but nobody cancelled it",
        Q(cancelled_at=None, status=RunStatus.CANCELLED),
    ),
    of_run("I27", "failed, but does not say of what", Q(error__isnull=True, status__in=_BADLY)),
    of_run(
        "I27",
        "is being undone, but neither failed nor was cancelled",
        Q(error__isnull=True, cancelled_at=None, status=RunStatus.COMPENSATING),
    ),
    of_run(
        "I27",
        "names a failed step that it does not have, or that did not fail",
        Q(
            ~having(name=OuterRef("failed_step"), status__in=(StepStatus.FAILED, StepStatus.UNKNOWN)),
        )
        & ~Q(failed_step=""),
    ),
    of_run(
        "I27",
        "retries a run that goes on or ended well",
        Q(retry_of__isnull=False, retry_of__status__in=(*LIVE, RunStatus.SUCCEEDED)),
    ),
)

_STEPS = (
    of_step(
        "I1",
        "writes rows in its own transaction, so its outcome cannot be in doubt, but is",
        Q(kind__in=_ROW_KINDS) & (Q(status=StepStatus.UNKNOWN) | Q(uncertain=True)),
    ),
    of_step(
        "I3",
        "was worked on, but never claimed: its token is 0",
        Q(status__in=(StepStatus.RUNNING, StepStatus.WAITING, StepStatus.DONE), attempt=0),
    ),
    of_step("I4", "has a lease, but nobody holds it", Q(lease_until__isnull=False) & ~_IN_FLIGHT),
    of_step("I5", "has no idempotency key", Q(key="")),
    of_step(
        "I9", "holds a lease, but its run has ended", Q(lease_until__isnull=False, run__status__in=ENDED)
    ),
    of_step(
        "I9",
        "is not settled, but its run has ended",
        Q(status__in=(*UNSTARTED, StepStatus.RUNNING), run__status__in=ENDED),
    ),
    of_step(
        "I9", "still has a wake-up, but its run has ended", Q(wake_at__isnull=False, run__status__in=ENDED)
    ),
    of_step(
        "I9", "is in flight, but its run waits for a person", _IN_FLIGHT & Q(run__status=RunStatus.ATTENTION)
    ),
    of_step(
        "I12",
        "is claimed without a lease, so nobody takes it over",
        _IN_FLIGHT & Q(lease_until=None) & ~BELOW,
    ),
    of_step(
        "I12",
        "waits for a time, but for none that will come",
        Q(kind="delay", status=StepStatus.WAITING, wake_at=None),
    ),
    of_step(
        "I12",
        "waits for an event that nothing can bring: its wait is gone",
        Q(kind="event", status=StepStatus.WAITING, event_wait=None),
    ),
    of_step(
        "I9",
        "waits for nothing any more, but would still be given an event",
        Q(event_wait__isnull=False) & ~Q(status=StepStatus.WAITING),
    ),
    of_step("I12", "is ready from no time on, so nobody claims it", Q(status=StepStatus.READY, wake_at=None)),
    of_step(
        "I15",
        "is being undone while it is being done",
        Q(status=StepStatus.RUNNING, compensation=Compensation.RUNNING),
    ),
    of_step("I15", "was undone, but never done", _TRIED & ~_HAPPENED),
    of_step("I15", "was waived, but never done", Q(compensation=Compensation.WAIVED) & ~_HAPPENED),
    of_step(
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
    of_step(
        "I15",
        "may have had its effect, but is not called unknown, so that it is never undone",
        Q(uncertain=True, status__in=(StepStatus.FAILED, StepStatus.CANCELLED, StepStatus.SKIPPED)),
        BY_HAND,
    ),
    of_step(
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
    of_step(
        "I24",
        "may still start, but its run is being undone",
        Q(status__in=UNSTARTED, run__status__in=(RunStatus.COMPENSATING, RunStatus.ATTENTION)) & ~BELOW,
    ),
    of_step(
        "I25",
        "counts more failures and lost leases than it was claimed",
        Q(run__atomic=False)
        & (
            Q(attempt__lt=F("failures") + F("lost"))
            | Q(compensation_attempt__lt=F("compensation_failures") + F("compensation_lost"))
        ),
    ),
    of_step("I27", "is of a run that is not there", ~Q(Exists(Run.objects.filter(pk=OuterRef("run_id"))))),
    of_step(
        "I27",
        "was skipped, but says neither by which condition nor for which branch",
        Q(status=StepStatus.SKIPPED) & ~_SAYS_WHY,
    ),
    of_step(
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
    of_step(
        "I27",
        "has settled, but does not say when",
        Q(status__in=(StepStatus.DONE, StepStatus.FAILED, StepStatus.UNKNOWN), ended_at=None),
    ),
)

INVARIANTS = (*_RUNS, *CHILDREN, *_STEPS, *APPROVALS)
"""All that a condition on one row, and on the rows of its run, can find."""
