"""Child runs: begun by a step, on a page of their own, and what they come to settles the step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from django.db import transaction

from flowstate import SYSTEM, ChildCancelled, ChildFailed, RunConflict, deliver_event
from flowstate.engine.carry.messages import carry_run
from flowstate.engine.carry.sweep import sweep
from flowstate.models import Run, StepRun
from flowstate.testing import carry_due
from tests.kiosk import returns
from tests.kiosk.families import (
    Above,
    AroundWhole,
    Endless,
    Exclusive,
    Forgiving,
    Grand,
    InTime,
    Order,
    ParcelTooHeavy,
    Refused,
    Ship,
    WithRow,
)
from tests.kiosk.looking import broken, carried, child_of, lines
from tests.kiosk.models import Entry, Sale
from tests.kiosk.stall import OnSale

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    returns.forget()
    yield
    returns.forget()


# --- how it runs ---------------------------------------------------------------------------------------


def test_a_child_is_a_run_of_its_own_and_its_value_is_the_steps_result() -> None:
    run = Order.run(user=SYSTEM)

    child = child_of(run, "ship")
    assert run.refresh().step_runs.get(name="ship").status == "waiting"
    assert (child.workflow, child.parent_id, child.parent_step) == (Ship.declaration.name, run.pk, "ship")
    assert (child.input, child.status, child.exclusive_key) == ({"weight": 7}, "running", None)
    assert broken() == []

    carry_due()

    assert run.refresh().success
    assert run.value == 7
    assert run.results["ship"] == {"weight": 7}
    assert child.refresh().success
    assert lines() == ["pay", "pack", "send", "thank"]
    assert broken() == []


def test_a_parent_waits_at_no_cost_while_its_child_does() -> None:
    """I12: only the child's end moves it on, and that is a commit of the child."""
    run = Above.run(user=SYSTEM)
    carry_due()
    child = child_of(run, "held")

    wake_at = run.refresh().wake_at
    assert wake_at is not None
    assert wake_at > child.started_at + timedelta(days=365 * 100)
    assert (run.waiting_for, child.waiting_for) == ("", "event")
    assert carry_run(str(run.pk), queue="flowstate") == ""
    deliver_event("go", "k")
    carry_due()

    assert run.refresh().success
    assert lines() == ["first", "c_one", "c_two", "last"]
    assert broken() == []


def test_the_childs_last_commit_settles_the_parents_step() -> None:
    run = Order.run(user=SYSTEM)
    child = child_of(run, "ship")

    carry_run(str(child.pk), queue="flowstate")

    assert child.refresh().success
    assert [row.status for row in run.refresh().steps] == ["done", "done", "blocked"]
    assert carry_run(str(run.pk), queue="flowstate") == "succeeded"


def test_a_child_works_on_the_parents_row_for_the_same_user(on_sale: OnSale, sale: Sale, user: Any) -> None:
    run = on_sale(WithRow).run(user=user)
    carry_due()

    child = child_of(run, "child")
    assert run.refresh().success
    assert (child.entity, child.requested_by) == (sale, user)
    sale.refresh_from_db()
    assert sale.status == "by the child"
    assert set(Run.objects.for_entity(sale)) == {run, child}
    assert child in Run.objects.visible_to(user)


def test_a_child_that_is_one_transaction_settles_its_step_too() -> None:
    run = carried(AroundWhole)

    assert run.success
    assert run.results["whole"] == "counted"
    assert broken() == []


def test_a_child_begins_with_its_parents_transaction_or_not_at_all(on_sale: OnSale) -> None:
    """I14."""
    with transaction.atomic():
        on_sale(WithRow).enqueue(user=SYSTEM)
        transaction.set_rollback(True)

    assert not Run.objects.exists()


def test_only_the_root_holds_an_exclusive_key() -> None:
    """I11."""
    run = Exclusive.run(user=SYSTEM)

    assert Run.objects.exclude(exclusive_key=None).get() == run
    carry_due()
    assert not Run.objects.exclude(exclusive_key=None).exists()
    assert run.refresh().success


def test_a_workflow_that_runs_itself_ends_with_a_clear_error(settings: Any) -> None:
    settings.FLOWSTATE = {"MAX_CHILD_DEPTH": 3}

    run = carried(Endless)

    assert Run.objects.count() == 4
    assert run.status == "failed"
    assert run.error is not None
    assert run.error["code"] == "children_too_deep"
    assert "would run tests.kiosk.families.Endless below 4 other runs" in run.error["detail"]
    assert broken() == []


def test_a_child_whose_workflow_says_no_fails_the_step() -> None:
    run = carried(Refused)

    assert run.status == "compensated"
    assert run.error is not None
    assert run.error["code"] == "start_refused"
    assert Run.objects.count() == 1
    assert lines() == ["first", "undo first"]


# --- how it ends badly ---------------------------------------------------------------------------------


def test_a_child_that_fails_has_undone_itself_and_fails_the_parent() -> None:
    returns.errors["send"] = [ParcelTooHeavy()]

    run = carried(Order)

    child = child_of(run, "ship")
    assert (child.status, run.status) == ("compensated", "compensated")
    assert lines() == ["pay", "pack", "send", "undo pack", "undo pay"]
    assert not Entry.objects.exists()
    assert (run.failed_step, run.step_runs.get(name="ship").status) == ("ship", "failed")
    with pytest.raises(ParcelTooHeavy):
        run.raise_for_status()
    assert run.error is not None
    assert run.error["run"] == str(child.pk)
    assert broken() == []


def test_what_fails_a_child_without_a_name_is_told_with_the_childs_step() -> None:
    returns.errors["send"] = [OSError("no van")]

    run = carried(Order)

    with pytest.raises(ChildFailed, match=r"Child run .* \(Ship\) failed at step send: no van"):
        run.raise_for_status()


def test_an_optional_child_that_fails_leaves_its_default() -> None:
    returns.errors["send"] = [ParcelTooHeavy()]

    run = carried(Forgiving)

    assert run.success
    assert run.value == "not shipped"
    assert run.step_runs.get(name="ship").status == "failed"
    assert broken() == []


def test_a_child_that_somebody_cancels_fails_the_step(user: Any) -> None:
    run = Above.run(user=SYSTEM)
    carry_due()

    child_of(run, "held").cancel(user)
    carry_due()

    assert child_of(run, "held").status == "cancelled"
    assert run.refresh().status == "compensated"
    assert lines() == ["first", "c_one", "undo c_one", "undo first"]
    with pytest.raises(ChildCancelled, match="was cancelled by ada"):
        run.raise_for_status()
    assert broken() == []


def test_a_child_that_has_ended_is_retried_with_its_parent_only() -> None:
    returns.errors["send"] = [ParcelTooHeavy()]
    run = carried(Order)

    with pytest.raises(RunConflict, match=f"It worked for run {run.pk}"):
        child_of(run, "ship").retry(SYSTEM)
    again = run.retry(SYSTEM)
    carry_due()

    assert again.refresh().success
    assert child_of(again, "ship") != child_of(run, "ship")
    assert broken() == []


# --- how it is cancelled -------------------------------------------------------------------------------


def test_a_cancel_reaches_all_runs_below_in_one_commit() -> None:
    """I24: level by level, from the root down."""
    run = Grand.run(user=SYSTEM)
    carry_due()
    above = child_of(run, "above")
    held = child_of(above, "held")
    assert held.waiting_for == "event"

    run.cancel(SYSTEM, "enough")

    statuses = [found.refresh().status for found in (run, above, held)]
    assert statuses == ["compensating"] * 3
    assert not StepRun.objects.filter(status__in=["ready", "blocked"]).exists()
    assert held.step_runs.get(name="wait").status == "cancelled"
    deliver_event("go", "k")
    carry_due()

    assert [found.refresh().status for found in (run, above, held)] == ["cancelled"] * 3
    undone = [line for line in lines() if line.startswith("undo")]
    assert undone == ["undo c_one", "undo first", "undo begin"]
    assert held.events.get().data["detail"] == f"Run {run.pk}, which it works for, was stopped."
    assert broken() == []


def test_a_failing_branch_stops_the_child_of_another_and_waits_for_it() -> None:
    """I16: what came before the child is undone after it."""
    returns.errors["beside"] = [OSError("no")]
    run = Grand.run(user=SYSTEM)
    above = child_of(run, "above")
    carry_run(str(above.pk), queue="flowstate")
    carry_run(str(child_of(above, "held").pk), queue="flowstate")
    assert lines() == ["begin", "first", "c_one"]

    carry_due()

    assert run.refresh().status == "compensated"
    assert {found.status for found in Run.objects.exclude(pk=run.pk)} == {"cancelled"}
    undone = [line for line in lines() if line.startswith("undo")]
    assert undone == ["undo c_one", "undo first", "undo begin"]
    assert run.step_runs.get(name="above").status == "cancelled"
    assert broken() == []


def test_the_deadline_of_a_parent_stops_its_child(clock: Callable[[float], None]) -> None:
    run = carried(InTime)

    clock(3601)
    sweep()
    carry_due()

    assert run.refresh().status == "compensated"
    assert run.error is not None
    assert run.error["code"] == "run_timeout"
    assert child_of(run, "child").status == "cancelled"
    assert lines() == ["first", "asleep", "undo asleep", "undo first"]
    assert broken() == []
