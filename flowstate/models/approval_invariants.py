"""What must hold of approvals, their votes and the inbox."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import (
    Count,
    DateTimeField,
    Exists,
    ExpressionWrapper,
    F,
    IntegerField,
    OuterRef,
    Q,
    Subquery,
)

from flowstate.models.approval import Approval
from flowstate.models.approval_inbox import InboxEntry
from flowstate.models.clock import DbNow
from flowstate.models.invariant import LATE, REPORT, SWEEP, Invariant, of_step
from flowstate.models.statuses import ApprovalStatus, Ballot, RunStatus, StepStatus
from flowstate.models.step_run import StepRun
from flowstate.models.vote import Vote


def _of_approval(number: str, words: str, broken: Q, remedy: str = REPORT) -> Invariant:
    return Invariant(number=number, words=words, remedy=remedy, model=Approval, broken=broken, step="step")


_PENDING = Q(status=ApprovalStatus.PENDING)
_COUNTING = Vote.objects.filter(approval=OuterRef("pk"), round=OuterRef("round"))
_IN_FAVOUR = (
    _COUNTING.filter(ballot=Ballot.APPROVE)
    .order_by()
    .values("approval")
    .annotate(votes=Count("pk"))
    .values("votes")
)
_WAITED_FOR = Exists(
    StepRun.objects.filter(pk=OuterRef("step_run"), attempt=OuterRef("attempt"), status=StepStatus.WAITING)
)
_ENTERED = Exists(InboxEntry.objects.filter(approval=OuterRef("pk")))

APPROVALS: tuple[Invariant, ...] = (
    _of_approval(
        "I9", "is pending, but its run does not go on", _PENDING & ~Q(run__status=RunStatus.RUNNING)
    ),
    _of_approval("I9", "is pending, but its step does not wait for it", _PENDING & ~Q(_WAITED_FOR)),
    _of_approval("I9", "is over, but still in somebody's inbox", ~_PENDING & Q(_ENTERED)),
    _of_approval(
        "I21",
        "was approved by fewer than it needs",
        Q(status=ApprovalStatus.APPROVED)
        & (
            ~Q(Exists(_COUNTING.filter(ballot=Ballot.APPROVE)))
            | Q(quorum__gt=Subquery(_IN_FAVOUR, output_field=IntegerField()))
        ),
    ),
    _of_approval(
        "I21",
        "was rejected by nobody",
        Q(status=ApprovalStatus.REJECTED) & ~Q(Exists(_COUNTING.filter(ballot=Ballot.REJECT))),
    ),
    _of_approval(
        "I21",
        "was decided, but is still pending",
        _PENDING
        & (
            Q(Exists(_COUNTING.filter(ballot=Ballot.REJECT)))
            | Q(quorum__lte=Subquery(_IN_FAVOUR, output_field=IntegerField()))
        ),
    ),
    _of_approval(
        "I22",
        "was decided after it had expired",
        Q(
            status__in=(ApprovalStatus.APPROVED, ApprovalStatus.REJECTED),
            expires_at__lt=ExpressionWrapper(
                F("decided_at") - timedelta(seconds=LATE), output_field=DateTimeField()
            ),
        ),
    ),
    _of_approval(
        "I12",
        "has expired long ago, and nobody has noticed",
        _PENDING & Q(expires_at__lt=DbNow(-LATE)),
        SWEEP,
    ),
    of_step(
        "I12",
        "waits for people, but asks them nothing",
        Q(kind="approval", status=StepStatus.WAITING)
        & ~Q(
            Exists(
                Approval.objects.filter(
                    step_run=OuterRef("pk"), attempt=OuterRef("attempt"), status=ApprovalStatus.PENDING
                )
            )
        ),
    ),
    of_step(
        "I21",
        "is done, but what it asked people is still pending",
        Q(
            Exists(Approval.objects.filter(step_run=OuterRef("pk"), status=ApprovalStatus.PENDING)),
            kind="approval",
        )
        & ~Q(status=StepStatus.WAITING),
    ),
)
