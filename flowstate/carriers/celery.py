"""Celery as the carrier: three tasks, whose messages carry ids and nothing else.

Each begins as a request of Django's does, without connections that are broken or too old: Celery, told by
CELERY_DB_REUSE_MAX to keep connections, does not ask whether they still work.
"""

from __future__ import annotations

from typing import Any

from celery import Task, shared_task
from celery.worker import state

from django.db import close_old_connections

from flowstate.carriers.wakeups import wakeups
from flowstate.conf import settings
from flowstate.engine.carry import messages

MAX_COUNTDOWN = 60.0
"""Seconds. A message that waits longer is redelivered by some brokers and lost by others; the row waits."""


@shared_task(name="flowstate.drain", bind=True, ignore_result=True)
def drain(task: Task[Any, Any], queue: str) -> int:
    """Work on what is due for a queue."""
    close_old_connections()
    wakeups().clear(queue)
    return messages.drain(queue, wake_next=lambda: CeleryCarrier().wake(queue=queue), stopping=_stopping)


@shared_task(name="flowstate.run", bind=True, ignore_result=True)
def run(task: Task[Any, Any], run_id: str) -> str:
    """Work on a run, if there is something to do."""
    close_old_connections()
    return messages.carry_run(run_id, queue=_queue_of(task))


@shared_task(name="flowstate.step", bind=True, ignore_result=False)
def step(task: Task[Any, Any], step_run_id: int) -> str:
    """Take one step, if it is due; the stored result is linked from the step."""
    close_old_connections()
    return messages.carry_step(step_run_id, queue=_queue_of(task), celery_task_id=str(task.request.id))


class CeleryCarrier:
    """Publishes to the queue of the run or step, once.

    A broker that is down must not hold a request up: the row is there, and the next sweep publishes it.
    """

    def wake(self, *, queue: str) -> None:
        """Have a worker of the queue look for work, unless one has been told to already."""
        wakeups().send(queue, lambda: drain.apply_async(args=(queue,), queue=queue, retry=False))

    def carry_run(self, run_id: str, *, queue: str, delay: float) -> None:
        """Have a worker of the queue look at a run, in `delay` seconds; longer delays wait for the sweeper."""
        if delay <= MAX_COUNTDOWN:
            run.apply_async(args=(run_id,), queue=queue, countdown=delay, retry=False)

    def carry_step(self, step_run_id: int, *, queue: str, delay: float) -> None:
        """Have a worker of the queue take a step, in `delay` seconds; longer delays wait for the sweeper."""
        if delay <= MAX_COUNTDOWN:
            step.apply_async(args=(step_run_id,), queue=queue, countdown=delay, retry=False)


def _queue_of(task: Task[Any, Any]) -> str:
    delivery = task.request.delivery_info or {}
    return str(delivery.get("routing_key") or settings().default_queue)


def _stopping() -> bool:
    # celery-types knows these as bool; they are None until somebody asks the worker to stop.
    return any(wish is not None for wish in (state.should_stop, state.should_terminate))
