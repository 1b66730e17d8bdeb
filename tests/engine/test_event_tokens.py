"""Tokens: the secret that brings one step its event, once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from flowstate import (
    SYSTEM,
    EventTokenSpent,
    EventTokenUnknown,
)
from flowstate.engine.calls.contexts import run_context_of
from flowstate.engine.events import deliver_by_token
from flowstate.engine.loading import load
from flowstate.engine.tokens import hash_of, make_token
from flowstate.models import EventWait, Run
from tests.kiosk import returns, waits
from tests.kiosk.looking import broken, carry
from tests.kiosk.waits import DAY, ByLink, Confirmed

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


# --- tokens --------------------------------------------------------------------------------------------


def token_of(run: Run) -> str:
    token = run.results["send"]
    assert isinstance(token, str)
    return token


def test_a_token_brings_its_step_its_event_once() -> None:
    run = ByLink.run(user=SYSTEM)
    token = token_of(run)

    deliver_by_token(token, {"yes": True})
    assert carry(run) == "succeeded"

    assert run.refresh().value == {"yes": True}
    with pytest.raises(EventTokenSpent):
        deliver_by_token(token, {"yes": False})
    assert run.refresh().value == {"yes": True}
    assert broken() == []


def test_a_token_is_stored_as_a_hash_that_goes_with_the_wait() -> None:
    run = ByLink.run(user=SYSTEM)

    wait = EventWait.objects.get()
    assert wait.token_hash == hash_of(token_of(run))
    assert token_of(run) not in wait.token_hash
    deliver_by_token(token_of(run))
    assert not EventWait.objects.exists()


def test_a_token_that_is_used_before_its_step_waits_is_not_lost() -> None:
    def click_early() -> None:
        row = Run.objects.get().step_runs.get(name="clicked")
        deliver_by_token(make_token(row), "early")

    returns.within["send"] = [click_early]

    run = ByLink.run(user=SYSTEM)

    assert run.success
    assert run.value == "early"


@pytest.mark.parametrize("how", ["forged", "other step", "short", "no base64", "not ascii"])
def test_a_token_that_nobody_gave_out_is_unknown(how: str) -> None:
    """S21."""
    run, other = ByLink.run(user=SYSTEM), ByLink.run(user=SYSTEM)
    token = token_of(run)
    forged = {
        "forged": token[:-4] + ("AAAA" if not token.endswith("AAAA") else "BBBB"),
        "other step": token_of(other)[:24] + token[24:],
        "short": token[:-1],
        "no base64": "!" * len(token),
        "not ascii": "ä" * len(token),
    }[how]

    with pytest.raises(EventTokenUnknown):
        deliver_by_token(forged)

    assert run.refresh().waiting_for == other.refresh().waiting_for == "event"


def test_a_token_expires_with_its_step(clock: Callable[[float], None]) -> None:
    """S21."""
    timed_out, cancelled = ByLink.run(user=SYSTEM), ByLink.run(user=SYSTEM)
    tokens = [token_of(timed_out), token_of(cancelled)]
    cancelled.cancel(SYSTEM)
    clock(DAY + 1)
    carry(timed_out)

    for token in tokens:
        with pytest.raises(EventTokenSpent):
            deliver_by_token(token)


def test_a_token_outlives_a_change_of_the_secret_key(settings: Any) -> None:
    run = ByLink.run(user=SYSTEM)
    settings.SECRET_KEY = "another"  # noqa: S105 - of the test

    deliver_by_token(token_of(run), 1)

    assert carry(run) == "succeeded"


def test_a_token_of_what_is_no_event_step_is_refused() -> None:
    run = ByLink.run(user=SYSTEM)
    ctx = run_context_of(load(run.pk, using="default"))

    assert ctx.event_token("clicked") == token_of(run)
    with pytest.raises(KeyError, match="no EventStep 'send'; there is clicked"):
        ctx.event_token("send")
