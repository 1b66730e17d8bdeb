"""What `flowstate_check` says of diagrams that have drifted, and of live runs that the code has left behind."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from django.contrib.auth.models import User
from django.core.checks import CheckMessage
from django.core.management import CommandError, call_command
from django.core.management.base import SystemCheckError
from django.db import DatabaseError, connection

from flowstate import SYSTEM, Step, Workflow
from flowstate.checks.diagrams import check_diagrams
from flowstate.checks.live_runs import check_live_runs
from flowstate.engine.carry.messages import carry_run
from flowstate.models import Run, StepRun
from flowstate.workflows.workflow import made
from tests.kiosk import functions, returns
from tests.kiosk.models import Product, Sale

DRAWN = "flowchart TD\n    first --> second\n"

Flow = Callable[..., type[Workflow]]


def work(ctx: Any) -> None: ...


@pytest.fixture
def drawing(tmp_path: Path) -> Path:
    path = tmp_path / "flow.mmd"
    path.write_text(DRAWN)
    return path


@pytest.fixture
def flow(drawing: Path) -> Iterator[Flow]:
    """Make a class of an installed app that names the drawing, for the time of one test."""

    def make(**steps: Step) -> type[Workflow]:
        body = {
            "__module__": "tests.kiosk.workflows",
            "__qualname__": "Drawn",
            "diagram": str(drawing),
            **steps,
        }
        return made("Drawn", Workflow, body)

    yield make
    gc.collect()  # classes are found by their parent as long as they are


def said(found: Sequence[CheckMessage]) -> list[tuple[str | None, str]]:
    return [(message.id, message.msg) for message in found]


# --- diagrams ----------------------------------------------------------------------------------------


def test_a_workflow_that_does_as_its_diagram_draws_is_not_spoken_of(flow: Flow) -> None:
    drawn = flow(first=Step(fn=work), second=Step(fn=work))

    assert drawn.diagram
    assert check_diagrams() == []


def test_a_workflow_that_has_drifted_from_its_diagram_is_an_error(flow: Flow, drawing: Path) -> None:
    """C2."""
    drawn = flow(first=Step(fn=work), third=Step(fn=work))

    found = check_diagrams()

    assert drawn.diagram
    differences = "second is in the diagram only; third is in the class only"
    assert said(found) == [
        ("flowstate.E020", f"tests.kiosk.workflows.Drawn and its diagram, {drawing}, differ: {differences}.")
    ]
    assert "flowstate_scaffold" in str(found[0].hint)


def test_a_diagram_that_cannot_be_read_is_an_error(flow: Flow, drawing: Path) -> None:
    drawn = flow(first=Step(fn=work), second=Step(fn=work))
    drawing.write_text("flowchart TD\n    first --- second\n")
    unreadable = said(check_diagrams())
    drawing.unlink()
    missing = said(check_diagrams())

    assert drawn.diagram
    assert unreadable[0][0] == missing[0][0] == "flowstate.E021"
    assert "draws no workflow: line 2, column 14: " in unreadable[0][1]
    assert "No such file" in missing[0][1]


def test_a_subclass_is_compared_with_the_diagram_that_its_parent_names(flow: Flow) -> None:
    parent = flow(first=Step(fn=work), second=Step(fn=work))
    child = made(
        "Child", parent, {"__module__": "tests.kiosk.waits", "__qualname__": "Child", "third": Step(fn=work)}
    )

    found = said(check_diagrams())

    assert child.declaration.by_name.keys() == {"first", "second", "third"}
    assert [message.partition(" and its diagram")[0] for _id, message in found] == ["tests.kiosk.waits.Child"]


def test_the_command_fails_where_a_diagram_has_drifted(flow: Flow) -> None:
    drawn = flow(first=Step(fn=work))

    assert drawn.diagram
    with pytest.raises(SystemCheckError, match=r"flowstate\.E020"):
        call_command("flowstate_check", no_runs=True, stdout=StringIO(), stderr=StringIO())


# --- live runs ---------------------------------------------------------------------------------------


@pytest.fixture
def live(db: None) -> list[Run]:
    """Two runs that a worker would go on with, and one that has ended."""
    user = User.objects.create_user("ada")
    product = Product.objects.create(name="tea", stock=10)
    sales = [Sale.objects.create(owner=user, product=product) for _number in range(3)]
    sales[2].actions.touch.run(user=SYSTEM)
    return [sale.actions.carry.run(user=user) for sale in sales[:2]]


def test_live_runs_whose_code_is_there_are_not_spoken_of(live: list[Run]) -> None:
    assert check_live_runs("default") == []


def test_live_runs_that_need_a_step_that_the_code_no_longer_has_are_an_error(live: list[Run]) -> None:
    StepRun.objects.filter(name="charge").update(name="bill")
    StepRun.objects.filter(run__ended_at__isnull=False).update(name="gone")

    runs = "There are 2 live runs of tests.kiosk.workflows.InTheBackground with the step bill"
    assert said(check_live_runs("default")) == [
        ("flowstate.E023", f"{runs}, which this code does not declare.")
    ]


def test_live_runs_of_a_workflow_that_the_code_no_longer_has_are_an_error(live: list[Run]) -> None:
    Run.objects.filter(pk=live[0].pk).update(workflow="tests.kiosk.workflows.Gone")
    Run.objects.filter(ended_at__isnull=False).update(workflow="tests.kiosk.workflows.Forgotten")

    (found,) = said(check_live_runs("default"))

    assert found[0] == "flowstate.E022"
    assert found[1].startswith(
        "There is a live run of the workflow tests.kiosk.workflows.Gone, which this code does"
    )


def test_a_workflow_that_left_all_to_subclasses_since_counts_as_gone(live: list[Run], flow: Flow) -> None:
    Run.objects.filter(pk=live[0].pk).update(workflow="tests.faults.parcels_base.ParcelBase")

    assert [message.id for message in check_live_runs("default")] == ["flowstate.E022"]


def test_all_live_runs_are_looked_at_in_one_query(
    live: list[Run], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    StepRun.objects.filter(name="charge").update(name="bill")
    tables = 1  # that the journal is there

    with django_assert_num_queries(1 + tables):
        assert len(check_live_runs("default")) == 1


def test_without_a_journal_there_are_no_live_runs(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(connection.introspection), "table_names", lambda self: [])

    assert check_live_runs("default") == []


def test_the_command_fails_where_live_runs_are_left_behind(live: list[Run]) -> None:
    StepRun.objects.filter(name="charge").update(name="bill")
    out = StringIO()

    with pytest.raises(CommandError, match=r"Live runs need what this code does not have: 1 found\."):
        call_command("flowstate_check", stdout=out, stderr=out)
    call_command("flowstate_check", no_runs=True, stdout=out, stderr=out)

    assert "flowstate.E023" in out.getvalue()


def test_a_journal_that_cannot_be_read_is_said_to_be(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_using: str) -> None:
        raise DatabaseError("no connection")

    monkeypatch.setattr("flowstate.management.commands.flowstate_check.check_live_runs", refuse)

    with pytest.raises(
        CommandError, match=r"'default' cannot be read \(no connection\)\. Without it, give --no-runs"
    ):
        call_command("flowstate_check", stdout=StringIO(), stderr=StringIO())


# --- live runs of functions --------------------------------------------------------------------------


def test_live_runs_of_functions_are_asked_by_calling_these(db: None) -> None:
    """Nothing begins; what a run has recorded and the code does not ask for is an error."""
    run = functions.pause.enqueue(user=SYSTEM)
    carry_run(str(run.pk), queue="flowstate")
    before = returns.diary.lines.copy()
    assert check_live_runs("default") == []

    run.step_runs.filter(name="one").update(name="another")
    (found,) = said(check_live_runs("default"))

    assert found[0] == "flowstate.E024"
    assert "has recorded the step another (external)" in found[1]
    assert "comes to one (external)" in found[1]
    assert returns.diary.lines == before
