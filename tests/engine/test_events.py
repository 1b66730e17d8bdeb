"""Steps that wait for an event from outside: delivered before, after, twice, to many, or never."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from django.db import transaction
from django.test import TestCase

from flowstate import (
    SYSTEM,
    EventInvalid,
    InboxFull,
    deliver_event,
)
from flowstate.engine.carry.sweep import sweep
from flowstate.engine.events import sweep_inbox
from flowstate.models import Event, EventWait, Run
from flowstate.testing import carry_due
from tests.kiosk import returns, waits
from tests.kiosk.looking import broken, carry, lines
from tests.kiosk.waits import DAY, Confirmed, Patiently, Thrice

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


# --- delivering ----------------------------------------------------------------------------------------


def test_a_run_that_waits_for_an_event_says_so_and_holds_nothing() -> None:
    """I12, I29."""
    run = confirmed()

    row = run.refresh().step_runs.get(name="confirmed")
    assert (run.status, run.waiting_for) == ("running", "event")
    assert (row.status, row.lease_until) == ("waiting", None)
    assert run.wake_at == row.wake_at
    assert broken() == []


def test_an_event_ends_the_wait_and_its_payload_is_the_result() -> None:
    run = confirmed()

    event = deliver_event("order.confirmed", "k", {"by": "Ada", "price": Decimal("1.50")})
    assert carry(run) == "succeeded"

    assert run.refresh().value == {"by": "Ada", "price": Decimal("1.50")}
    assert lines() == ["ask"]
    assert event.payload == {"by": "Ada", "price": Decimal("1.50")}
    assert Event.objects.get().taken_at is not None
    assert not EventWait.objects.exists()
    assert broken() == []


def test_an_event_that_comes_before_its_step_is_not_lost() -> None:
    deliver_event("order.confirmed", "k", 1)
    assert Event.objects.get().taken_at is None

    run = confirmed()

    assert run.success  # inline, without a worker
    assert run.value == 1
    assert broken() == []


def test_an_event_for_another_key_or_of_another_name_is_none() -> None:
    run = confirmed()

    deliver_event("order.confirmed", "other")
    deliver_event("order.cancelled", "k")

    assert carry(run) == ""
    assert run.refresh().waiting_for == "event"


def test_a_key_may_be_a_number_and_is_text() -> None:
    run = confirmed("7")

    deliver_event("order.confirmed", 7)

    assert carry(run) == "succeeded"


def test_an_event_that_arrives_twice_counts_once() -> None:
    first = deliver_event("part", "k", 1, event_id="evt_1")
    again = deliver_event("part", "k", 2, event_id="evt_1")
    deliver_event("part", "other", 3, event_id="evt_2")
    run = Thrice.run(user=SYSTEM)

    assert again == first
    assert (again.replayed, first.replayed) == (True, False)
    assert Event.objects.count() == 2
    assert [row.status for row in run.refresh().steps] == ["done", "waiting", "blocked"]
    assert run.results == {"one": 1}


def test_an_event_wakes_every_run_that_waits_for_its_key() -> None:
    runs = [confirmed() for _run in range(3)]

    deliver_event("order.confirmed", "k", "all of you")

    assert [carry(run) for run in runs] == ["succeeded"] * 3
    assert {run.refresh().value for run in runs} == {"all of you"}


def test_an_event_for_one_only_wakes_the_oldest() -> None:
    first, second = confirmed(), confirmed()

    deliver_event("order.confirmed", "k", 1, once=True)
    assert [carry(first), carry(second)] == ["succeeded", ""]
    deliver_event("order.confirmed", "k", 2, once=True)

    assert carry(second) == "succeeded"
    assert [run.refresh().value for run in (first, second)] == [1, 2]


def test_each_wait_takes_one_event_the_oldest_first() -> None:
    for number in range(3):
        deliver_event("part", "k", number, once=True)

    run = Thrice.run(user=SYSTEM)

    assert run.success
    assert run.results == {"one": 0, "two": 1, "three": 2}


def test_a_delivery_in_a_transaction_counts_from_its_commit_on() -> None:
    """I14."""
    run = confirmed()
    with transaction.atomic():
        deliver_event("order.confirmed", "k", "rolled back")
        transaction.set_rollback(True)
    assert carry(run) == ""

    with transaction.atomic():
        deliver_event("order.confirmed", "k", "committed")
        assert Event.objects.get().taken_at is None

    assert carry(run) == "succeeded"
    assert run.refresh().value == "committed"


def test_waits_and_events_of_one_transaction_meet_when_it_commits() -> None:
    deliver_event("first", "k", 1)

    with transaction.atomic():
        run = Patiently.run(user=SYSTEM)
        deliver_event("second", "k", 2)
    sweep()
    carry_due()

    assert run.refresh().value == [1, 2]


def test_what_came_is_told_by_the_history() -> None:
    """I27."""
    run = confirmed()

    deliver_event("order.confirmed", "k", 1)

    told = [(event.kind, event.step, event.data["event"]) for event in run.events.all()]
    assert told == [("event_received", "confirmed", "order.confirmed")]
    assert "event_received" in [entry.what for entry in run.timeline()]


@pytest.mark.parametrize(
    ("name", "key", "more", "words"),
    [
        ("no spaces", "k", {}, "The event is named by letters"),
        ("", "k", {}, "The event is named by letters"),
        ("paid", None, {}, "The key of event paid is a printable text"),
        ("paid", True, {}, "not True"),
        ("paid", "x" * 256, {}, "1 to 255 characters"),
        ("paid", "k", {"event_id": ""}, "The id of event paid"),
        ("paid", "k", {"payload": object()}, "The payload of event paid"),
        ("paid", "k", {"payload": "x" * 300_000}, "MAX_VALUE_BYTES"),
    ],
)
def test_an_event_that_cannot_be_stored_is_refused(
    name: str, key: Any, more: dict[str, Any], words: str
) -> None:
    with pytest.raises(EventInvalid, match=words.replace("[", r"\[")):
        deliver_event(name, key, **more)

    assert not Event.objects.exists()


def test_events_that_nobody_waits_for_are_bounded_per_key(settings: Any) -> None:
    settings.FLOWSTATE = {"MAX_EVENTS": 2}
    for number in range(2):
        deliver_event("part", "k", number, event_id=str(number))

    with pytest.raises(InboxFull, match="Nobody has waited for 2 events part"):
        deliver_event("part", "k", 2)

    assert deliver_event("part", "k", 1, event_id="1").replayed
    deliver_event("part", "another")
    assert Event.objects.count() == 3


def test_events_that_nobody_waits_for_are_forgotten_after_thirty_days(clock: Callable[[float], None]) -> None:
    deliver_event("part", "k", 1)
    assert sweep_inbox() == 0

    clock(30 * DAY - 5)
    assert sweep_inbox() == 0
    clock(10)
    assert sweep_inbox() == 1

    assert not Event.objects.exists()


def test_an_event_that_a_step_has_yet_to_be_given_is_kept(clock: Callable[[float], None]) -> None:
    run = confirmed()
    event = deliver_event("other", "k")
    EventWait.objects.update(event=event)
    Run.objects.update(wake_at=run.started_at + timedelta(days=60))

    clock(31 * DAY)
    assert sweep_inbox() == 1

    assert Event.objects.exists()
    assert sweep_inbox() == 0


class InATestCase(TestCase):
    """Nothing ever commits here; `carry_due` stands for the workers."""

    def test_an_event_is_delivered_and_carried(self) -> None:
        run = confirmed()

        deliver_event("order.confirmed", "k", 1)
        carry_due()

        assert run.refresh().success
