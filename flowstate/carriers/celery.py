"""Celery as the carrier: two tasks, whose messages carry ids and nothing else."""

from __future__ import annotations

from typing import Any

from celery import Task, shared_task

from flowstate.conf import settings
from flowstate.engine.carry import carry_run, carry_step

MAX_COUNTDOWN = 60.0
"""Seconds. A message that waits longer is redelivered by some brokers and lost by others; the row waits."""


@shared_task(name="flowstate.run", bind=True, ignore_result=True)
def run(task: Task[Any, Any], run_id: str) -> str:
    """Work on a run, if it is due."""
    return carry_run(run_id, queue=_queue_of(task))


@shared_task(name="flowstate.step", bind=True, ignore_result=False)
def step(task: Task[Any, Any], step_run_id: int) -> str:
    """Take one step, if it is due; the stored result is linked from the step."""
    return carry_step(step_run_id, queue=_queue_of(task), celery_task_id=str(task.request.id))


class CeleryCarrier:
    """Publishes to the queue of the run or step."""

    def carry_run(self, run_id: str, *, queue: str) -> None:
        """Have a worker of the queue look at a run."""
        run.apply_async(args=(run_id,), queue=queue)

    def carry_step(self, step_run_id: int, *, queue: str, delay: float) -> None:
        """Have a worker of the queue take a step, in `delay` seconds; longer delays wait for the sweeper."""
        if delay <= MAX_COUNTDOWN:
            step.apply_async(args=(step_run_id,), queue=queue, countdown=delay)


def _queue_of(task: Task[Any, Any]) -> str:
    delivery = task.request.delivery_info or {}
    return str(delivery.get("routing_key") or settings().default_queue)
