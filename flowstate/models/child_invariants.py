"""What must hold between runs and the runs that work for them."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, Q

from flowstate.models.invariant import Invariant, of_run, of_step
from flowstate.models.run import Run
from flowstate.models.statuses import LIVE, Compensation, StepStatus
from flowstate.models.step_run import StepRun

BELOW = Q(kind="workflow") & (Q(status=StepStatus.WAITING) | Q(compensation=Compensation.RUNNING))
"""A run of its own is at work for the step, and will settle it."""

CHILDREN: tuple[Invariant, ...] = (
    of_run(
        "I11",
        "works for another run, but holds an exclusive key, which only the root may",
        Q(parent__isnull=False, exclusive_key__isnull=False),
    ),
    of_run(
        "I24",
        "works for a step that does not wait for it",
        ~Q(
            Exists(
                StepRun.objects.filter(BELOW, run=OuterRef("parent"), name=OuterRef("parent_step")).filter(
                    Q(child=OuterRef("pk")) | Q(undone_by=OuterRef("pk"))
                )
            )
        )
        & Q(parent__isnull=False, status__in=LIVE),
    ),
    of_step(
        "I12",
        "waits for a child run that has ended or is gone",
        Q(kind="workflow", status=StepStatus.WAITING)
        & ~Q(Exists(Run.objects.filter(pk=OuterRef("child"), status__in=LIVE))),
    ),
    of_step(
        "I12",
        "is being undone by a run that has ended or is gone",
        Q(kind="workflow", compensation=Compensation.RUNNING, lease_until=None)
        & ~Q(Exists(Run.objects.filter(pk=OuterRef("undone_by"), status__in=LIVE))),
    ),
)
