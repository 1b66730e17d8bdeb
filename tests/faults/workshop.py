"""A private Redis and real worker processes on the test's database, started here and ended by their pids."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import redis
from celery import Celery, current_app

from django.db import connection

from flowstate.carriers import wakeups
from tests.faults.crowd import until

ROOT = Path(__file__).resolve().parents[2]


class Workshop:
    """One Redis server and any number of workers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workers: list[subprocess.Popen[bytes]] = []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.redis = redis.Redis(port=self.port, socket_timeout=2)
        self.start_redis()

    def start_redis(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.server = self._spawn("redis", ["redis-server", *options], {})
        until(self._redis_answers, "Redis answers")

    def _redis_answers(self) -> bool:
        with contextlib.suppress(redis.RedisError):
            return bool(self.redis.ping())
        return False

    def start_worker(self) -> subprocess.Popen[bytes]:
        """Start a worker with two children, in a process group of its own."""
        worker = self._spawn(
            f"worker-{len(self.workers)}",
            [sys.executable, "-m", "tests.faults.worker", "--loglevel=WARNING"],
            {"WORKER_BROKER": self.url, "WORKER_DATABASE": str(connection.settings_dict["NAME"])},
        )
        self.workers.append(worker)
        return worker

    def _spawn(self, name: str, argv: list[str], variables: dict[str, str]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own programs and arguments
                argv,
                cwd=ROOT,
                env={**os.environ, **variables},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def close(self) -> None:
        """End all that was started here."""
        with contextlib.suppress(ProcessLookupError):
            self.server.send_signal(signal.SIGCONT)
        for process in (*self.workers, self.server):
            kill_group(process)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that was started here, with its children, and wait for it."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=10)


@contextlib.contextmanager
def workshop(folder: Path) -> Iterator[Workshop]:
    """Yield a workshop whose Redis is the broker of this process too."""
    opened = Workshop(folder)
    before = current_app._get_current_object()  # type: ignore[attr-defined]  # a proxy's own
    publisher = Celery("publisher", broker=opened.url)
    publisher.conf.broker_transport_options = {"socket_timeout": 0.5, "socket_connect_timeout": 0.5}
    publisher.set_default()
    wakeups.wakeups.cache_clear()
    try:
        yield opened
    finally:
        publisher.close()
        before.set_current()
        before.set_default()
        wakeups.wakeups.cache_clear()
        opened.close()
