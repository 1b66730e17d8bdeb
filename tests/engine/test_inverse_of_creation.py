"""Undoing a CreateStep, and refusing a record that no step has written."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from flowstate.engine.entities.inverse import models_of, undo
from flowstate.exceptions import UndoConflict
from flowstate.workflows.entities import CreateStep, DeleteStep, UpdateStep
from tests.zoo.models import Animal, Bird, Cage, Feed, Keeper, Meal, Node, Parrot, Passport, Sticker, Tag
from tests.zoo.stage import carry_out, everything_there_is, take_back

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
        undo(written.undo or {}, allowed_models=frozenset({"zoo.berth"}), using="default")

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

    with pytest.raises(UndoConflict, match=r"was not created by the same step") as caught:
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


# --- records that no step has written ------------------------------------------------------------


@pytest.fixture
def done() -> tuple[UpdateStep, dict[str, Any]]:
    keeper = Keeper.objects.create(name="Kim", email="kim@example.org")
    step = UpdateStep("zoo.Keeper", where={"pk": keeper.pk}, values={"name": "Kai"})
    undo_record = carry_out(step).undo
    assert undo_record is not None
    return step, json.loads(json.dumps(undo_record))


def test_a_record_cannot_name_a_model_that_the_workflow_does_not_write(done: Any) -> None:
    """S18"""
    step, record = done
    user = User.objects.create_user("mallory")
    row = {"model": "auth.user", "key": str(user.pk)}
    change = {"is_superuser": {"before": "True", "after": "False"}}

    for tampered in (
        {"version": 1, "changed": [{**row, "fields": change}]},
        {"version": 1, "created": [row]},
        {**record, "deleted": [{**row, "values": {}}]},
    ):
        with pytest.raises(UndoConflict, match=r"names 'auth\.user', which no step of the workflow writes"):
            take_back(SimpleNamespace(undo=tampered), step)  # type: ignore[arg-type]

    user.refresh_from_db()
    assert not user.is_superuser
    assert Keeper.objects.get().name == "Kai"


@pytest.mark.parametrize(
    "damage",
    [
        {"version": 2},
        {"deleted": {"model": "zoo.keeper"}},
        {"sql": []},
        {"changed": [{"model": "zoo.keeper"}]},
        {"changed": [{"model": "zoo.keeper", "key": "x", "fields": {}}]},
        {"changed": [{"model": "zoo.keeper", "key": "1", "fields": {"name": {"after": "Kai"}}}]},
        {"changed": [{"model": "zoo.keeper", "key": "1", "fields": {"name": {"before": 1, "after": "Kai"}}}]},
        {"changed": [{"model": "zoo.keeper", "key": "1", "fields": {"colour": {"delta": "1"}}}]},
        {"changed": [{"model": "zoo.keeper", "key": "1", "fields": {"cages": {"delta": "1"}}}]},
        {"changed": [{"model": "zoo.keeper", "key": "1", "fields": {"name": {"delta": 1}}}]},
        {"changed": [{"model": "zoo.keeper", "key": "1", "fields": {"name": {"delta": "1"}}}]},
        {"changed": [{"model": "zoo.keeper", "key": "1", "fields": "name"}]},
        {"changed": [{"model": "zoo.keeper", "key": "1", "fields": {"id": {"before": "1", "after": "x"}}}]},
        {"changed": ["zoo.keeper"]},
        {"changed": 5},
        {"deleted": [{"model": "zoo.keeper", "key": "9", "values": {"name": "x"}}]},
        {"deleted": [{"model": "zoo.keeper", "key": "9", "values": {"id": "x", "name": "x", "email": "x"}}]},
    ],
    ids=str,
)
def test_a_damaged_record_undoes_nothing(done: Any, damage: dict[str, Any]) -> None:
    step, record = done
    before = everything_there_is()

    with pytest.raises(UndoConflict):
        take_back(SimpleNamespace(undo={**record, **damage}), step)  # type: ignore[arg-type]

    assert everything_there_is() == before


@pytest.mark.parametrize("record", [None, [], "x", 5])
def test_what_is_no_record_undoes_nothing(record: Any) -> None:
    with pytest.raises(UndoConflict, match="not one that this code can read"):
        undo(record, allowed_models=frozenset(), using="default")


def test_a_workflow_may_touch_what_its_steps_name_and_what_deleting_takes_along() -> None:
    def labels(*steps: Any, entity: Any = None) -> set[str]:
        found = models_of(SimpleNamespace(steps=steps), entity)  # type: ignore[arg-type]
        return {label.removeprefix("zoo.") for label in found}

    assert labels(UpdateStep(values={"name": "x"}), entity=Parrot) == {"parrot", "bird", "animal"}
    assert labels(CreateStep("zoo.Feed", values={}), UpdateStep(values={"name": "x"}), entity=Tag) == {
        "feed",
        "tag",
    }
    assert labels(DeleteStep("zoo.Passport", where={"pk": 1})) == {"passport", "stamp"}
    assert labels(DeleteStep("zoo.Keeper", where={"pk": 1})) >= {"keeper", "cage", "loan", "verse"}
    assert labels(DeleteStep(), entity=Cage) >= {
        "sticker",
        "animal",
        "animal_tags",
        "meal",
        "stamp",
        "parrot",
    }
