"""Runs as Mermaid diagrams: where each step stands, and the way back where steps are undone."""

from __future__ import annotations

import pytest
from pytest_django import DjangoAssertNumQueries

from django.contrib.auth.models import User

from flowstate import SYSTEM, Workflow
from flowstate.models import Run, StepRun
from tests.kiosk.diary import Diary
from tests.kiosk.stall import OnSale
from tests.kiosk.workflows import InTheBackground

pytestmark = pytest.mark.django_db(transaction=True)


def drawn(run: Run) -> list[str]:
    """Return the lines of the diagram without its header and colours."""
    header, *lines = run.to_mermaid().splitlines()
    assert header == "flowchart TD"
    return [line.strip() for line in lines if "classDef" not in line]


def test_a_run_that_ended_well_shows_its_steps_as_done(diary: Diary) -> None:
    steps = [diary.undoable("a"), diary.step("b"), diary.step("c", depends_on="a")]

    run = Workflow.from_steps("well", steps).run(user=SYSTEM)

    assert drawn(run) == [
        'a["a<br/>done"]:::done',
        'b["b<br/>done"]:::done',
        'c["c<br/>done"]:::done',
        "a --> b",
        "a --> c",
    ]
    assert "    classDef done fill:" in run.to_mermaid()
    assert run.to_mermaid().count("classDef") == 1


def test_a_run_that_was_undone_shows_the_way_back_in_dotted_arrows(diary: Diary) -> None:
    steps = [
        diary.undoable("reserve"),
        diary.step("check"),
        diary.undoable("charge"),
        diary.step("ship", errors=[OSError("no van")]),
    ]

    run = Workflow.from_steps("back", steps).run(user=SYSTEM)

    assert run.status == "compensated"
    assert drawn(run) == [
        'reserve["reserve<br/>done"]:::done',
        'check["check<br/>done"]:::done',
        'charge["charge<br/>done"]:::done',
        'ship["ship<br/>failed"]:::failed',
        '__undo_reserve(["undo reserve<br/>done"]):::undo_done',
        '__undo_charge(["undo charge<br/>done"]):::undo_done',
        "reserve --> check",
        "check --> charge",
        "charge --> ship",
        "__undo_charge -.-> __undo_reserve",
        "charge -.-> __undo_charge",
    ]
    assert diary.lines[-2:] == ["undo charge", "undo reserve"]


def test_an_undoing_that_failed_shows_what_is_left_to_do(diary: Diary) -> None:
    steps = [
        diary.undoable("a", undo_errors=[OSError("gone")] * 3),
        diary.undoable("b"),
        diary.step("c", errors=[OSError("no")]),
    ]

    run = Workflow.from_steps("halted", steps).run(user=SYSTEM)

    assert run.status == "attention"
    assert '__undo_a(["undo a<br/>failed"]):::undo_failed' in drawn(run)
    assert '__undo_b(["undo b<br/>done"]):::undo_done' in drawn(run)


def test_steps_that_have_not_begun_show_that_they_wait(on_sale: OnSale, user: User) -> None:
    run = on_sale(InTheBackground).run(user=user)

    assert drawn(run) == [
        'mark[("mark<br/>done")]:::done',
        'charge["charge<br/>ready"]:::ready',
        'note[("note<br/>blocked")]:::blocked',
        "mark --> charge",
        "charge --> note",
    ]


def test_a_run_that_is_being_undone_shows_what_will_be(on_sale: OnSale, user: User) -> None:
    run = on_sale(InTheBackground).run(user=user)

    Run.objects.filter(pk=run.pk).update(status="compensating")

    assert '__undo_mark(["undo mark<br/>pending"]):::undo_pending' in drawn(run.refresh())


def test_what_a_run_was_given_and_returned_is_not_in_its_diagram(diary: Diary) -> None:
    """S12: names and statuses only, so that it may be shown wherever the run may."""
    steps = [diary.step("a", {"card": "4111"}), diary.step("b", errors=[OSError("password=hunter2")])]

    run = Workflow.from_steps("quiet", steps).run(user=SYSTEM)

    assert "4111" not in run.to_mermaid()
    assert "hunter2" not in run.to_mermaid()


def test_a_name_that_was_tampered_with_stays_a_name(diary: Diary) -> None:
    """S12."""
    run = Workflow.from_steps("hostile", [diary.step("a")]).run(user=SYSTEM)
    before = len(run.to_mermaid().splitlines())
    StepRun.objects.update(name='a"]; click a "javascript:alert(1)"\nx')

    text = run.refresh().to_mermaid()

    assert len(text.splitlines()) == before
    assert '"]; click' not in text


def test_a_diagram_is_drawn_with_one_query_and_with_none_where_the_steps_were_read(
    diary: Diary, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    started = Workflow.from_steps("counted", [diary.step(f"s{number}") for number in range(5)]).run(
        user=SYSTEM
    )
    run = Run.objects.get(pk=started.pk)

    with django_assert_num_queries(1):
        run.to_mermaid()
    read = Run.objects.with_steps().get(pk=started.pk)
    with django_assert_num_queries(0):
        read.to_mermaid()
