"""Functions that write rows by entity steps: exactly as a class does, with the undo that is derived."""

from __future__ import annotations

import pytest

from django.contrib.auth.models import User

from flowstate import SYSTEM
from flowstate.models import Run
from flowstate.testing import move_clock
from tests.kiosk import returns
from tests.kiosk.calls import broken, carry, lines, statuses
from tests.kiosk.functions import stock_up
from tests.kiosk.models import Entry, Sale
from tests.kiosk.stall import OnSale
from tests.kiosk.workflows import CardDeclined

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("forgotten")]


def status_of(sale: Sale) -> str:
    sale.refresh_from_db()
    return sale.status


def test_rows_are_written_with_the_journal(on_sale: OnSale, user: User, sale: Sale) -> None:
    """I1."""
    run = on_sale(stock_up).run(user=user)

    assert (run.success, run.value) == (True, Entry.objects.get().pk)
    assert [(row.name, row.kind) for row in run.steps][:2] == [("note", "create"), ("mark", "update")]
    assert status_of(sale) == "packed"
    assert broken() == []


def test_rows_are_undone_by_the_inverse_that_was_recorded(on_sale: OnSale, user: User, sale: Sale) -> None:
    """I16, I17, I20: also by a process that has not called the function before."""
    before = sale.status
    returns.errors["tell"] = [OSError("not yet"), CardDeclined()]
    run = on_sale(stock_up).enqueue(user=user)
    carry(run)
    assert statuses(run)["tell"] == "ready"

    with move_clock(seconds=31):
        carry(run)

    assert (run.refresh().status, run.compensated_steps) == ("compensated", ["mark", "note"])
    assert (Entry.objects.count(), status_of(sale)) == (0, before)
    assert lines() == ["tell", "tell"]
    assert broken() == []


def left_waiting(on_sale: OnSale, user: User) -> Run:
    """Return a run that has written its rows and waits for another try."""
    returns.errors["tell"] = [OSError("not yet")]
    run = on_sale(stock_up).enqueue(user=user)
    carry(run)
    return run


def test_a_preview_tells_which_rows_an_undo_would_change(on_sale: OnSale, user: User, sale: Sale) -> None:
    run = left_waiting(on_sale, user)

    steps = {step.step: step for step in run.preview_undo()}

    assert (steps["mark"].by, steps["note"].by) == ("inverse", "inverse")
    assert [row.model for row in steps["mark"].rows] == ["kiosk.Sale"]


def test_a_conflict_is_left_to_a_person_and_can_be_forced(on_sale: OnSale, user: User, sale: Sale) -> None:
    """I19, I36."""
    run = left_waiting(on_sale, user)
    Sale.objects.update(status="taken home")

    run.cancel(SYSTEM)
    assert (run.status, status_of(sale)) == ("attention", "taken home")
    run.force(SYSTEM, "mark", "It is not.")

    assert run.status == "cancelled"
    assert status_of(sale) == "open"
    assert broken() == []


def test_what_the_code_does_not_come_to_any_more_is_left_to_a_person(on_sale: OnSale, user: User) -> None:
    """Of which models a record may be says the step that wrote it; without it nothing is undone by guessing."""
    run = left_waiting(on_sale, user)
    run.step_runs.filter(name="note").update(name="noted_before")

    run.cancel(SYSTEM)

    assert run.status == "attention"
    assert run.compensation_errors["noted_before"]["code"] == "shape_changed"
    assert Entry.objects.count() == 1


def test_a_retry_writes_the_rows_again(on_sale: OnSale, user: User, sale: Sale) -> None:
    returns.errors["tell"] = [CardDeclined(), CardDeclined()]
    run = on_sale(stock_up).run(user=user)
    with move_clock(seconds=31):
        carry(run)
    assert run.refresh().status == "compensated"

    again = run.retry(SYSTEM)

    assert again.success
    assert (Entry.objects.count(), status_of(sale)) == (1, "packed")
    assert broken() == []
