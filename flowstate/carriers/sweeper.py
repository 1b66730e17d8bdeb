"""The sweeper inside every Celery worker: a thread of its own, started and stopped with the worker."""

from __future__ import annotations

import logging
import random
import threading
from typing import Any

from celery import bootsteps
from celery.signals import celeryd_init

from django.db import connections

from flowstate.conf import settings
from flowstate.engine.sweep import sweep

logger = logging.getLogger("flowstate.sweep")


class Sweeper(bootsteps.StartStopStep):
    """Sweeps every FLOWSTATE["SWEEP_INTERVAL"] seconds, give or take a fifth, and once at the start."""

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, parent: Any) -> None:
        """Begin to sweep."""
        self._thread = threading.Thread(target=self._sweep, name="flowstate-sweeper", daemon=True)
        self._thread.start()

    def stop(self, parent: Any) -> None:
        """Stop after the sweep that is going on."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _sweep(self) -> None:
        while not self._stopping.is_set():
            try:
                sweep()
            except Exception:
                logger.exception("A sweep failed; the next one comes.")
            finally:
                connections.close_all()  # a child forked meanwhile must not inherit an open connection
            jitter = random.uniform(0.8, 1.2)  # noqa: S311 - spreads workers, no secret
            self._stopping.wait(settings().sweep_interval * jitter)


@celeryd_init.connect(dispatch_uid="flowstate.sweeper")
def add_sweeper(instance: Any = None, **_signal: Any) -> None:
    """Add the sweeper to a worker that is about to start."""
    if instance is not None:
        instance.app.steps["worker"].add(Sweeper)
