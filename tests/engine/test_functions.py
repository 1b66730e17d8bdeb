"""Workflows that are functions: what they ask for is journaled, given back, and undone."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from django.db import transaction

from flowstate import (
    SYSTEM,
    FunctionContext,
    InputInvalid,
    InsideTransaction,
    workflow,
)
from flowstate.models import Run
from flowstate.models.clock import shift_clock
from flowstate.testing import carry_due
from tests.kiosk import functions, returns
from tests.kiosk.calls import broken, carry, lines, statuses
from tests.kiosk.functions import (
    Parent,
    ParentOfSpread,
    book,
    buy,
    careless,
    do,
    in_time,
    mend,
    pause,
)
from tests.kiosk.models import Entry, Sale
from tests.kiosk.stall import OnSale
from tests.kiosk.workflows import CardDeclined

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("forgotten")]


# --- what is journaled ---------------------------------------------------------------------------------


def test_each_step_becomes_a_row_in_the_order_of_asking_and_the_function_ends_last() -> None:
    run = buy.run(user=SYSTEM, input={"amount": 3})

    rows = run.steps
    assert [(row.name, row.kind, row.status) for row in rows] == [
        ("pay", "external", "done"),
        ("pack", "external", "done"),
        ("ship", "external", "done"),
        ("function", "function", "done"),
    ]
    assert [row.seq for row in rows[:3]] == [0, 1, 2]
    assert [row.depends_on for row in rows] == [[], ["pay"], ["pack"], ["ship"]]
    assert (run.status, run.value, run.progress) == ("succeeded", 4, 100)
    assert run.results["pay"] == {"paid": 3}
    assert broken() == []


def test_finished_steps_give_what_the_journal_holds_and_are_not_called_again() -> None:
    """The function itself is called once more for each step; its steps once each, under their own keys."""
    run = buy.run(user=SYSTEM)

    assert returns.diary.lines == ["call", "pay", "call", "pack", "call", "ship", "call"]
    assert returns.diary.keys == [f"{run.pk}:{name}" for name in ("pay", "pack", "ship")]


def test_a_run_in_the_background_is_the_same_run() -> None:
    run = buy.enqueue(user=SYSTEM, input={"amount": 3})
    assert lines() == []
    assert statuses(run) == {"function": "ready"}

    carry_due()

    assert run.refresh().value == 4
    assert lines() == ["pay", "pack", "ship"]
    assert broken() == []


def test_the_input_is_validated_before_there_is_a_run() -> None:
    with pytest.raises(InputInvalid):
        buy.run(user=SYSTEM, input={"amount": 0})

    assert not Run.objects.exists()


def test_progress_only_grows() -> None:
    """P28: nobody knows how many steps will come, but what has settled stays so."""
    seen: list[int] = []

    def look() -> None:
        seen.append(Run.objects.get().progress)

    returns.within.update({name: [look] for name in ("pay", "pack", "ship")})
    run = buy.run(user=SYSTEM)

    seen.append(run.refresh().progress)
    assert seen == [0, 50, 66, 100]


def test_a_function_of_an_action_knows_its_row(on_sale: OnSale, sale: Sale) -> None:
    @workflow
    def see(ctx: FunctionContext[Sale]) -> Any:
        return ctx.step("look", lambda own, quantity: [own.entity_id, quantity], ctx.entity.quantity)

    run = on_sale(see).run(user=SYSTEM)

    assert run.value == [sale.pk, 3]


# --- failing and undoing -------------------------------------------------------------------------------


def test_a_failed_step_has_all_before_it_undone_in_reverse() -> None:
    """P24, I15, I16: with the results they had, under keys of their own."""
    returns.errors["ship"] = [CardDeclined()]
    run = buy.run(user=SYSTEM)

    assert (run.status, run.failed_step) == ("compensated", "ship")
    assert lines() == ["pay", "pack", "ship", "undo pack", "undo pay"]
    assert returns.diary.undone_with == {"pay": {"paid": 10}, "pack": None}
    assert statuses(run) == {"pay": "done", "pack": "done", "ship": "failed", "function": "cancelled"}
    with pytest.raises(CardDeclined):
        run.raise_for_status()
    assert broken() == []


def test_what_the_function_raises_itself_fails_the_run() -> None:
    functions.turns["between"] = lambda _ctx: 1 / 0
    run = careless.run(user=SYSTEM)

    assert (run.status, run.failed_step) == ("compensated", "function")
    assert run.error is not None
    assert run.error["class"] == "builtins.ZeroDivisionError"
    assert lines() == ["one", "undo one"]
    assert broken() == []


def test_a_call_of_the_function_that_takes_too_long_fails_the_run(settings: Any) -> None:
    settings.FLOWSTATE = {"STEP_TIMEOUT": 0.2}
    functions.turns["between"] = lambda _ctx: time.sleep(0.5)  # what is to be interrupted
    run = careless.run(user=SYSTEM)

    assert (run.status, run.failed_step) == ("compensated", "function")
    assert run.error is not None
    assert run.error["code"] == "step_timeout"
    assert broken() == []


def test_nothing_begins_once_the_run_has_taken_too_long() -> None:
    run = in_time.enqueue(user=SYSTEM)
    returns.within["one"] = [lambda: shift_clock(700)]
    try:
        carry(run)
    finally:
        shift_clock(-700)

    assert run.refresh().status == "compensated"
    assert run.error is not None
    assert run.error["code"] == "run_timeout"
    assert lines() == ["one", "undo one"]
    assert broken() == []


def test_an_optional_step_that_fails_gives_its_default_and_the_function_goes_on() -> None:
    """P26: so it decides by what is recorded."""
    returns.errors["try"] = [CardDeclined()]
    run = mend.run(user=SYSTEM)

    assert (run.status, run.value) == ("succeeded", "mended")
    assert statuses(run)["try"] == "failed"
    assert broken() == []


def test_a_failed_step_is_not_told_to_the_function() -> None:
    """As in a class nothing new starts; `except Exception` around it never sees anything."""

    @workflow
    def catching(ctx: FunctionContext[Any]) -> Any:
        try:
            return ctx.step("one", do, "one")
        except Exception:  # what is tried here is that nothing arrives
            return ctx.step("two", do, "two")

    returns.errors["one"] = [CardDeclined()]
    run = catching.run(user=SYSTEM)

    assert (run.status, lines()) == ("failed", ["one"])


def test_rows_of_a_transactional_step_commit_and_are_undone_with_the_journal() -> None:
    """I1, I17."""
    returns.errors["ship"] = [CardDeclined()]
    run = book.run(user=SYSTEM)

    assert (run.status, lines()) == ("compensated", ["write booked", "ship", "erase"])
    assert not Entry.objects.exists()
    assert broken() == []


def test_a_function_that_catches_the_interrupt_is_interrupted_all_the_same() -> None:
    @workflow
    def stubborn(ctx: FunctionContext[Any]) -> Any:
        try:
            ctx.step("one", do, "one")
        except BaseException:  # the mistake that is tried here
            returns.diary.lines.append("caught")
        return ctx.step("two", do, "two", 2)

    run = stubborn.run(user=SYSTEM)

    assert (run.value, run.success) == (2, True)
    assert [line for line in lines() if line != "caught"] == ["one", "two"]


# --- with others ---------------------------------------------------------------------------------------


def test_a_function_can_be_a_child() -> None:
    run = Parent.run(user=SYSTEM)
    carry_due()

    assert run.refresh().value == 6
    assert lines() == ["pay", "pack", "ship"]
    assert broken() == []


def test_a_child_that_is_a_function_and_done_is_undone_by_a_run_of_its_own() -> None:
    """I16: that run finds the compensations by calling the function; branches are undone last to first."""
    returns.errors["thank"] = [CardDeclined()]
    run = ParentOfSpread.run(user=SYSTEM)
    carry_due()

    assert (run.refresh().status, run.failed_step) == ("compensated", "thank")
    assert lines()[5:] == ["thank", "undo after", "undo right", "undo mid", "undo left", "undo before"]
    undoing = Run.objects.get(undo_of__isnull=False)
    assert (undoing.status, undoing.compensated_steps) == (
        "cancelled",
        ["after", "right", "mid", "left", "before"],
    )
    assert broken() == []


def test_a_child_that_is_a_function_fails_its_parent() -> None:
    returns.errors["ship"] = [CardDeclined()]
    run = Parent.run(user=SYSTEM)
    carry_due()

    assert (run.refresh().status, run.failed_step) == ("failed", "child")
    assert lines() == ["pay", "pack", "ship", "undo pack", "undo pay"]
    assert broken() == []


def test_in_a_callers_transaction_a_function_is_refused_but_may_be_enqueued() -> None:
    with transaction.atomic():
        with pytest.raises(InsideTransaction, match="is a function"):
            buy.run(user=SYSTEM)
        run = buy.enqueue(user=SYSTEM)
    carry_due()

    assert run.refresh().success


def test_a_function_that_no_worker_could_find_runs_inline_only() -> None:
    @workflow
    def here(ctx: FunctionContext[Any]) -> Any:
        ctx.step("one", do, "one")
        ctx.sleep(10)

    run = here.run(user=SYSTEM)

    assert run.error is not None
    assert (run.status, run.error["code"]) == ("failed", "workflow_not_findable")


def test_a_run_is_drawn_from_its_rows(clock: Callable[[float], None]) -> None:
    drawn = pause.run(user=SYSTEM).to_mermaid()

    assert "one" in drawn
    assert "sleep" in drawn
    assert "waiting" in drawn
