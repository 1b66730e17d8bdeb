"""Wake-ups: one for each queue, never lost for good, and sent on before a worker begins what may take long."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from django.db import transaction

from flowstate import SYSTEM
from flowstate.carriers.wakeups import FLAG_SECONDS, RedisWakeups, ThrottledWakeups
from flowstate.engine.carry import messages
from flowstate.engine.carry.messages import drain
from flowstate.models import Run
from tests.carriers.test_brokers import BROKERS
from tests.kiosk import returns
from tests.kiosk.workflows import Fork

QUEUE = "flowstate"


@pytest.fixture
def queue() -> Iterator[str]:
    name = f"test-{uuid.uuid4().hex[:8]}"
    yield name
    RedisWakeups(BROKERS["redis"]).clear(name)


# --- the flag --------------------------------------------------------------------------------------


def test_one_wake_up_is_sent_until_somebody_looks(queue: str) -> None:
    """C6: also by other processes, which see the same flag."""
    sent: list[int] = []
    one, other = RedisWakeups(BROKERS["redis"]), RedisWakeups(BROKERS["redis"])

    one.send(queue, lambda: sent.append(1))
    other.send(queue, lambda: sent.append(2))
    assert sent == [1]

    other.clear(queue)
    one.send(queue, lambda: sent.append(3))

    assert sent == [1, 3]


def test_the_flag_of_a_wake_up_that_nobody_took_goes_by_itself(queue: str) -> None:
    RedisWakeups(BROKERS["redis"]).send(queue, lambda: None)

    left = redis.Redis.from_url(BROKERS["redis"]).ttl(f"flowstate:wake:{queue}")

    assert 0 < left <= FLAG_SECONDS


def test_without_redis_a_wake_up_too_many_is_sent_late_and_none_is_dropped() -> None:
    sent: list[float] = []
    late = threading.Event()

    def publish() -> None:
        sent.append(time.monotonic())
        if len(sent) == 2:
            late.set()

    throttled = ThrottledWakeups()
    for _wake_up in range(5):
        throttled.send(QUEUE, publish)

    assert len(sent) == 1
    assert late.wait(10)
    assert len(sent) == 2


# --- a drain -----------------------------------------------------------------------------------------


@pytest.fixture
def said() -> Iterator[list[str]]:
    """Have the diary of steps, in which wake-ups are noted too."""
    returns.forget()
    yield returns.diary.lines
    returns.forget()


def queued(runs: int) -> None:
    with transaction.atomic():
        for _run in range(runs):
            Fork.enqueue(user=SYSTEM)


def drained(said: list[str], *, stopping: Any = lambda: False) -> int:
    return drain(QUEUE, wake_next=lambda: said.append("wake-up"), stopping=stopping)


@pytest.mark.django_db(transaction=True)
def test_a_drain_wakes_the_next_worker_before_its_first_step_where_more_is_due(said: list[str]) -> None:
    """A step that takes a minute then holds nobody up."""
    queued(2)

    drained(said)

    assert said[:2] == ["wake-up", "begin"]


@pytest.mark.django_db(transaction=True)
def test_a_drain_wakes_nobody_where_nothing_is_left(said: list[str]) -> None:
    queued(1)

    assert drained(said) == 1

    assert "wake-up" not in said
    assert Run.objects.get().success


@pytest.mark.django_db(transaction=True)
def test_a_drain_whose_slice_is_over_begins_no_run_and_wakes_the_next(
    said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "SLICE", 0.3)
    queued(2)
    returns.within["begin"] = [lambda: time.sleep(0.4)]  # a step that outlasts the slice

    assert drained(said) == 1

    assert said[-1] == "wake-up"
    assert Run.objects.live().count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_is_to_stop_begins_no_run_and_wakes_the_next(said: list[str]) -> None:
    queued(2)

    assert drained(said, stopping=lambda: bool(Run.objects.ended().exists())) == 1

    assert said[-1] == "wake-up"
    assert Run.objects.live().count() == 1
