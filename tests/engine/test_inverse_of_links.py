"""Undoing many-to-many links: only those that the step has really made or dropped."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from django.db import connection, models
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from flowstate.engine.entities.inverse import models_of, undo
from flowstate.exceptions import UndoConflict
from flowstate.workflows.entities import CreateStep, UpdateStep
from tests.zoo.models import Animal, Code, Entry, Feed, Glossary, Keeper, Meal, Note, Parrot, Tag
from tests.zoo.stage import KEY, carry_out, everything_there_is, take_back

pytestmark = pytest.mark.django_db


@pytest.fixture
def ape() -> Animal:
    return Animal.objects.create(name="ape")


@pytest.fixture
def tags() -> list[Tag]:
    return [Tag.objects.create(name=name) for name in ("loud", "shy", "wild")]


def names(row: Animal) -> list[str]:
    return sorted(row.tags.values_list("name", flat=True))


Make = Callable[[], tuple[models.Model, UpdateStep]]


def both_at_once() -> tuple[models.Model, UpdateStep]:
    loud, shy, wild = (Tag.objects.create(name=name) for name in ("loud", "shy", "wild"))
    ape = Animal.objects.create(name="ape")
    ape.tags.add(loud, shy)
    return ape, UpdateStep(add={"tags": [shy, wild]}, remove={"tags": [loud]})


def with_values() -> tuple[models.Model, UpdateStep]:
    row, _step = both_at_once()
    values = {"name": "yeti", "weight": F("weight") + 2}
    return row, UpdateStep(values=values, remove={"tags": lambda ctx: Tag.objects.all()})


def of_a_child() -> tuple[models.Model, UpdateStep]:
    parrot = Parrot.objects.create(name="Polly")
    return parrot, UpdateStep(add={"tags": [Tag.objects.create(name="loud")]}, values={"wingspan": 3})


def by_a_reverse_name() -> tuple[models.Model, UpdateStep]:
    ape, bear = Animal.objects.create(name="ape"), Animal.objects.create(name="bear")
    tag = Tag.objects.create(name="loud")
    tag.animals.add(ape)
    return tag, UpdateStep(add={"animals": [bear]}, remove={"animals": [ape]})


def of_friends() -> tuple[models.Model, UpdateStep]:
    ape, bear, cat = (Animal.objects.create(name=name) for name in ("ape", "bear", "cat"))
    ape.friends.add(bear)
    return ape, UpdateStep(add={"friends": [cat, ape]}, remove={"friends": [bear]})


def by_a_through_model_of_ones_own() -> tuple[models.Model, UpdateStep]:
    hay, oats = (Feed.objects.create(name=name) for name in ("hay", "oats"))
    ape = Animal.objects.create(name="ape")
    ape.meals.create(feed=hay, grams=500)
    return ape, UpdateStep(add={"feeds": [oats]}, remove={"feeds": [hay]})


def that_stand_twice_and_are_referred_to() -> tuple[models.Model, UpdateStep]:
    a, b = (Code.objects.create(code=code, alias=f"alias {code}") for code in "ab")
    glossary = Glossary.objects.create()
    for line in ("one", "two"):
        glossary.entries.create(code=a, line=line).remarks.create(text=line)
    return glossary, UpdateStep(add={"codes": [b]}, remove={"codes": [a]})


def of_rows_that_are_hidden() -> tuple[models.Model, UpdateStep]:
    keeper = Keeper.objects.create(name="Kim", email="kim@example.org")
    hidden, shown = Note.objects.create(text="hidden"), Note.objects.create(text="shown")
    keeper.notes.add(hidden, shown)
    hidden.delete()
    return keeper, UpdateStep(remove={"notes": [hidden.pk, shown.pk]})


@pytest.mark.parametrize(
    "make",
    [
        both_at_once,
        with_values,
        of_a_child,
        by_a_reverse_name,
        of_friends,
        by_a_through_model_of_ones_own,
        that_stand_twice_and_are_referred_to,
        of_rows_that_are_hidden,
    ],
)
def test_links_are_as_before_in_every_column(make: Make) -> None:
    """I20"""
    row, step = make()
    before = everything_there_is()

    written = carry_out(step, row)
    assert everything_there_is() != before
    take_back(written, step, row)

    assert everything_there_is() == before


def test_many_rows_are_each_as_before(ape: Animal, tags: list[Tag]) -> None:
    bear = Animal.objects.create(name="bear")
    ape.tags.add(tags[0])
    bear.tags.add(tags[1], tags[2])
    before = everything_there_is()
    step = UpdateStep(
        "zoo.Animal", where={"pk__gt": 0}, add={"tags": tags[:2]}, remove={"tags": tags[2:]}, many=True
    )

    written = carry_out(step)
    assert names(ape) == names(bear) == ["loud", "shy"]
    take_back(written, step)

    assert everything_there_is() == before


# --- what was not the step's ---------------------------------------------------------------------


def test_a_link_that_was_there_before_stays(ape: Animal, tags: list[Tag]) -> None:
    ape.tags.add(tags[0])
    step = UpdateStep(add={"tags": tags[:2]}, remove={"tags": tags[2:]})

    take_back(carry_out(step, ape), step, ape)

    assert names(ape) == ["loud"]


def test_a_link_that_somebody_else_makes_meanwhile_stays(ape: Animal, tags: list[Tag]) -> None:
    step = UpdateStep(add={"tags": tags[:1]})
    written = carry_out(step, ape)
    ape.tags.add(tags[1])

    take_back(written, step, ape)

    assert names(ape) == ["shy"]


def test_a_link_that_somebody_else_makes_anew_is_theirs(ape: Animal, tags: list[Tag]) -> None:
    step = UpdateStep(add={"tags": tags[:2]})
    written = carry_out(step, ape)
    ape.tags.remove(tags[0])
    ape.tags.add(tags[0])
    ape.tags.remove(tags[1])

    take_back(written, step, ape)

    assert names(ape) == ["loud"]


def test_a_link_that_is_there_again_is_as_it_should_be(ape: Animal, tags: list[Tag]) -> None:
    ape.tags.add(*tags)
    step = UpdateStep(remove={"tags": tags[:2]})
    written = carry_out(step, ape)
    ape.tags.add(tags[0])

    take_back(written, step, ape)

    assert names(ape) == ["loud", "shy", "wild"]


def test_a_row_of_ones_own_through_model_that_is_there_again_is_a_conflict(ape: Animal) -> None:
    hay = Feed.objects.create(name="hay")
    ape.meals.create(feed=hay, grams=500)
    step = UpdateStep(remove={"feeds": [hay]})
    written = carry_out(step, ape)
    ape.meals.create(feed=hay, grams=1)

    with pytest.raises(UndoConflict, match=r"zoo\.Meal \d+ cannot be restored: animal, feed is taken"):
        take_back(written, step, ape)

    assert Meal.objects.get().grams == 1


def test_a_link_to_a_row_that_is_gone_meanwhile_is_a_conflict(ape: Animal, tags: list[Tag]) -> None:
    ape.tags.add(*tags)
    step = UpdateStep(values={"name": "yeti"}, remove={"tags": tags[:2]})
    written = carry_out(step, ape)
    tags[0].delete()
    before = everything_there_is()

    with pytest.raises(UndoConflict, match=r"tag refers to a zoo\.Tag that is gone"):
        take_back(written, step, ape)

    assert everything_there_is() == before


def test_a_conflict_in_a_column_leaves_the_links_alone(ape: Animal, tags: list[Tag]) -> None:
    ape.tags.add(tags[0])
    step = UpdateStep(values={"name": "yeti"}, add={"tags": tags[1:]}, remove={"tags": tags[:1]})
    written = carry_out(step, ape)
    Animal.objects.update(name="bear")
    before = everything_there_is()

    with pytest.raises(UndoConflict, match="changed by somebody else since: name"):
        take_back(written, step, ape)

    assert everything_there_is() == before


def test_a_link_that_others_refer_to_is_a_conflict() -> None:
    code, glossary = Code.objects.create(code="a", alias="alpha"), Glossary.objects.create()
    step = UpdateStep(add={"codes": [code]})
    written = carry_out(step, glossary)
    glossary.entries.get().remarks.create()

    with pytest.raises(UndoConflict, match=r"zoo\.Entry \d+ cannot be deleted: zoo\.Remark \d+ refers to it"):
        take_back(written, step, glossary)

    assert Entry.objects.exists()


def test_a_link_to_a_row_that_the_run_created_goes_before_it(ape: Animal) -> None:
    before = everything_there_is()
    create = CreateStep("zoo.Tag", values={"pk": 77, "name": "new"})
    link = UpdateStep(add={"tags": [77]})
    done = [(step, carry_out(step, ape)) for step in (create, link)]

    for step, written in reversed(done):
        take_back(written, step, ape)

    assert everything_there_is() == before


# --- who is told, and what a record may name -----------------------------------------------------


def test_the_row_whose_links_came_back_is_told_of(ape: Animal, tags: list[Tag]) -> None:
    bear = Animal.objects.create(name="bear")
    bear.tags.add(tags[0])
    step = UpdateStep("zoo.Animal", where={"pk__gt": 0}, add={"tags": tags[:1]}, many=True)

    touched = take_back(carry_out(step), step)

    assert (Animal, ape.pk, "changed") in touched
    assert not any(row[:2] == (Animal, bear.pk) for row in touched)


@pytest.mark.parametrize(
    ("links", "tables"),
    [
        ({"tags": [1]}, {"animal_tags"}),
        ({"feeds": [1]}, {"meal"}),
        (lambda ctx: {}, {"animal_tags", "meal", "animal_friends"}),
    ],
)
def test_a_step_may_touch_the_tables_of_the_links_it_names(links: Any, tables: set[str]) -> None:
    def labels(model: type[models.Model], step: UpdateStep) -> set[str]:
        found = models_of(SimpleNamespace(steps=[step]), model)
        return {label.removeprefix("zoo.") for label in found}

    assert labels(Animal, UpdateStep(add=links)) == {"animal", *tables}
    assert labels(Parrot, UpdateStep(remove=links)) == {"parrot", "bird", "animal", *tables}
    assert labels(Glossary, UpdateStep(remove={"codes": [1]})) == {"glossary", "entry", "remark"}


def test_undoing_a_link_costs_one_delete_and_undoing_an_unlinking_three_looks_and_an_insert(
    ape: Animal, tags: list[Tag]
) -> None:
    def cost(step: UpdateStep) -> list[str]:
        written = carry_out(step, ape)
        allowed = frozenset({"zoo.animal", "zoo.animal_tags"})
        with CaptureQueriesContext(connection) as queries:
            undo(written.undo, key=KEY, allowed_models=allowed, using="default")
        words = [query["sql"].split()[0] for query in queries.captured_queries]
        return [word for word in words if word not in ("SAVEPOINT", "RELEASE")]

    assert cost(UpdateStep(add={"tags": tags})) == ["DELETE"]
    ape.tags.add(tags[0])
    assert cost(UpdateStep(remove={"tags": tags[:1]})) == ["SELECT", "SELECT", "SELECT", "INSERT"]
