"""Who delivers an event, or begins to wait, dies in between: the sweepers do the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from flowstate import (
    SYSTEM,
    deliver_event,
)
from flowstate.engine.audit.fsck import find_broken
from flowstate.engine.carry.messages import carry_run
from flowstate.engine.carry.sweep import sweep
from flowstate.engine.events import sweep_inbox
from flowstate.engine.waits.matching import match_event
from flowstate.models import Event, Run
from tests.kiosk import returns, waits
from tests.kiosk.waits import Confirmed

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    returns.forget()
    waits.given.clear()
    yield
    returns.forget()
    waits.given.clear()


def lines() -> list[str]:
    return returns.diary.lines


def carry(run: Run) -> str:
    return carry_run(str(run.pk), queue="flowstate")


def broken() -> list[str]:
    return [f"{row.invariant} {row.words}" for row in find_broken(using="default", skew=timedelta(0))]


def confirmed(key: str = "k") -> Run:
    return Confirmed.run(user=SYSTEM, input={"key": key})


# --- who dies in between -------------------------------------------------------------------------------


def test_an_event_whose_deliverer_died_is_handed_out_by_the_sweeper(monkeypatch: pytest.MonkeyPatch) -> None:
    run = confirmed()
    with monkeypatch.context() as dead:
        dead.setattr("flowstate.engine.events.match_event", lambda event, using: [])
        deliver_event("order.confirmed", "k", 1)
    assert sweep() == 0

    assert sweep_inbox() == 1
    assert sweep() == 1

    assert carry(run) == "succeeded"
    assert broken() == []


def test_an_event_that_was_taken_by_who_died_is_handed_out_by_the_sweeper(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = confirmed()
    with monkeypatch.context() as dead:
        dead.setattr("flowstate.engine.events.take_up", lambda run_id, using: None)
        deliver_event("order.confirmed", "k", 1)
    assert Event.objects.get().taken_at is not None

    assert sweep() == 1

    assert carry(run) == "succeeded"


def test_a_wait_whose_process_died_before_it_looked_is_looked_at_by_the_sweeper(
    monkeypatch: pytest.MonkeyPatch, clock: Callable[[float], None]
) -> None:
    class Dead(BaseException):
        pass

    def die(step_run_id: int, using: str) -> None:
        raise Dead

    deliver_event("order.confirmed", "k", 1)
    with monkeypatch.context() as dead:
        dead.setattr("flowstate.engine.waits.kinds.match_wait", die)
        with pytest.raises(Dead):
            confirmed()
    run = Run.objects.get()
    assert run.step_runs.get(name="confirmed").status == "waiting"

    clock(100)
    assert sweep() == 1

    assert carry(run) == "succeeded"


def test_matching_again_gives_no_event_twice() -> None:
    first = confirmed()
    event = deliver_event("order.confirmed", "k", 1)
    second = confirmed()

    assert match_event(event, "default") == []
    sweep_inbox()

    assert carry(first) == "succeeded"
    assert second.refresh().waiting_for == "event"
