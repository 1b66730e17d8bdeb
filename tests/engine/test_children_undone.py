"""Child runs that are undone, by a run of their own, and those that need a person for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from flowstate import SYSTEM, deliver_event
from flowstate.engine.carry.messages import carry_run
from flowstate.models import Run
from flowstate.testing import carry_due
from tests.kiosk import returns
from tests.kiosk.families import (
    AroundWhole,
    Grand,
    Order,
    OwnUndo,
)
from tests.kiosk.looking import broken, carried, child_of, lines
from tests.kiosk.models import Entry

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    returns.forget()
    yield
    returns.forget()


# --- how it is undone ----------------------------------------------------------------------------------


def test_a_child_that_is_done_is_undone_by_a_run_of_its_own() -> None:
    returns.errors["thank"] = [OSError("no")]

    run = carried(Order)

    child, row = child_of(run, "ship"), run.step_runs.get(name="ship")
    undoing = Run.objects.get(undo_of=child)
    assert row.undone_by == undoing
    assert (run.status, child.status, undoing.status) == ("compensated", "succeeded", "cancelled")
    assert undoing.parent_id == run.pk
    assert lines() == ["pay", "pack", "send", "thank", "undo send", "undo pack", "undo pay"]
    assert not Entry.objects.exists()
    assert run.compensated_steps == ["ship", "pay"]
    assert {row.compensation for row in child.steps} == {"none"}
    assert undoing.compensated_steps == ["send", "label", "pack"]
    assert broken() == []


def test_what_a_child_has_done_in_one_transaction_is_undone_too() -> None:
    returns.errors["last"] = [OSError("no")]

    run = carried(AroundWhole)

    assert run.status == "compensated"
    assert not Entry.objects.exists()
    assert broken() == []


def test_children_of_children_are_undone_by_runs_below_the_undoing_run() -> None:
    """I16."""
    returns.errors["join"] = [OSError("no")]
    run = Grand.run(user=SYSTEM)
    carry_due()
    deliver_event("go", "k")
    carry_due()

    assert run.refresh().status == "compensated"
    undone = [line for line in lines() if line.startswith("undo")]
    assert undone == ["undo last", "undo c_two", "undo c_one", "undo first", "undo begin"]
    assert Run.objects.exclude(undo_of=None).count() == 2
    deepest = Run.objects.exclude(undo_of=None).latest("pk")
    assert len(deepest.ancestors or ()) == 2
    assert broken() == []


def test_a_step_may_undo_its_child_in_its_own_way() -> None:
    returns.errors["last"] = [OSError("no")]

    run = carried(OwnUndo)

    assert run.status == "compensated"
    assert lines() == ["pack", "send", "last", "own undo 1"]
    assert not Run.objects.exclude(undo_of=None).exists()


def test_a_child_that_is_gone_leaves_its_parent_to_a_person() -> None:
    def vanish() -> None:
        Run.objects.exclude(parent=None).delete()

    returns.within["thank"] = [vanish]
    returns.errors["thank"] = [OSError("no")]

    run = carried(Order)

    assert run.status == "attention"
    assert run.compensation_errors["ship"]["code"] == "child_gone"


# --- attention -----------------------------------------------------------------------------------------


def needing_a_person() -> tuple[Run, Run, Run]:
    """Return a root, its child and its grandchild, of which the last could not be undone."""
    run = Grand.run(user=SYSTEM)
    carry_due()
    returns.errors["c_two"] = [OSError("no")]
    returns.errors["undo c_one"] = [OSError("neither")] * 3
    deliver_event("go", "k")
    carry_due()
    above = child_of(run.refresh(), "above")
    return run, above, child_of(above, "held")


def test_a_child_that_needs_a_person_leaves_its_parents_as_they_are() -> None:
    run, above, held = needing_a_person()

    assert (run.status, above.status, held.status) == ("running", "running", "attention")
    assert [found.waiting_for for found in (run, above, held)] == ["person"] * 3
    assert set(Run.objects.attention()) == {run, above, held}
    carry_run(str(run.pk), queue="flowstate")
    assert run.refresh().waiting_for == "person"
    assert broken() == []


@pytest.mark.parametrize("act", ["retry", "waive"])
def test_the_parents_go_on_by_themselves_once_a_person_has_acted(act: str, user: Any) -> None:
    """I36."""
    run, above, held = needing_a_person()

    if act == "retry":
        held.retry(user)
    else:
        held.waive(user, step="c_one", reason="It is all right.")
    carry_due()

    assert held.refresh().status == "compensated"
    assert [found.refresh().status for found in (above, run)] == ["compensated", "compensated"]
    assert not Run.objects.attention().exists()
    assert broken() == []


def test_undoing_a_child_that_needs_a_person_shows_on_the_parent(user: Any) -> None:
    returns.errors["thank"] = [OSError("no")]
    returns.errors["undo send"] = [OSError("neither")] * 3

    run = carried(Order)

    undoing = Run.objects.exclude(undo_of=None).get()
    assert (run.status, run.waiting_for, undoing.status) == ("compensating", "person", "attention")
    assert set(Run.objects.attention()) == {run, undoing}
    undoing.retry(user)
    carry_due()

    assert run.refresh().status == "compensated"
    assert undoing.refresh().status == "cancelled"
    assert broken() == []
