"""Functions that no longer ask for their steps as the journal has them, and runs that are gone on with."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytest

from django.utils import timezone

from flowstate import SYSTEM
from flowstate.conf import settings
from flowstate.engine.carry.sweep import sweep
from flowstate.models import Run, StepRun
from flowstate.testing import carry_due, move_clock
from tests.kiosk import functions, returns
from tests.kiosk.calls import broken, carry, gone, lines, statuses
from tests.kiosk.functions import buy, careless, insist, mend, spread
from tests.kiosk.workflows import CardDeclined

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("forgotten")]


def paid(turn: str, what: Any) -> Run:
    """Return a run that has paid and packed, and comes back to code that was changed while it shipped."""
    run = buy.enqueue(user=SYSTEM)
    returns.within["ship"] = [lambda: functions.turns.update({turn: what})]
    carry(run)
    return run


# --- a changed shape -----------------------------------------------------------------------------------


def test_a_new_name_in_the_place_of_a_recorded_one_leaves_the_run_to_a_person(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """I12, I35: nothing is called or lost; the history, the step and the log name what was expected and found."""
    with caplog.at_level(logging.ERROR, logger="flowstate.attention"):
        run = paid("pay", "pay_by_card")

    assert statuses(run) == {"pay": "done", "pack": "done", "ship": "done", "function": "ready"}
    assert (run.status, run.waiting_for) == ("running", "person")
    [event] = run.events.all()
    assert (event.kind, event.step) == ("shape_changed", "function")
    assert (event.data["expected"], event.data["found"]) == ("pay (external)", "pay_by_card (external)")
    assert "pay (external)" in run.step_runs.get(name="function").reason
    assert list(Run.objects.attention()) == [run]
    assert len(caplog.records) == 1
    assert broken() == []


def test_a_recorded_name_that_is_not_asked_for_is_refused() -> None:
    run = paid("skip", True)

    [event] = run.refresh().events.all()
    assert (event.data["expected"], event.data["found"]) == ("pack (external)", "ship (external)")


def test_a_function_that_ends_before_a_recorded_name_is_refused() -> None:
    run = paid("stop", True)

    [event] = run.refresh().events.all()
    assert (event.data["expected"], event.data["found"]) == ("ship (external)", "the end of the function")


def test_a_function_that_raises_before_a_recorded_name_is_refused_and_undoes_nothing() -> None:
    """A fault in newly deployed code is no reason to take back what was done."""
    functions.turns["between"] = lambda _ctx: None
    run = careless.enqueue(user=SYSTEM)
    returns.within["two"] = [lambda: functions.turns.update(between=lambda _ctx: 1 / 0)]
    carry(run)

    [event] = run.refresh().events.all()
    assert (event.data["expected"], event.data["found"]) == (
        "two (external)",
        "ZeroDivisionError: division by zero",
    )
    assert lines() == ["one", "two"]


def test_a_function_that_hangs_before_a_recorded_name_is_refused_and_undoes_nothing(settings: Any) -> None:
    settings.FLOWSTATE = {"STEP_TIMEOUT": 0.3}
    functions.turns["between"] = lambda _ctx: None
    run = careless.enqueue(user=SYSTEM)
    # The hang that is to be interrupted.
    returns.within["two"] = [lambda: functions.turns.update(between=lambda _ctx: time.sleep(1))]
    carry(run)

    [event] = run.refresh().events.all()
    assert (event.data["expected"], event.data["found"]) == (
        "two (external)",
        "a call that does not end in time",
    )
    assert (run.status, lines()) == ("running", ["one", "two"])


def test_it_is_told_once_however_often_workers_try() -> None:
    run = paid("pay", "pay_by_card")
    for number in range(1, 4):
        with move_clock(seconds=20 * number):
            sweep()
            carry(run)

    assert [event.kind for event in run.refresh().events.all()] == ["shape_changed"]
    assert run.waiting_for == "person"
    assert broken() == []


def test_code_that_asks_as_before_goes_on() -> None:
    run = paid("pay", "pay_by_card")
    functions.turns.clear()

    with move_clock(seconds=20):
        carry_due()

    assert (run.refresh().value, run.waiting_for) == (11, "")
    assert lines() == ["pay", "pack", "ship"]
    assert run.step_runs.get(name="function").reason == ""
    assert not Run.objects.attention().exists()
    assert broken() == []


def test_a_cancel_undoes_what_is_found_and_leaves_the_rest_to_a_person() -> None:
    """I18, I36: the step whose compensation nobody knows now fails in being undone, and may be tried again."""
    run = paid("skip", True)

    run.cancel(SYSTEM)

    assert (run.status, run.failed_step) == ("attention", "")
    assert lines() == ["pay", "pack", "ship", "undo pay"]
    assert run.compensation_errors["pack"]["code"] == "shape_changed"
    functions.turns.clear()
    run.retry(SYSTEM)
    assert (run.refresh().status, lines()[-1]) == ("cancelled", "undo pack")
    assert broken() == []


def test_a_retry_of_a_step_that_is_not_asked_for_any_more_is_given_back() -> None:
    """It is not called, counts nothing, and is found again by code that asks for it."""
    returns.errors["two"] = [OSError("first")]
    run = insist.enqueue(user=SYSTEM)
    carry(run)
    functions.turns["two"] = "zwei"
    with move_clock(seconds=31):
        carry(run)
    row = run.refresh().step_runs.get(name="two")
    assert (row.status, row.failures, row.lost, run.waiting_for) == ("ready", 1, 0, "person")
    assert lines() == ["one", "two"]

    functions.turns.clear()
    with move_clock(seconds=60):
        carry(run)
    assert run.refresh().value == "twice"
    assert lines() == ["one", "two", "two"]
    assert broken() == []


def test_a_claim_holds_as_long_as_the_step_says_once_that_is_known() -> None:
    """I4: a worker that has not called the function yet claims for the usual time, and then for the step's own."""
    returns.errors["two"] = [OSError("first")]
    run = insist.enqueue(user=SYSTEM)
    carry(run)
    rows: list[StepRun] = []
    returns.within["two"] = [lambda: rows.append(run.step_runs.get(name="two"))]

    with move_clock(seconds=31):
        carry(run)
        claimed_until = rows[0].lease_until

    assert claimed_until is not None
    left = (claimed_until - timezone.now()).total_seconds() - 31
    assert left == pytest.approx(7 + settings().lease_grace, abs=2)


def test_a_branch_more_beside_recorded_ones_is_refused() -> None:
    returns.within["mid"] = [gone]
    run = spread.enqueue(user=SYSTEM)
    with pytest.raises(KeyboardInterrupt):
        carry(run)
    functions.turns["branches"] = ("left", "mid", "right", "fourth")
    with move_clock(seconds=1000):
        sweep()
        carry(run)

    [_lost, event] = run.refresh().events.order_by("pk")
    assert event.kind == "shape_changed"
    assert event.data["found"] == "fourth (external)"
    assert lines() == ["before", "left", "mid"]


# --- gone on with by a new run -------------------------------------------------------------------------


def test_a_retry_takes_over_what_stands_and_asks_for_the_rest_anew() -> None:
    """What was undone is called again under a new key; what stands gives its recorded value."""
    returns.errors["two"] = [CardDeclined(), CardDeclined()]
    run = insist.run(user=SYSTEM)
    with move_clock(seconds=31):
        carry(run)
    assert run.refresh().status == "compensated"

    again = run.retry(SYSTEM)

    assert (again.status, again.value) == ("succeeded", "twice")
    assert lines() == ["one", "two", "two", "undo one", "one", "two"]
    assert len(set(returns.diary.keys)) == 5
    assert broken() == []


def test_a_retry_keeps_what_was_done_without_a_way_back() -> None:
    returns.errors.update({"try": [CardDeclined()], "instead": [CardDeclined()]})
    run = mend.run(user=SYSTEM)
    assert run.status == "failed"

    again = run.retry(SYSTEM)

    assert (again.status, again.value) == ("succeeded", "tried")
    assert broken() == []


def test_a_retry_goes_through_steps_that_stand_between_those_that_were_undone() -> None:
    """Taken over steps may come after new ones: that is no changed shape."""
    functions.turns["without"] = True
    returns.errors["ship"] = [CardDeclined()]
    run = buy.run(user=SYSTEM)
    assert run.compensated_steps == ["pay"]

    again = run.retry(SYSTEM)

    assert (again.status, again.value) == ("succeeded", 11)
    assert lines() == ["pay", "pack", "ship", "undo pay", "pay", "ship"]
    assert [row.name for row in again.steps] == ["pack", "pay", "ship", "function"]
    assert broken() == []


def test_a_retry_asks_under_the_old_key_for_what_is_in_doubt() -> None:
    """I5: nobody knows whether it happened, and nobody has undone it."""
    functions.turns["without"] = True
    returns.errors["doubt"] = [ConnectionError("no answer")]
    run = functions.doubtful.run(user=SYSTEM)
    assert statuses(run) == {"first": "done", "doubt": "unknown", "function": "cancelled"}

    again = run.retry(SYSTEM)

    assert (again.status, again.value) == ("succeeded", "certain")
    assert lines() == ["first", "doubt", "doubt"]
    assert returns.diary.keys[1] == returns.diary.keys[2]
    assert broken() == []
