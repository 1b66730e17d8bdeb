"""Hands work over to the carrier: on commit only, ids only, and without depending on it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol, cast
from uuid import UUID

from django.db import connections, transaction
from django.utils.module_loading import import_string

from flowstate.conf import settings

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    from flowstate.engine.execution import Execution
    from flowstate.models import StepRun

logger = logging.getLogger("flowstate.carrier")


class Carrier(Protocol):
    """What brings runs and steps to a process that works on them. A message is a hint, the row decides."""

    def wake(self, *, queue: str) -> None:
        """Have somebody who serves the queue look for work."""

    def carry_run(self, run_id: str, *, queue: str, delay: float) -> None:
        """Have somebody who serves the queue look at a run, in `delay` seconds."""

    def carry_step(self, step_run_id: int, *, queue: str, delay: float) -> None:
        """Have somebody who serves the queue take a step, in `delay` seconds."""


@dataclass(frozen=True, slots=True)
class _WakeUp:
    """Equal to any other wake-up of the queue, so that a transaction sends one however many runs it starts."""

    queue: str

    def __call__(self) -> None:
        wake_now(self.queue)


def wake(execution: Execution, queue: str = "") -> None:
    """Have a queue looked through when the open transaction commits: for new runs, however many."""
    wake_up = _WakeUp(queue or settings().default_queue)
    if not _will_be_called(connections[execution.using], wake_up):
        transaction.on_commit(wake_up, using=execution.using, robust=True)


def _will_be_called(connection: BaseDatabaseWrapper, call: Callable[[], None]) -> bool:
    """Return whether the open transaction calls it on commit anyway.

    A savepoint that takes the earlier call back is still open, so it would take a later one back as well.
    """
    if any(getattr(block, "_from_testcase", False) for block in connection.atomic_blocks):
        return False  # it never commits: Django's test tools call what a block has registered anew
    return any(hook[1] == call for hook in reversed(connection.run_on_commit))


def publish_run(execution: Execution, queue: str = "", *, delay: float = 0.0) -> None:
    """Publish a run when the open transaction commits: for one that was looked after already."""
    send = partial(_carry_run, str(execution.run.pk), queue or settings().default_queue, delay)
    # Not before commit: a fast worker would find no row.
    transaction.on_commit(send, using=execution.using, robust=True)


def publish_run_of(run_id: UUID, using: str, queue: str = "") -> None:
    """Publish another run than the one that is worked on, when the open transaction commits."""
    send = partial(_carry_run, str(run_id), queue or settings().default_queue, 0.0)
    transaction.on_commit(send, using=using, robust=True)


def publish_step(execution: Execution, row: StepRun, *, delay: float = 0.0) -> None:
    """Publish a step when the open transaction commits, to be taken in `delay` seconds."""
    send = partial(_carry_step, row.pk, row.queue or settings().default_queue, delay)
    transaction.on_commit(send, using=execution.using, robust=True)


def _carrier() -> Carrier:
    return cast("Carrier", import_string(settings().carrier)())


def wake_now(queue: str) -> None:
    """Have a queue looked through; no error leaves it."""
    try:
        _carrier().wake(queue=queue)
    except Exception:
        logger.exception("Could not wake queue=%s; what is due starts with the next sweep.", queue)


def _carry_run(run_id: str, queue: str, delay: float) -> None:
    try:
        _carrier().carry_run(run_id, queue=queue, delay=delay)
    except Exception:
        # The run is committed and its wake-up stored: whoever sweeps next starts it.
        logger.exception("Could not publish run=%s queue=%s; it starts with the next sweep.", run_id, queue)


def _carry_step(step_run_id: int, queue: str, delay: float) -> None:
    try:
        _carrier().carry_step(step_run_id, queue=queue, delay=delay)
    except Exception:
        logger.exception(
            "Could not publish step_run=%s queue=%s; it starts with the next sweep.", step_run_id, queue
        )
