"""Carries what is due in the test's own process, in place of workers."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Exists, OuterRef, Q

from flowstate.conf import settings
from flowstate.engine.carry.messages import carry_run
from flowstate.models import Compensation, Run, RunStatus, StepRun, StepStatus
from flowstate.models.clock import DbNow

_ROUNDS = 100


def carry_due() -> int:
    """Work on every run that is due, whatever its queue, until none is; return how often one was taken up.

    Raises RuntimeError when runs are still due after 100 rounds: a step that is ready again and again.
    """
    taken = 0
    for _round in range(_ROUNDS):
        due = _due()
        worked = [pk for pk in due for queue in _queues(pk) if carry_run(str(pk), queue=queue)]
        if not worked:
            return taken
        taken += len(worked)
    message = f"Runs are still due after {_ROUNDS} rounds: {due}."
    raise RuntimeError(message)


def _due() -> list[UUID]:
    # Also what was published in a transaction that never commits: nobody has taken the message.
    ready = StepRun.objects.due().values("run")
    due = Q(wake_at__lte=DbNow()) | Q(pk__in=ready) | _to_undo()
    return list(Run.objects.filter(due).values_list("pk", flat=True))


def _to_undo() -> Q:
    """Return that a run is being undone, and that nobody is at it: a decision has turned it round, say."""
    steps = StepRun.objects.filter(run=OuterRef("pk"))
    held = Q(status=StepStatus.RUNNING) | Q(compensation=Compensation.RUNNING) | Q(wake_at__gt=DbNow())
    left = Q(compensation=Compensation.PENDING, status__in=(StepStatus.DONE, StepStatus.UNKNOWN))
    return Q(Exists(steps.filter(left)), ~Exists(steps.filter(held)), status=RunStatus.COMPENSATING)


def _queues(run_id: UUID) -> list[str]:
    named = StepRun.objects.filter(run_id=run_id).exclude(queue="").values_list("queue", flat=True)
    return [settings().default_queue, *sorted(set(named))]
