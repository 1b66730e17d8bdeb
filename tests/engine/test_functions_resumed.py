"""Functions that another process goes on with: after a wait, a death, side by side with others."""

from __future__ import annotations

from typing import Any

import pytest

from django.db import connection

from flowstate import (
    SYSTEM,
)
from flowstate.engine.carry.sweep import sweep
from flowstate.models import Run
from flowstate.testing import carry_due, move_clock
from tests.kiosk import functions, returns
from tests.kiosk.calls import broken, carry, lines, statuses
from tests.kiosk.functions import (
    careless,
    hand_over,
    in_time,
    insist,
    pause,
    spread,
)
from tests.kiosk.workflows import CardDeclined

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("forgotten")]


# --- another process goes on ---------------------------------------------------------------------------


def test_a_retry_later_is_found_again_by_another_worker_and_undone_by_it() -> None:
    """I5, I25: its function, its own limits and its compensation, in a process that never called it before."""
    returns.errors["two"] = [OSError("first"), ConnectionError("second")]
    run = insist.enqueue(user=SYSTEM)
    carry(run)
    assert statuses(run) == {"one": "done", "two": "ready", "function": "blocked"}
    assert run.refresh().waiting_for == "time"

    with move_clock(seconds=31):
        carry(run)

    assert (run.refresh().status, run.failed_step) == ("compensated", "two")
    assert statuses(run)["two"] == "unknown"
    assert lines() == ["one", "two", "two", "undo two", "undo one"]
    assert returns.diary.keys[1] == returns.diary.keys[2]
    assert broken() == []


def test_a_cancel_undoes_what_another_process_did() -> None:
    run = pause.run(user=SYSTEM)

    run.cancel(SYSTEM)

    assert (run.status, lines()) == ("cancelled", ["one", "undo one"])
    assert statuses(run) == {"one": "done", "sleep": "cancelled", "function": "cancelled"}
    assert broken() == []


def test_a_step_of_another_queue_is_left_to_its_workers() -> None:
    run = hand_over.run(user=SYSTEM)
    assert statuses(run) == {"one": "done", "two": "ready", "function": "blocked"}
    assert carry(run) == ""

    carry(run, "slow")
    assert statuses(run) == {"one": "done", "two": "done", "function": "ready"}
    carry(run)

    assert run.refresh().value == 3
    assert lines() == ["one", "two", "three"]
    assert broken() == []


def test_a_worker_that_dies_in_the_function_is_replaced() -> None:
    """I2, I3: its claim ends, another calls the function from its start; what it lost counts no longer then."""

    def die(_ctx: Any) -> None:
        del functions.turns["between"]
        functions.turns["between"] = lambda _ctx: None
        raise KeyboardInterrupt

    functions.turns["between"] = die
    run = careless.enqueue(user=SYSTEM)
    with pytest.raises(KeyboardInterrupt):
        carry(run)
    assert statuses(run) == {"one": "done", "function": "running"}

    with move_clock(seconds=1000):
        sweep()
        carry(run)

    row = run.refresh().step_runs.get(name="function")
    assert (run.value, lines(), row.lost) == (2, ["one", "two"], 0)
    assert [event.kind for event in run.events.all()] == ["lease_lost"]
    assert broken() == []


def test_a_function_that_kills_its_workers_is_given_up() -> None:
    def die(_ctx: Any) -> None:
        raise KeyboardInterrupt

    functions.turns["between"] = die
    run = careless.enqueue(user=SYSTEM)
    for number in range(1, 4):
        with move_clock(seconds=1000 * number):
            sweep()
            with pytest.raises(KeyboardInterrupt):
                carry(run)
    functions.turns["between"] = lambda _ctx: None
    with move_clock(seconds=5000):
        sweep()
        carry(run)

    assert (run.refresh().status, run.failed_step) == ("compensated", "function")
    assert run.error is not None
    assert run.error["code"] == "worker_lost"
    assert lines() == ["one", "undo one"]
    assert broken() == []


def test_a_cancel_while_the_function_is_called_lets_nothing_begin() -> None:
    """I24."""
    run = careless.enqueue(user=SYSTEM)
    functions.turns["between"] = lambda _ctx: Run.objects.get().cancel(SYSTEM) if _cancelled(run) else None
    carry(run)

    assert run.refresh().status == "cancelled"
    assert lines() == ["one", "undo one"]
    assert broken() == []


def _cancelled(run: Run) -> bool:
    return Run.objects.get(pk=run.pk).status == "running"


# --- sleeping ------------------------------------------------------------------------------------------


def test_sleeps_are_waits_by_the_clock_of_the_database() -> None:
    """I26, I29: nobody holds a worker, and none ends early."""
    run = pause.run(user=SYSTEM)
    assert statuses(run) == {"one": "done", "sleep": "waiting", "function": "blocked"}
    assert (run.waiting_for, connection.in_atomic_block) == ("time", False)
    assert carry(run) == ""

    with move_clock(seconds=3601):
        sweep()
        carry_due()
        assert statuses(run)["longer"] == "waiting"
    with move_clock(seconds=7300):
        carry_due()

    assert (run.refresh().value, lines()) == ("rested", ["one", "two"])
    assert broken() == []


def test_a_run_that_sleeps_past_its_deadline_is_undone() -> None:
    run = in_time.run(user=SYSTEM)

    with move_clock(seconds=601):
        sweep()
        carry(run)

    assert run.refresh().status == "compensated"
    assert run.error is not None
    assert run.error["code"] == "run_timeout"
    assert lines() == ["one", "undo one"]
    assert broken() == []


# --- side by side --------------------------------------------------------------------------------------


def test_branches_give_their_results_in_their_order() -> None:
    """P20: inline in a stable order."""
    run = spread.run(user=SYSTEM)

    assert run.value == [1, "LEFT", "MID", "RIGHT"]
    assert lines() == ["before", "left", "mid", "right", "after"]
    assert {row.name: row.depends_on for row in run.steps} == {
        "before": [],
        "left": ["before"],
        "mid": ["before"],
        "right": ["before"],
        "after": ["left", "mid", "right"],
        "function": ["after"],
    }
    assert broken() == []


def test_branches_in_the_background_are_free_for_several_workers() -> None:
    """I6, I7: the function goes on once, after the last of them."""
    run = spread.enqueue(user=SYSTEM)
    seen: list[dict[str, str]] = []

    def another_worker() -> None:
        seen.append(statuses(run))
        carry(run)

    returns.within["left"] = [another_worker]
    carry(run)

    assert seen[0] == {
        "before": "done",
        "left": "running",
        "mid": "ready",
        "right": "ready",
        "function": "blocked",
    }
    assert run.refresh().value == [1, "LEFT", "MID", "RIGHT"]
    assert lines() == ["before", "left", "mid", "right", "after"]
    assert broken() == []


def test_a_failed_branch_keeps_the_others_from_beginning() -> None:
    returns.errors["mid"] = [CardDeclined()]
    run = spread.run(user=SYSTEM)

    assert (run.status, run.failed_step) == ("compensated", "mid")
    assert lines() == ["before", "left", "mid", "undo left", "undo before"]
    assert statuses(run)["right"] == "cancelled"
    assert broken() == []


def test_branches_are_undone_last_to_first() -> None:
    """I16: after what followed them, and what ended last first."""
    returns.errors["after"] = [CardDeclined()]
    run = spread.run(user=SYSTEM)

    undone = ["undo right", "undo mid", "undo left", "undo before"]
    assert lines() == ["before", "left", "mid", "right", "after", *undone]
    assert run.compensated_steps == ["right", "mid", "left", "before"]
    assert broken() == []
