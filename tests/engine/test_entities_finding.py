"""Finding and limiting the rows of a step: default managers that group, joins that repeat, and large records."""

from __future__ import annotations

from typing import Any

import pytest

from django.db import connection
from django.db.models import Count, QuerySet
from django.test.utils import CaptureQueriesContext, override_settings

from flowstate.exceptions import RowLimitExceeded, RowsAmbiguous
from flowstate.workflows.entities import DeleteStep, EntityStep, UpdateStep
from tests.zoo.models import Animal, Everything, Keeper, KeptNotes, Note, Tag
from tests.zoo.stage import carry_out, everything_there_is, take_back

pytestmark = pytest.mark.django_db

LOUD = {"tags__name__in": ["loud", "shy", "old"]}


def counted(rows: QuerySet[Any]) -> QuerySet[Any]:
    annotated: QuerySet[Any] = rows.annotate(read_by=Count("keepers"))
    return annotated


def distinct(rows: QuerySet[Any]) -> QuerySet[Any]:
    return rows.distinct()


@pytest.fixture(params=[counted, distinct])
def notes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[Note]:
    """Two notes with two keepers each, whose default manager groups them."""
    keepers = [Keeper.objects.create(name=name, email=f"{name}@example.org") for name in ("kim", "lee")]
    found = [Note.everything.create(text=text) for text in ("feed", "clean")]
    for note in found:
        note.keepers.set(keepers)
    plain = KeptNotes.get_queryset
    monkeypatch.setattr(KeptNotes, "get_queryset", lambda self: request.param(plain(self)))
    return found


@pytest.mark.parametrize(
    "step",
    [
        UpdateStep("zoo.Note", where={"text": "feed"}, values={"slug": "new"}),
        UpdateStep(
            "zoo.Note", where={"keepers__name__in": ["kim", "lee"]}, values={"slug": "new"}, many=True
        ),
        DeleteStep("zoo.Note", where={"text__in": ["feed", "clean"]}, many=True),
    ],
    ids=["one", "many", "delete"],
)
def test_rows_of_a_manager_that_groups_are_changed_and_come_back(notes: list[Note], step: EntityStep) -> None:
    before = everything_there_is()

    written = carry_out(step)
    assert everything_there_is() != before
    take_back(written, step)

    assert everything_there_is() == before


def test_several_rows_of_a_manager_that_groups_are_ambiguous(notes: list[Note]) -> None:
    with pytest.raises(RowsAmbiguous):
        carry_out(UpdateStep("zoo.Note", where={"text__in": ["feed", "clean"]}, values={"slug": "new"}))


@pytest.fixture
def animals() -> None:
    """Four animals, each found three times by its tags."""
    tags = [Tag.objects.create(name=name) for name in ("loud", "shy", "old")]
    for number in range(4):
        Animal.objects.create(name=f"ape {number}").tags.set(tags)


@pytest.mark.parametrize("cap", [4, 5, 11, 12, 100])
def test_a_row_that_a_join_repeats_counts_once(animals: None, cap: int) -> None:
    with override_settings(FLOWSTATE={"MAX_ROWS": cap}):
        written = carry_out(UpdateStep("zoo.Animal", where=LOUD, values={"weight": 1}, many=True))

    assert written.result == {"count": 4}
    assert Animal.objects.filter(weight=1).count() == 4


def test_one_row_more_than_the_cap_is_refused_however_often_it_is_found(animals: None) -> None:
    step = UpdateStep("zoo.Animal", where=LOUD, values={"weight": 1}, many=True)

    with (
        override_settings(FLOWSTATE={"MAX_ROWS": 3}),
        pytest.raises(RowLimitExceeded, match="More than 3 rows"),
    ):
        carry_out(step)

    assert not Animal.objects.filter(weight=1).exists()


def test_rows_within_the_cap_are_found_by_one_statement(animals: None) -> None:
    step = UpdateStep("zoo.Animal", where=LOUD, values={"weight": 1}, many=True)

    with CaptureQueriesContext(connection) as queries:
        carry_out(step)

    assert sum("zoo_tag" in query["sql"] for query in queries.captured_queries) == 1


@pytest.mark.parametrize(
    "step",
    [
        DeleteStep("zoo.Everything", where={"integer": 1}, many=True),
        UpdateStep("zoo.Everything", where={"integer": 1}, values={"text": "short"}),
    ],
    ids=["delete", "update"],
)
def test_an_undo_record_over_the_limit_is_refused_and_nothing_is_written(step: EntityStep) -> None:
    Everything.objects.create(integer=1, text="x" * 5000)
    before = everything_there_is()

    with (
        override_settings(FLOWSTATE={"MAX_UNDO_BYTES": 4000}),
        pytest.raises(
            RowLimitExceeded, match=r"bytes of JSON to undo, more than the 4,000 of .*MAX_UNDO_BYTES"
        ),
    ):
        carry_out(step)

    assert everything_there_is() == before
    with override_settings(FLOWSTATE={"MAX_UNDO_BYTES": 20_000}):
        take_back(carry_out(step), step)
    assert everything_there_is() == before
