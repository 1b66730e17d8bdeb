"""Events and waits at the same moment: nothing is lost between them, and nothing counts twice."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from flowstate import SYSTEM, EventTokenSpent, deliver_event
from flowstate.engine.carry.messages import carry_run
from flowstate.engine.carry.sweep import sweep
from flowstate.engine.events import deliver_by_token, sweep_inbox
from flowstate.engine.tokens import make_token
from flowstate.models import Event, EventWait, Run
from flowstate.models.clock import shift_clock
from tests.faults import post
from tests.faults.afterwards import broken
from tests.faults.crowd import at_once
from tests.faults.scripted import WITHIN
from tests.kiosk.waits import DAY, ByLink, Confirmed

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 100


@pytest.fixture(autouse=True)
def forget() -> None:
    WITHIN.clear()


def asked(key: str) -> Run:
    return Confirmed.enqueue(user=SYSTEM, input={"key": key})


def carry(run: Run) -> str:
    return carry_run(str(run.pk), queue="flowstate")


def deliver(key: str, **more: Any) -> Event:
    return deliver_event("order.confirmed", key, f"for {key}", **more)


def errors(results: list[Any]) -> list[BaseException]:
    return [result for result in results if isinstance(result, BaseException)]


def test_an_event_that_comes_as_its_step_begins_to_wait_is_not_lost() -> None:
    """A hundred rounds; nobody sweeps, and no time passes: who comes second sees the other."""
    failed = {}
    for number in range(ROUNDS):
        run = asked(str(number))
        results = at_once(partial(carry, run), partial(deliver, str(number)))
        post.deliver()
        if errors(results) or not run.refresh().success or run.value != f"for {number}":
            failed[number] = (results, run.status, run.waiting_for)

    assert failed == {}
    assert not EventWait.objects.exists()
    assert not Event.objects.filter(taken_at=None).exists()
    assert broken() == []


def test_an_event_that_arrives_twice_at_once_counts_once() -> None:
    for number in range(20):
        first, second = asked(str(number)), asked(str(number))
        carry(first)

        results = at_once(*[partial(deliver, str(number), event_id=f"evt {number}")] * 5)
        post.deliver()
        carry(second)

        assert errors(results) == []
        assert sorted(event.replayed for event in results) == [False, True, True, True, True]
        assert first.refresh().success
        assert second.refresh().waiting_for == "event"
    assert Event.objects.count() == 20
    assert broken() == []


def test_of_events_for_one_each_wakes_another() -> None:
    for number in range(20):
        key = str(number)
        runs = [asked(key) for _run in range(3)]
        for run in runs:
            carry(run)

        results = at_once(
            *[partial(deliver_event, "order.confirmed", key, place, once=True) for place in range(3)]
        )
        post.deliver()

        assert errors(results) == []
        assert sorted(run.refresh().value for run in runs) == [0, 1, 2]
    assert broken() == []


@pytest.mark.parametrize("what", ["its time is over", "it is cancelled"])
def test_an_event_and_the_end_of_its_wait_exclude_each_other(what: str) -> None:
    """I8, I24: the run goes on with the event, or is undone without it."""
    seen = set()
    for number in range(40):
        key = str(number)
        run = asked(key)
        carry(run)
        other: Callable[[], Any] = partial(run.cancel, SYSTEM)
        if what == "its time is over":
            shift_clock(DAY + 1)
            other = partial(carry, run)

        results = at_once(partial(deliver, key), other)
        post.deliver()
        sweep()
        post.deliver()

        run.refresh()
        seen.add(run.status)
        assert [error for error in errors(results) if "cannot be cancelled" not in str(error)] == []
        row = run.step_runs.get(name="confirmed")
        told = run.events.filter(kind="event_received").count()
        assert (run.status, row.status, told) in {
            ("succeeded", "done", 1),
            ("cancelled", "cancelled", 0),
            ("cancelled", "done", 1),  # cancelled between the event and the last step
            ("compensated", "failed", 0),
        }
    assert not EventWait.objects.exists()
    assert broken() == []
    assert seen


def test_a_token_that_is_used_twice_at_once_is_used_once() -> None:
    """S21."""
    for _number in range(20):
        run = ByLink.enqueue(user=SYSTEM)
        carry(run)
        token = make_token(run.step_runs.get(name="clicked"))

        results = at_once(*[partial(deliver_by_token, token, place) for place in range(4)])
        post.deliver()

        assert sum(isinstance(result, Event) for result in results) == 1
        assert sum(isinstance(result, EventTokenSpent) for result in results) == 3
        winner = next(place for place, result in enumerate(results) if isinstance(result, Event))
        assert run.refresh().value == winner
    assert broken() == []


def test_sweepers_and_deliverers_at_once_give_an_event_once() -> None:
    for number in range(20):
        key = str(number)
        runs = [asked(key), asked(key)]
        for run in runs:
            carry(run)

        results = at_once(partial(deliver, key), sweep_inbox, sweep_inbox, sweep, sweep)
        post.deliver()

        assert errors(results) == []
        assert all(run.refresh().success for run in runs)
        assert [run.events.filter(kind="event_received").count() for run in runs] == [1, 1]
    assert broken() == []
