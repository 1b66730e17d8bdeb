"""Undoing a CreateStep: exactly its rows, and none that a foreign row refers to."""

from __future__ import annotations

from typing import Any

import pytest

from django.db import connection
from django.test.utils import CaptureQueriesContext

from flowstate.engine.entities.inverse import undo
from flowstate.exceptions import UndoConflict
from flowstate.workflows.entities import CreateStep, EntityStep
from tests.zoo.models import Animal, Bird, Cage, Feed, Meal, Node, Passport, Sticker, Tag
from tests.zoo.stage import KEY, carry_out, everything_there_is, take_back

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("model", "values"),
    [
        ("zoo.Feed", {"name": "hay"}),
        ("zoo.Keeper", {"name": "Kim", "email": "kim@example.org"}),
        ("zoo.Animal", {"name": "ape"}),
        ("zoo.Parrot", {"name": "Polly", "words": ["hello"]}),
        ("zoo.RareAnimal", {"name": "yeti"}),
        ("zoo.Berth", {"dock": "a", "number": 2}),
        ("zoo.Code", {"code": "A", "alias": "alpha"}),
    ],
)
def test_undoing_deletes_exactly_the_row_in_all_its_tables(model: str, values: dict[str, Any]) -> None:
    """P30"""
    Bird.objects.create(name="owl")
    before = everything_there_is()
    step = CreateStep(model, values=values)

    written = carry_out(step)
    assert everything_there_is() != before
    take_back(written, step)

    assert everything_there_is() == before


def test_many_rows_that_refer_to_one_another_are_deleted_last_first() -> None:
    root = Node.objects.create(name="root")
    before = everything_there_is()
    step = CreateStep(
        "zoo.Node",
        values=lambda ctx: [
            {"pk": 1001, "name": "a", "parent": root},
            {"pk": 1002, "name": "b", "parent_id": 1001},
            {"pk": 1003, "name": "c", "parent_id": 1002},
        ],
        many=True,
    )

    take_back(carry_out(step), step)

    assert everything_there_is() == before


@pytest.mark.parametrize("model", ["zoo.Parrot", "zoo.Feed", "zoo.Berth"])
def test_a_row_that_is_already_gone_is_fine(model: str) -> None:
    values: dict[str, Any] = {
        "zoo.Parrot": {"name": "Polly"},
        "zoo.Feed": {"name": "hay"},
        "zoo.Berth": {"dock": "a", "number": 1},
    }
    before = everything_there_is()
    step = CreateStep(model, values=values[model])
    written = carry_out(step)

    take_back(written, step)
    take_back(written, step)

    assert everything_there_is() == before


def test_a_row_of_one_table_costs_one_statement_where_nothing_can_refer_to_it() -> None:
    written = carry_out(CreateStep("zoo.Berth", values={"dock": "a", "number": 1}))

    with CaptureQueriesContext(connection) as queries:
        undo(written.undo or {}, key=KEY, allowed_models=frozenset({"zoo.berth"}), using="default")

    words = [query["sql"].split()[0] for query in queries.captured_queries]
    assert [word for word in words if word not in ("SAVEPOINT", "RELEASE")] == ["DELETE"]


# --- referred to meanwhile -----------------------------------------------------------------------


def refer_by_protect(animal: Animal) -> None:
    Meal.objects.create(animal=animal, feed=Feed.objects.create(name="hay"))


def refer_by_cascade(animal: Animal) -> None:
    Passport.objects.create(animal=animal)


def refer_by_null(animal: Animal) -> None:
    Animal.objects.create(name="young", mother=animal)


def refer_by_many_to_many(animal: Animal) -> None:
    animal.tags.add(Tag.objects.create(name="loud"))


def refer_as_a_child(animal: Animal) -> None:
    Bird(animal_ptr=animal, wingspan=1).save_base(raw=True)


@pytest.mark.parametrize(
    ("refer", "by"),
    [
        (refer_by_protect, "zoo.Meal.animal"),
        (refer_by_cascade, "zoo.Passport.animal"),
        (refer_by_null, "zoo.Animal.mother"),
        (refer_by_many_to_many, "zoo.Animal_tags.animal"),
        (refer_as_a_child, "zoo.Bird.animal_ptr"),
    ],
)
def test_a_row_that_others_refer_to_is_a_conflict_and_stays(refer: Any, by: str) -> None:
    step = CreateStep("zoo.Animal", values={"name": "ape"})
    written = carry_out(step)
    refer(Animal.objects.get())
    before = everything_there_is()

    with pytest.raises(UndoConflict, match=r"was not created by a step of this run") as caught:
        take_back(written, step)

    assert list(caught.value.fields) == [by]
    assert everything_there_is() == before


def test_a_generic_relation_holds_a_row_too() -> None:
    step = CreateStep("zoo.Cage", values={"house": "A", "number": 1})
    written = carry_out(step)
    Sticker.objects.create(text="do not feed", on=Cage.objects.get())

    with pytest.raises(UndoConflict, match=r"zoo\.Sticker \d+ refers to it by stickers"):
        take_back(written, step)

    assert Cage.objects.exists()


# --- referred to by rows of the same run ----------------------------------------------------------


def test_rows_that_other_steps_of_the_run_created_do_not_hold_a_row() -> None:
    """Their steps may be undone later, where the order of the steps does not tell who needs whom."""
    before = everything_there_is()
    cage_id, parrot_id, twin_id = 1001, 1002, 1003
    steps: list[EntityStep] = [
        CreateStep("zoo.Cage", values={"pk": cage_id, "house": "A", "number": 1}),
        CreateStep("zoo.Keeper", values={"pk": 1, "name": "Kim", "email": "kim@example.org"}),
        CreateStep("zoo.Parrot", values={"pk": parrot_id, "name": "Polly", "cage_id": cage_id}),
        CreateStep("zoo.Parrot", values={"pk": twin_id, "name": "Poll", "mother_id": parrot_id}),
        CreateStep("zoo.Loan", values={"animal_id": parrot_id, "keeper_id": 1, "cage_id": cage_id}),
        CreateStep("zoo.Passport", values={"animal_id": twin_id}),
    ]
    first, *rest = [(step, carry_out(step)) for step in steps]

    touched = take_back(first[1], first[0], others=rest)
    assert {(model.__name__, change) for model, _key, change in touched} == {
        (name, "removed") for name in ("Cage", "Animal", "Bird", "Parrot", "Loan", "Passport")
    }
    for step, written in rest:  # what is gone already is fine
        take_back(written, step)

    assert everything_there_is() == before


def test_a_foreign_row_further_down_holds_them_all() -> None:
    cage, parrot, node = (
        CreateStep("zoo.Cage", values={"pk": 1001, "house": "A", "number": 1}),
        CreateStep("zoo.Parrot", values={"pk": 1002, "name": "Polly", "cage_id": 1001}),
        CreateStep("zoo.Node", values={"name": "root"}),
    )
    (first, *rest) = [(step, carry_out(step)) for step in (cage, parrot, node)]
    for number in range(7):
        Animal.objects.create(name=f"young {number}", mother_id=1002)
    before = everything_there_is()

    with pytest.raises(
        UndoConflict, match=r"zoo\.Animal 1002 cannot be deleted: .* and more refers to it by mother"
    ):
        take_back(first[1], first[0], others=rest)

    assert everything_there_is() == before


# --- a child for a parent that is there already --------------------------------------------------


def test_a_parent_that_was_there_before_its_child_stays_and_is_as_it_was() -> None:
    animal = Animal.objects.create(name="ape", weight=7)
    before = everything_there_is()
    values = {"animal_ptr_id": animal.pk, "name": "owl", "weight": 1, "created": animal.created}
    step = CreateStep("zoo.Bird", values=values)

    written = carry_out(step)
    assert Bird.objects.get().weight == 1
    take_back(written, step)

    assert everything_there_is() == before
