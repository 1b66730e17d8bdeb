"""Carries what is due in the test's own process, in place of workers."""

from __future__ import annotations

from uuid import UUID

from flowstate.conf import settings
from flowstate.engine.carry import carry_run
from flowstate.models import Run, StepRun

_ROUNDS = 100


def carry_due() -> int:
    """Work on every run that is due, whatever its queue, until none is; return how often one was taken up.

    Raises RuntimeError when runs are still due after 100 rounds: a step that is ready again and again.
    """
    taken = 0
    for _round in range(_ROUNDS):
        due = list(Run.objects.due().values_list("pk", flat=True))
        worked = [pk for pk in due for queue in _queues(pk) if carry_run(str(pk), queue=queue)]
        if not worked:
            return taken
        taken += len(worked)
    message = f"Runs are still due after {_ROUNDS} rounds: {due}."
    raise RuntimeError(message)


def _queues(run_id: UUID) -> list[str]:
    named = StepRun.objects.filter(run_id=run_id).exclude(queue="").values_list("queue", flat=True)
    return [settings().default_queue, *sorted(set(named))]
