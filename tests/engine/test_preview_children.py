"""What undoing a run would do to the rows of its children: told under the names of the steps that run them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flowstate import SYSTEM, CreateStep, EventStep, Workflow, WorkflowStep
from flowstate.models import Run, StepRun
from flowstate.testing import carry_due
from tests.kiosk import returns
from tests.kiosk.families import OwnUndo, Ship
from tests.kiosk.looking import carried
from tests.kiosk.models import Entry
from tests.kiosk.statements import Statements
from tests.kiosk.workflows import diary_step

pytestmark = pytest.mark.django_db(transaction=True)


class Shipped(Workflow):
    """A child that is done, before a wait."""

    class Meta:
        exclusive = None

    pay = diary_step("pay")
    ship = WorkflowStep(Ship, input={"weight": 7})
    wait = EventStep("go", key="k")


class Packing(Workflow):
    """A child that waits, with a row of its own."""

    book = CreateStep("kiosk.Entry", values={"what": "booked"})
    wait = EventStep("go", key="k")


class Around(Workflow):
    """Waits for a child that waits."""

    class Meta:
        exclusive = None

    packing = WorkflowStep(Packing)


class AroundIt(Workflow):
    """Waits for a child that waits for a child; beside others."""

    class Meta:
        exclusive = None

    one = WorkflowStep(Around, depends_on=())
    two = WorkflowStep(Around, depends_on=())
    end = diary_step("end", depends_on=[one, two])


class OwnWay(OwnUndo):
    """Undoes its child by code of its own, and waits."""

    wait = EventStep("go", key="k", depends_on="ship")


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    returns.forget()
    yield
    returns.forget()


def told(run: Run) -> list[tuple[str, str]]:
    return [(preview.step, preview.by) for preview in run.preview_undo()]


def test_the_rows_of_a_child_that_is_done_are_told_under_its_step() -> None:
    run = carried(Shipped)
    entry = Entry.objects.get()

    previews = run.preview_undo()

    assert [(preview.step, preview.by) for preview in previews] == [
        ("ship / send", "compensation"),
        ("ship / label", "inverse"),
        ("ship / pack", "compensation"),
        ("pay", "compensation"),
    ]
    [row] = previews[1].rows
    assert (row.model, row.key, row.what) == ("kiosk.Entry", str(entry.pk), "deleted")
    assert {preview.own_step for preview in previews} == {"ship", "pay"}


def test_what_is_told_of_a_child_is_what_cancelling_does() -> None:
    run = carried(Shipped)
    order = [name.partition(" / ")[2] for name, _by in told(run) if name.startswith("ship")]

    run.cancel(SYSTEM)
    carry_due()

    assert Run.objects.exclude(undo_of=None).get().compensated_steps == order
    assert not Entry.objects.exists()


def test_what_a_child_at_work_has_done_so_far_is_told_level_by_level() -> None:
    run = carried(AroundIt)

    assert set(told(run)) == {("one / packing / book", "inverse"), ("two / packing / book", "inverse")}


def test_a_run_that_already_undoes_a_child_tells_what_it_has_left() -> None:
    run = carried(Shipped)
    returns.errors["undo send"] = [OSError("no")] * 3

    run.cancel(SYSTEM)
    carry_due()

    assert run.refresh().waiting_for == "person"
    assert told(run) == [("ship / send", "compensation"), ("pay", "compensation")]


def test_a_child_that_its_step_undoes_in_its_own_way_is_not_looked_into() -> None:
    run = carried(OwnWay)

    assert ("ship", "compensation") in told(run)


def test_a_child_that_is_gone_is_told_as_what_is_in_the_way() -> None:
    run = carried(Shipped)
    StepRun.objects.filter(run__parent=run).delete()

    [ship, _pay] = run.preview_undo()

    assert (ship.step, ship.by, ship.rows) == ("ship", "run", ())
    assert "is gone: what it has done cannot be undone" in ship.conflict


def test_the_rest_is_told_where_the_code_does_not_know_the_child() -> None:
    run = carried(Shipped)
    Run.objects.filter(parent=run).update(workflow="shop.Gone")

    ship, pay = run.preview_undo()

    assert (ship.by, pay.by) == ("run", "compensation")
    assert "shop.Gone" in ship.conflict


def test_the_steps_of_children_are_read_with_one_statement_for_each_level() -> None:
    run = carried(AroundIt)
    run.preview_undo()

    with Statements() as said:
        run.preview_undo()

    assert {sql.split()[0] for sql in said.all} == {"SELECT"}
    assert not [sql for sql in said.all if "FOR UPDATE" in sql]
    assert len([sql for sql in said.work if "flowstate_steprun" in sql]) == 1 + 2, said.work
