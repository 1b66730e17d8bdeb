"""Waits for an event that are over without it: their time is over, or their run is stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from flowstate import (
    SYSTEM,
    EventTimeout,
    deliver_event,
)
from flowstate.engine.carry.sweep import sweep
from flowstate.models import Event, EventWait, Run
from tests.kiosk import returns, waits
from tests.kiosk.looking import broken, carry, lines
from tests.kiosk.waits import DAY, HOUR, AnswerOrTime, Confirmed, Insistent, Patiently, Retold, Thrice

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    returns.forget()
    waits.given.clear()
    yield
    returns.forget()
    waits.given.clear()


def confirmed(key: str = "k") -> Run:
    return Confirmed.run(user=SYSTEM, input={"key": key})


# --- time over -----------------------------------------------------------------------------------------


def test_an_event_that_does_not_come_in_time_fails_the_step(clock: Callable[[float], None]) -> None:
    run = confirmed()

    clock(DAY + 1)
    carry(run)

    assert run.refresh().status == "compensated"
    assert run.failed_step == "confirmed"
    assert lines() == ["ask", "undo ask"]
    with pytest.raises(
        EventTimeout, match=r"confirmed waited for the event order.confirmed for 86400 seconds"
    ):
        run.raise_for_status()
    assert not EventWait.objects.exists()
    assert broken() == []


def test_an_optional_event_that_does_not_come_leaves_its_default(clock: Callable[[float], None]) -> None:
    deliver_event("first", "k", "came")
    run = Patiently.run(user=SYSTEM)

    clock(HOUR + 1)
    assert carry(run) == "succeeded"

    assert run.refresh().value == ["came", "nobody came"]
    assert run.step_runs.get(name="second").status == "failed"


def test_an_optional_event_that_comes_replaces_its_default() -> None:
    deliver_event("first", "k", 1)
    run = Patiently.run(user=SYSTEM)

    deliver_event("second", "k", None)

    assert carry(run) == "succeeded"
    assert run.refresh().value == [1, None]


def test_a_retry_waits_once_more_and_then_fails(clock: Callable[[float], None]) -> None:
    """I25: the timeout is that of an attempt."""
    waits.given.extend([lambda ctx: "k"] * 2)
    run = Insistent.run(user=SYSTEM)

    clock(HOUR + 1)
    carry(run)
    row = run.refresh().step_runs.get(name="answer")
    assert (row.status, row.failures, row.attempt) == ("waiting", 1, 2)
    assert EventWait.objects.count() == 1
    clock(HOUR + 1)
    carry(run)

    assert run.refresh().status == "compensated"
    assert run.step_runs.get(name="answer").failures == 2
    assert broken() == []


def test_an_event_that_came_in_time_counts_however_late_one_looks(clock: Callable[[float], None]) -> None:
    run = confirmed()
    event = Event(name="order.confirmed", key="k", topic=EventWait.objects.get().topic, payload_json=1)
    event.expires_at = event.wake_at = event.received_at
    event.save()
    clock(DAY + 1)

    sweep()

    assert carry(run) == "succeeded"


@pytest.mark.parametrize("given", [None, "", object()])
def test_a_key_that_is_none_fails_the_step(given: Any) -> None:
    waits.given.extend([lambda ctx: given] * 2)

    run = Insistent.run(user=SYSTEM)

    assert run.status == "compensated"
    assert run.error is not None
    assert "The key of step answer is a printable text" in run.error["detail"]


# --- stopped -------------------------------------------------------------------------------------------


def test_a_cancelled_run_takes_no_event_and_keeps_no_token() -> None:
    """I9, I24."""
    run = confirmed()

    run.cancel(SYSTEM)
    deliver_event("order.confirmed", "k", 1)

    assert run.refresh().status == "cancelled"
    assert not EventWait.objects.exists()
    assert Event.objects.get().taken_at is None
    assert broken() == []


def test_a_failing_branch_takes_the_wait_of_another_away(clock: Callable[[float], None]) -> None:
    """I24."""
    run = Thrice.run(user=SYSTEM)
    assert EventWait.objects.count() == 2

    run.cancel(SYSTEM)

    assert not EventWait.objects.exists()
    assert broken() == []


def test_what_an_event_brought_about_can_be_taken_back() -> None:
    deliver_event("heard", "k", "news")

    run = Retold.run(user=SYSTEM)

    assert run.status == "compensated"
    assert lines() == ["take back news"]


@pytest.mark.parametrize("first", ["answer", "hour"])
def test_of_an_event_and_a_time_the_first_wins_and_the_other_is_waited_for_no_longer(
    first: str, clock: Callable[[float], None]
) -> None:
    """I9: nothing is left that an event could still be given to."""
    run = AnswerOrTime.run(user=SYSTEM)

    if first == "answer":
        deliver_event("answer", "k", 1)
    else:
        clock(HOUR + 1)
    assert carry(run) == "succeeded"

    assert not EventWait.objects.exists()
    lost = {"answer": "hour", "hour": "answer"}[first]
    assert run.refresh().step_runs.get(name=lost).status == "cancelled"
    assert broken() == []
