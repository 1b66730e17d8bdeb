"""Pulls the plug of a child process: SIGKILL before or after the k-th statement or COMMIT."""

from __future__ import annotations

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any

from django.db import connection, connections

MOST_SECONDS = 60
"""After these a child that hangs is ended by its own alarm."""


class Plug:
    """Counts the points at which the process could die, from `arm` on; at `kill_at` it does."""

    def __init__(self, kill_at: int | None = None) -> None:
        self.kill_at = kill_at
        self.points: list[str] = []

    def arm(self) -> None:
        """Begin to count: each statement of Django's connection and each COMMIT, before and after."""
        commit = connection._commit  # type: ignore[attr-defined]  # no public hook sees a COMMIT

        def watched_commit() -> None:
            self.point("before COMMIT")
            commit()
            self.point("after COMMIT")

        connection._commit = watched_commit  # type: ignore[attr-defined]
        # The first place: a context manager that is open takes the last one away when it closes.
        connection.execute_wrappers.insert(0, self._statement)

    def point(self, what: str) -> None:
        """Die here, if this is the point."""
        self.points.append(what)
        if len(self.points) == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def _statement(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self.point(f"before {sql[:60]}")
        result = execute(sql, params, many, context)
        self.point(f"after {sql[:60]}")
        return result


def in_child(work: Callable[[], list[str] | None]) -> tuple[int, list[str]]:
    """Carry out `work` in a fork of this process; return how it ended, as `waitpid` does, and its lines.

    The fork has the modules and settings, but no connection: those of this process are closed before.
    """
    connections.close_all()
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Pytest's watchdog is a thread of C that holds no lock a child needs.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        _be_child(work, reading, writing)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        lines = pipe.read().splitlines()
    return os.waitpid(pid, 0)[1], lines


def _be_child(work: Callable[[], list[str] | None], reading: int, writing: int) -> None:
    code = 1
    try:
        os.close(reading)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(MOST_SECONDS)
        lines = work() or []
        os.write(writing, "\n".join(lines).encode())
        connections.close_all()
        code = 0
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(code)


def killed(status: int) -> bool:
    """Return whether a child died of SIGKILL."""
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
