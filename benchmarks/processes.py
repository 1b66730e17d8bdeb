"""The processes of a benchmark: each a child of this one, ended by its own id."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parent.parent
STARTS_WITHIN = 60.0  # seconds
STOPS_WITHIN = 10.0  # seconds between SIGTERM and SIGKILL


class ProcessFailed(Exception):
    """A process of the benchmark ended or did not start; the text ends with what it said."""


class Process:
    """A Python process in a session of its own, whose standard error goes to a file."""

    def __init__(self, room: Path, name: str, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = name
        self.log = room / f"{name.replace('/', '-')}-{time.monotonic_ns()}.log"
        with self.log.open("wb") as log:
            self.popen: subprocess.Popen[str] = subprocess.Popen(  # noqa: S603 - a fixed command
                [sys.executable, "-m", *argv],
                cwd=ROOT,
                env={**os.environ, "DJANGO_SETTINGS_MODULE": "benchmarks.settings", **environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )

    def failed(self) -> ProcessFailed:
        """Return the error that tells what the process said last."""
        return ProcessFailed(f"{self.name} is not there:\n{self.log.read_text(errors='replace')[-2000:]}")

    def kill(self) -> None:
        """End the process and its children at once, as a power cut would."""
        try:
            os.killpg(self.popen.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        finally:
            self.popen.wait()

    def stop(self) -> None:
        """Ask the process to end; insist after a while."""
        if self.popen.poll() is None:
            self.popen.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.popen.wait(STOPS_WITHIN)
        self.kill()


class Talker(Process):
    """A process that answers each line it is told with one line."""

    def __init__(self, room: Path, name: str, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        super().__init__(room, name, argv, environment)
        self.answer()  # "ready"

    @property
    def _pipes(self) -> tuple[IO[str], IO[str]]:
        if self.popen.stdin is None or self.popen.stdout is None:
            raise self.failed()
        return self.popen.stdin, self.popen.stdout

    def tell(self, *words: Any) -> None:
        """Send a line; what is asked for comes by `answer`."""
        self._pipes[0].write(" ".join(map(str, words)) + "\n")
        self._pipes[0].flush()

    def answer(self) -> Any:
        """Return the next answer, decoded; "ready" is the first."""
        line = self._pipes[1].readline()
        if not line:
            raise self.failed()
        return line.strip() if line == "ready\n" else json.loads(line)

    def ask(self, *words: Any) -> Any:
        """Send a line and return its answer."""
        self.tell(*words)
        return self.answer()


class Worker(Process):
    """A process that works by itself and says when it is ready by making a file."""

    def __init__(self, room: Path, name: str, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        self.ready_file = room / f"{name}-{time.monotonic_ns()}.ready"
        super().__init__(room, name, argv, {**environment, "BENCH_READY_FILE": str(self.ready_file)})

    def wait_ready(self) -> None:
        """Return once the worker is at work."""
        until = time.monotonic() + STARTS_WITHIN
        while not self.ready_file.exists():
            if self.popen.poll() is not None or time.monotonic() > until:
                raise self.failed()
            time.sleep(0.02)


def celery_worker(room: Path, name: str, queue: str, environment: Mapping[str, str]) -> Worker:
    """Return a starting Celery worker with one child process."""
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "WARNING")
    argv = ("celery", "-A", "benchmarks", "worker", "-Q", queue, "-c", "1", "-n", f"{name}@%h", *quiet)
    return Worker(room, name, argv, environment)
