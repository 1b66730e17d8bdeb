"""Undoing a CreateStep: exactly its rows, and none that a foreign row refers to."""

from __future__ import annotations

from typing import Any

import pytest

from django.apps import apps
from django.db import connection
from django.test.utils import CaptureQueriesContext

from flowstate.engine.entities.foresight import Foresight
from flowstate.engine.entities.inverse import undo
from flowstate.exceptions import DeclarationInvalid, UndoConflict
from flowstate.workflows.entities import CreateStep, EntityStep
from tests.zoo.models import (
    Animal,
    Bird,
    Cage,
    Code,
    Entry,
    Feed,
    Glossary,
    Keeper,
    KeptNotes,
    Meal,
    Node,
    Note,
    Passport,
    Sticker,
    Tag,
)
from tests.zoo.stage import KEY, as_journaled, carry_out, everything_there_is, take_back

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
    keeper = Keeper.objects.create(name="Kim", email="kim@example.org")
    written = carry_out(CreateStep("zoo.Verse", values={"keeper": keeper, "line": "O ape"}))

    with CaptureQueriesContext(connection) as queries:
        undo(written.undo or {}, key=KEY, allowed_models=frozenset({"zoo.verse"}), using="default")

    words = [query["sql"].split()[0] for query in queries.captured_queries]
    assert [word for word in words if word not in ("SAVEPOINT", "RELEASE")] == ["DELETE"]


# --- another row with the same key ---------------------------------------------------------------


GIVEN: list[tuple[str, dict[str, Any], str]] = [
    ("zoo.Code", {"code": "A", "alias": "alpha"}, "alias"),
    ("zoo.Berth", {"dock": "a", "number": 2}, "ship"),
    ("zoo.Keeper", {"id": 7001, "name": "Kim", "email": "kim@example.org"}, "name"),
]


def replaced_by_somebody(model: str, column: str) -> None:
    """Another deletes the row and creates its own, which differs in one column, with the same key."""
    rows = apps.get_model(model)._base_manager
    row = rows.get()
    rows.filter(pk=row.pk).delete()
    setattr(row, column, "theirs")
    row.save(force_insert=True)


@pytest.mark.parametrize(("model", "values", "column"), GIVEN)
def test_somebody_elses_row_with_the_same_key_is_a_conflict_and_stays(
    model: str, values: dict[str, Any], column: str
) -> None:
    step = CreateStep(model, values=values)
    written = carry_out(step)
    replaced_by_somebody(model, column)
    before = everything_there_is()

    with pytest.raises(UndoConflict, match=f"not as the step created it: {column}") as caught:
        take_back(written, step)

    assert everything_there_is() == before
    held = values.get(column, "")
    assert caught.value.fields == {column: {"expected": held, "found": "theirs", "restore": None}}


@pytest.mark.parametrize(("model", "values", "column"), GIVEN)
def test_the_preview_tells_of_somebody_elses_row(model: str, values: dict[str, Any], column: str) -> None:
    written = carry_out(CreateStep(model, values=values))
    foresight = Foresight(frozenset([model.lower()]), "default")
    assert foresight.of_step("make", as_journaled(written), key=KEY).conflict == ""
    replaced_by_somebody(model, column)

    preview = Foresight(frozenset([model.lower()]), "default").of_step("make", as_journaled(written), key=KEY)

    assert f"not as the step created it: {column}" in preview.conflict


def test_where_the_step_says_overwrite_somebody_elses_row_is_deleted_and_told_of() -> None:
    step = CreateStep("zoo.Code", values={"code": "A", "alias": "alpha"}, on_conflict="overwrite")
    written = carry_out(step)
    replaced_by_somebody("zoo.Code", "alias")

    undone = undo(written.undo, key=KEY, allowed_models=frozenset({"zoo.code"}), using="default")

    assert not Code.objects.exists()
    (row, fields) = undone.overwritten[0]
    assert (row, fields["alias"]["found"]) == ("zoo.Code A", "theirs")


def test_a_child_that_somebody_else_made_of_the_same_parent_stays() -> None:
    animal = Animal.objects.create(name="ape")
    values = {"animal_ptr_id": animal.pk, "name": "ape", "wingspan": 1, "created": animal.created}
    step = CreateStep("zoo.Bird", values=values)
    written = carry_out(step)
    Bird.objects.get().delete(keep_parents=True)
    Bird(animal_ptr_id=animal.pk, wingspan=99).save_base(raw=True)

    with pytest.raises(UndoConflict, match="wingspan"):
        take_back(written, step)

    assert Bird.objects.get().wingspan == 99


def test_a_replaced_row_of_another_step_is_not_taken_along() -> None:
    code = CreateStep("zoo.Code", values={"code": "A", "alias": "alpha"})
    values = {"id": 7001, "glossary": Glossary.objects.create(), "code_id": "alpha", "line": "ours"}
    entry = CreateStep("zoo.Entry", values=values)
    first, second = carry_out(code), carry_out(entry)
    replaced_by_somebody("zoo.Entry", "line")

    with pytest.raises(
        UndoConflict, match=r"Entry 7001 refers to it .* was not created by a step of this run"
    ):
        take_back(first, code, others=[(entry, second)])

    assert Entry.objects.get().line == "theirs"


def test_a_row_that_tells_when_it_was_created_may_have_been_edited_since() -> None:
    step = CreateStep("zoo.Animal", values={"pk": 7001, "name": "ape"})
    written = carry_out(step)
    Animal.objects.update(name="Koko", weight=90)

    take_back(written, step)

    assert not Animal.objects.exists()


@pytest.mark.parametrize(
    ("model", "values"),
    [
        ("zoo.Tag", {"name": "loud"}),
        ("zoo.Parrot", {"name": "Polly"}),
        ("zoo.Passport", {"animal_id": 7001}),
    ],
)
def test_a_key_that_was_issued_costs_nothing_more(model: str, values: dict[str, Any]) -> None:
    Animal.objects.create(pk=7001, name="ape")
    written = carry_out(CreateStep(model, values=values))

    assert all(set(row) == {"model", "key"} for row in (written.undo or {})["created"])


# --- a manager's own create() ---------------------------------------------------------------------


def test_the_managers_own_create_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    def create(self: KeptNotes, **values: Any) -> Note:
        return super(KeptNotes, self).create(**{**values, "slug": "by-the-manager"})

    monkeypatch.setattr(KeptNotes, "create", create, raising=False)
    before = everything_there_is()
    step = CreateStep("zoo.Note", values={"text": "feed the ape"})

    written = carry_out(step)
    assert Note.objects.get().slug == "by-the-manager"
    take_back(written, step)

    assert everything_there_is() == before


def test_a_create_that_hands_out_a_row_it_found_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undoing would delete what was there before."""

    def create(self: KeptNotes, **values: Any) -> Note:
        return self.get_or_create(text=values["text"])[0]

    Note(text="feed the ape").save()
    monkeypatch.setattr(KeptNotes, "create", create, raising=False)
    step = CreateStep("zoo.Note", values={"text": "feed the ape"})

    with pytest.raises(DeclarationInvalid, match=r"KeptNotes has created no zoo\.Note .* `compensate=False`"):
        carry_out(step)

    assert carry_out(step, record_undo=False).result == {"pk": Note.objects.get().pk}


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
