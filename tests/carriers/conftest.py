"""The fixtures of the kiosk, a broker that is empty at first, and a real worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from celery.contrib.testing.worker import start_worker

from flowstate.carriers.wakeups import ThrottledWakeups, wakeups
from tests.kiosk.celery_app import app
from tests.kiosk.stall import clock, diary, fixture_bank, on_sale, sale, signals, user

__all__ = ["clock", "diary", "fixture_bank", "on_sale", "sale", "signals", "user"]

QUEUES = ["flowstate", "slow"]

Working = Callable[..., AbstractContextManager[Any]]


@pytest.fixture(autouse=True)
def broker() -> Iterator[None]:
    """Begin with empty queues, whatever other tests have published."""
    app.set_current()
    forget_wakeups()
    empty()
    yield
    forget_wakeups()
    empty()


def forget_wakeups() -> None:
    """Hold no wake-up back, and send none late, because of what another test has published."""
    held_back = wakeups()
    if isinstance(held_back, ThrottledWakeups):
        for timer in list(held_back._late.values()):
            timer.cancel()
    wakeups.cache_clear()


def empty() -> None:
    with app.connection_for_write() as connection:
        for queue in QUEUES:
            connection.SimpleQueue(queue).clear()


@pytest.fixture
def messages() -> Callable[[str], list[tuple[str, list[Any]]]]:
    """Take what is in a queue: the task's name and its arguments."""

    def take(queue: str = "flowstate") -> list[tuple[str, list[Any]]]:
        taken = []
        with app.connection_for_write() as connection:
            waiting = connection.SimpleQueue(queue)
            while waiting.qsize():
                message = waiting.get(block=False)
                message.ack()
                taken.append((message.headers["task"], message.payload[0]))
        return taken

    return take


@pytest.fixture
def working() -> Working:
    """Have a worker of the queue work in a thread, as long as the block lasts."""

    @contextmanager
    def work(queue: str = "flowstate") -> Iterator[None]:
        with start_worker(app, pool="solo", perform_ping_check=False, queues=[queue], shutdown_timeout=20):
            yield

    return work
