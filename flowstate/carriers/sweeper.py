"""The sweeper inside every Celery worker: a thread of its own, started and stopped with the worker."""

from __future__ import annotations

import logging
import random
import threading
from typing import Any

from celery import bootsteps
from celery.signals import celeryd_init

from django.db import connections, router

from flowstate.conf import settings
from flowstate.engine.carry.recover import end_leases_of_the_gone
from flowstate.engine.carry.sweep import Patience, sweep
from flowstate.engine.events import sweep_inbox
from flowstate.models import Run

logger = logging.getLogger("flowstate.sweep")

INBOX_TURN = 12
"""Every so many turns the inbox of events is looked through, where something is found only after an accident."""


class Sweeper(bootsteps.StartStopStep):
    """Sweeps every FLOWSTATE["SWEEP_INTERVAL"] seconds, give or take a fifth.

    At the start, and when a child of the worker's pool has disappeared, it also ends the leases of processes
    that no longer exist on this machine.
    """

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._children: set[int] = set()
        self._patience = Patience()
        self._turns = 0

    def start(self, parent: Any) -> None:
        """Begin to sweep."""
        self._thread = threading.Thread(
            target=self._sweep, args=(parent,), name="flowstate-sweeper", daemon=True
        )
        self._thread.start()

    def stop(self, parent: Any) -> None:
        """Stop after the sweep that is going on."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _sweep(self, parent: Any) -> None:
        somebody_died = True  # before this worker began, for all it knows
        while not self._stopping.is_set():
            try:
                self.turn(somebody_died=somebody_died)
            except Exception:
                logger.exception("A sweep failed; the next one comes.")
            finally:
                connections.close_all()  # a child forked meanwhile must not inherit an open connection
            jitter = random.uniform(0.8, 1.2)  # noqa: S311 - spreads workers, no secret
            somebody_died = self._wait(parent, settings().sweep_interval * jitter)

    def turn(self, *, somebody_died: bool) -> None:
        """Sweep the runs, or in its turn the inbox instead: where nothing is due, that is one statement."""
        self._turns += 1
        if somebody_died:
            end_leases_of_the_gone(router.db_for_write(Run))
        elif self._turns % INBOX_TURN == 0:
            # Whoever delivers an event hands it out; only one whose process died in between is left for this.
            sweep_inbox()
            return
        sweep(patience=self._patience)

    def _wait(self, parent: Any, seconds: float) -> bool:
        """Wait; return early, and True, when a child of the pool has disappeared."""
        pool = getattr(parent, "pool", None)
        for _tick in range(max(1, round(seconds))):
            if self._stopping.wait(min(seconds, 1.0)):
                return False
            now = set(pool.info.get("processes", ())) if pool is not None else set()
            died, self._children = self._children - now, now
            if died:
                return True
        return False


@celeryd_init.connect(dispatch_uid="flowstate.sweeper")
def add_sweeper(instance: Any = None, **_signal: Any) -> None:
    """Add the sweeper to a worker that is about to start."""
    if instance is not None:
        instance.app.steps["worker"].add(Sweeper)
