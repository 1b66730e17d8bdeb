"""A Celery worker in a thread of this process, for the demo: the in-memory broker reaches no other."""

from __future__ import annotations

import threading
import warnings
from typing import Any

from celery.exceptions import SecurityWarning
from celery.signals import worker_ready

from example_shop.celery import app
from flowstate import conf


class EmbeddedWorker:
    """Start it, stop it. Not for production: there, workers are processes of their own."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        warnings.simplefilter("ignore", SecurityWarning)  # a demo may run as root, a server should not
        self._worker = app.Worker(
            hostname="demo@localhost",
            pool="threads",
            concurrency=4,
            queues=[conf.settings().default_queue],
            quiet=True,  # no banner: the demo has its own words
            without_gossip=True,
            without_mingle=True,
        )
        self._thread = threading.Thread(target=self._worker.start, name="worker", daemon=True)

    def start(self, timeout: float = 10.0) -> bool:
        """Return whether the worker takes messages within `timeout` seconds."""
        worker_ready.connect(self._note_ready)
        self._thread.start()
        return self._ready.wait(timeout)

    def _note_ready(self, **_signal: Any) -> None:
        self._ready.set()

    def stop(self, timeout: float = 5.0) -> bool:
        """Finish what is being worked on; return whether that took less than `timeout` seconds."""
        stopping = threading.Thread(target=self._worker.stop, name="worker-stop", daemon=True)
        stopping.start()
        stopping.join(timeout)
        return not stopping.is_alive()
