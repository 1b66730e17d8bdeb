"""One wake-up per queue however many runs are started, behind a flag that drops the others.

The flag only saves messages. It expires by itself, a drain deletes it before it looks, and the sweeper asks
nobody: a flag that sticks, or one that Redis forgets, delays nothing for longer than it lives.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import cache
from typing import Protocol

import redis
from celery import current_app

FLAG_SECONDS = 2
"""How long a wake-up that nobody took stands for those after it."""

THROTTLE_SECONDS = 0.1
"""Without Redis: how long a process holds a further wake-up back; it is sent then, not dropped."""


class Wakeups(Protocol):
    """Decides whether a wake-up has to be sent."""

    def send(self, queue: str, publish: Callable[[], object]) -> None:
        """Publish, unless a wake-up for the queue is under way."""

    def clear(self, queue: str) -> None:
        """Let the next wake-up through: somebody is about to look."""


class RedisWakeups:
    """A flag in the broker's own Redis, seen by all processes."""

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1)

    def send(self, queue: str, publish: Callable[[], object]) -> None:
        """Publish, unless the flag of the queue is up."""
        if self._redis.set(_key(queue), 1, nx=True, ex=FLAG_SECONDS):
            publish()

    def clear(self, queue: str) -> None:
        """Take the flag down."""
        self._redis.delete(_key(queue))


class ThrottledWakeups:
    """Without Redis: each process sends at most one wake-up in a while, the last one late instead of never."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sent: dict[str, float] = {}
        self._late: dict[str, threading.Timer] = {}

    def send(self, queue: str, publish: Callable[[], object]) -> None:
        """Publish now, or at the end of the while that the last one began."""
        with self._lock:
            left = self._sent.get(queue, -THROTTLE_SECONDS) + THROTTLE_SECONDS - time.monotonic()
            if left > 0:
                if queue not in self._late:
                    self._late[queue] = timer = threading.Timer(left, self._send_late, (queue, publish))
                    timer.daemon = True
                    timer.start()
                return
            self._sent[queue] = time.monotonic()
        publish()

    def clear(self, queue: str) -> None:
        """Let the next one through at once."""
        with self._lock:
            self._sent.pop(queue, None)

    def _send_late(self, queue: str, publish: Callable[[], object]) -> None:
        with self._lock:
            self._late.pop(queue, None)
            self._sent[queue] = time.monotonic()
        publish()


@cache
def wakeups() -> Wakeups:
    """Return the wake-ups of this process: flagged in Redis where that is the broker, else throttled."""
    url = str(current_app.conf.broker_url or "")
    return RedisWakeups(url) if url.startswith(("redis://", "rediss://")) else ThrottledWakeups()


def _key(queue: str) -> str:
    return f"flowstate:wake:{queue}"
