"""Undoing a DeleteStep: all that went comes back as it was, or nothing does and somebody is told why."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest

from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models import F, Value, signals

from flowstate.exceptions import UndoConflict
from flowstate.workflows.entities import DeleteStep, UpdateStep
from tests.zoo.models import (
    Animal,
    Berth,
    Bird,
    Cage,
    Code,
    CodeUse,
    Everything,
    Feed,
    Keeper,
    Loan,
    Meal,
    Node,
    Note,
    Parrot,
    Passport,
    RareAnimal,
    Stamp,
    Sticker,
    Tag,
    Verse,
    nobodys,
)
from tests.zoo.stage import carry_out, everything_there_is, sealed_anew, take_back

pytestmark = pytest.mark.django_db

Make = Callable[[], models.Model]


def everything() -> Everything:
    Everything.objects.create()
    row = Everything.objects.create(
        integer=4, binary=b"\x00", json={"a": [1]}, maybe_json=Value(None, models.JSONField()), file="a.txt"
    )
    long_ago = row.created - timedelta(days=400)
    Everything.objects.update(created=long_ago, updated=long_ago)
    return row


def keeper() -> Keeper:
    """Refers to nobody; nulled, defaulted, reset, cascaded, restricted and ordered rows refer to it."""
    found = Keeper.objects.create(name="Kim", email="kim@example.org")
    other = Keeper.objects.create(name="Lou", email="lou@example.org")
    Cage.objects.create(house="A", number=1, keeper=found, deputy=other)
    Cage.objects.create(house="A", number=2, keeper=other, deputy=found)
    Cage.objects.create(house="A", number=3, keeper=found, deputy=found, inspector=found)
    nobodys()
    Loan.objects.create(animal=Animal.objects.create(name="ape"), keeper=found)
    verses = [Verse.objects.create(keeper=found, line=str(i)) for i in range(3)]
    found.set_verse_order(  # type: ignore[attr-defined]  # Django adds it
        [verse.pk for verse in reversed(verses)]
    )
    return found


def cage() -> Cage:
    """A cascade over all kinds of animals, with children of their own and a generic relation."""
    found = Cage.objects.create(house="A", number=1)
    mother = Animal.objects.create(name="mother", cage=found)
    parrot = Parrot.objects.create(name="Polly", cage=found, mother=mother, words=["hello"], wingspan=3)
    Animal.objects.create(name="elsewhere", mother=mother)
    hay = Feed.objects.create(name="hay")
    for animal in (mother, parrot):
        Meal.objects.create(animal=animal, feed=hay, grams=5)
        animal.tags.add(Tag.objects.get_or_create(name="loud")[0], Tag.objects.create(name=animal.name))
        passport = Passport.objects.create(animal=animal)
        Stamp.objects.create(passport=passport, country="PE")
    Passport.objects.update(issued=date(2020, 1, 1))
    Sticker.objects.create(text="do not feed", on=found)
    Sticker.objects.create(
        text="other", content_type=ContentType.objects.get_for_model(Feed), object_id=found.pk
    )
    return found


def lending_cage() -> Cage:
    """Its animal could not go alone, but the loan that restricts it goes too."""
    found = Cage.objects.create(house="B", number=1)
    kim = Keeper.objects.create(name="Kim", email="kim@example.org")
    Loan.objects.create(animal=Animal.objects.create(name="ape", cage=found), keeper=kim, cage=found)
    return found


def parrot() -> Parrot:
    cage()
    return Parrot.objects.get()


def part_of_a_parrot() -> Animal:
    """The row of the root's table: its children's rows go along."""
    return Animal.objects.get(pk=parrot().pk)


def tag() -> Tag:
    cage()
    return Tag.objects.get(name="loud")


def tree() -> Node:
    """Rows that refer to each other, in a circle too."""
    root = Node.objects.create(name="root")
    left, right = (Node.objects.create(name=name, parent=root) for name in ("left", "right"))
    Node.objects.create(name="leaf", parent=left)
    Node.objects.filter(pk=left.pk).update(twin=right)
    Node.objects.filter(pk=right.pk).update(twin=left)
    Node.objects.filter(pk=root.pk).update(twin=root)
    return root


def deep_tree() -> Node:
    root = node = Node.objects.create(name="root")
    for i in range(60):
        node = Node.objects.create(name=str(i), parent=node)
    return root


def code() -> Code:
    """Rows that refer to another column than the key."""
    found = Code.objects.create(code="A", alias="alpha")
    CodeUse.objects.create(code=found)
    return found


def rare_animal() -> RareAnimal:
    parrot()
    return RareAnimal.objects.get(name="mother")


def berth() -> Berth:
    Berth.objects.create(dock="a", number=1)
    return Berth.objects.create(dock="a", number=2, ship="Argo")


MAKERS: list[Make] = [
    everything,
    keeper,
    cage,
    lending_cage,
    parrot,
    part_of_a_parrot,
    tag,
    tree,
    deep_tree,
    code,
    rare_animal,
    berth,
]


@pytest.mark.parametrize("make", MAKERS)
def test_all_that_went_with_a_row_comes_back_in_every_column(make: Make) -> None:
    """P32"""
    row = make()
    key = row.pk
    before = everything_there_is()
    step = DeleteStep()

    written = carry_out(step, row)
    assert not type(row)._base_manager.filter(pk=key).exists()
    row.pk = key
    take_back(written, step, row)

    assert everything_there_is() == before


def test_many_rows_come_back_together() -> None:
    tree()
    before = everything_there_is()
    step = DeleteStep("zoo.Node", where={"name__in": ["root", "left", "leaf"]}, many=True)

    take_back(carry_out(step), step)

    assert everything_there_is() == before


def test_rows_that_come_back_send_raw_signals() -> None:
    step = DeleteStep("zoo.Bird", where={"pk__gt": 0})
    Bird.objects.create(name="owl")
    written = carry_out(step)
    heard: list[tuple[str, bool]] = []

    def listen(*, sender: Any, raw: bool, **_: Any) -> None:
        heard.append((sender.__name__, raw))

    signals.post_save.connect(listen)
    try:
        take_back(written, step)
    finally:
        signals.post_save.disconnect(listen)

    assert heard == [("Animal", True), ("Bird", True)]


def test_new_rows_do_not_take_the_key_of_one_that_is_gone_and_came_back() -> None:
    row = Feed.objects.create(name="hay")
    step = DeleteStep("zoo.Feed", where={"name": "hay"})
    take_back(carry_out(step), step)

    assert Feed.objects.create(name="oats").pk > row.pk


# --- a delete() of the model's own ---------------------------------------------------------------


def test_a_row_that_was_only_marked_as_deleted_is_unmarked() -> None:
    note = Note.objects.create(text="buy hay")
    before = everything_there_is()
    step = DeleteStep("zoo.Note", where={"text": "buy hay"})

    written = carry_out(step)
    assert (Note.objects.count(), Note.everything.count()) == (0, 1)
    take_back(written, step)

    assert everything_there_is() == before
    assert Note.objects.get() == note


def test_somebody_elses_mark_on_it_is_a_conflict() -> None:
    note = Note.objects.create(text="buy hay")
    step = DeleteStep("zoo.Note", where={"text": "buy hay"})
    written = carry_out(step)
    Note.everything.update(deleted_at=F("deleted_at") + timedelta(days=1))

    with pytest.raises(UndoConflict):
        take_back(written, step)

    assert Note.everything.get(pk=note.pk).deleted_at is not None


# --- conflicts -----------------------------------------------------------------------------------


def deleted_cage() -> tuple[DeleteStep, Any]:
    cage()
    step = DeleteStep("zoo.Cage", where={"house": "A"})
    return step, carry_out(step)


def refused(step: Any, written: Any, match: str) -> UndoConflict:
    """Undo, which must fail and leave everything as it is."""
    before = everything_there_is()
    with pytest.raises(UndoConflict, match=match) as caught:
        take_back(written, step)
    assert everything_there_is() == before
    return caught.value


def test_a_unique_pair_taken_meanwhile_is_a_conflict() -> None:
    step, written = deleted_cage()
    other = Cage.objects.create(house="A", number=1)

    conflict = refused(step, written, r"zoo\.Cage \d+ cannot be restored: house, number is taken by")

    assert conflict.fields["number"] == {"expected": None, "found": f"taken by {other.pk}", "restore": "1"}


def test_a_unique_value_of_a_row_that_went_along_is_a_conflict() -> None:
    step = DeleteStep("zoo.Code", where={"code": "A"})
    Code.objects.create(code="A", alias="alpha")
    written = carry_out(step)
    Code.objects.create(code="B", alias="alpha")

    assert set(refused(step, written, "alias is taken by zoo.Code B").fields) == {"alias"}


def test_a_key_taken_meanwhile_is_a_conflict() -> None:
    step = DeleteStep("zoo.Code", where={"code": "A"})
    Code.objects.create(code="A", alias="alpha")
    written = carry_out(step)
    Code.objects.create(code="A", alias="beta")

    refused(step, written, "code is taken by zoo.Code A")


def test_a_row_referred_to_that_is_gone_meanwhile_is_a_conflict() -> None:
    step, written = deleted_cage()
    Feed.objects.all().delete()

    refused(step, written, r"feed refers to a zoo\.Feed that is gone")


def test_a_link_set_anew_meanwhile_is_a_conflict() -> None:
    keeper()
    step = DeleteStep("zoo.Keeper", where={"name": "Kim"})
    written = carry_out(step)
    Cage.objects.filter(number=1).update(keeper=Keeper.objects.get(name="Lou"))

    assert set(refused(step, written, r"zoo\.Cage \d+ was changed by somebody else").fields) == {"keeper"}


def test_a_linked_row_that_is_gone_meanwhile_is_a_conflict() -> None:
    keeper()
    step = DeleteStep("zoo.Keeper", where={"name": "Kim"})
    written = carry_out(step)
    Cage.objects.filter(number=3).delete()

    refused(step, written, r"zoo\.Cage \d+ is gone")


def test_a_column_that_came_after_the_record_gets_its_default() -> None:
    step = DeleteStep("zoo.Feed", where={"name": "hay"})
    Feed.objects.create(name="hay", stock=5, batch=3)
    written = carry_out(step)
    for name in ("stock", "batch"):
        del written.undo["deleted"][0]["values"][name]  # type: ignore[index]

    take_back(sealed_anew(written.undo), step)

    assert Feed.objects.values_list("name", "stock", "batch").get() == ("hay", 0, None)


def test_a_column_that_came_after_the_record_gets_the_databases_default() -> None:
    row = Everything.objects.create(defaulted=1)
    step = DeleteStep()
    written = carry_out(step, row)
    del written.undo["deleted"][0]["values"]["defaulted"]  # type: ignore[index]

    take_back(sealed_anew(written.undo), step, row)

    assert Everything.objects.get().defaulted == 7


def test_a_column_without_a_default_that_came_after_the_record_is_a_conflict() -> None:
    step = DeleteStep("zoo.Feed", where={"name": "hay"})
    Feed.objects.create(name="hay")
    written = carry_out(step)
    del written.undo["deleted"][0]["values"]["name"]  # type: ignore[index]

    refused(step, sealed_anew(written.undo), "its record has no name, and there is no default")


def test_a_value_that_the_database_no_longer_takes_is_a_conflict() -> None:
    step = DeleteStep("zoo.Feed", where={"name": "hay"})
    Feed.objects.create(name="hay")
    written = carry_out(step)
    written.undo["deleted"][0]["values"]["stock"] = "1001"  # type: ignore[index]  # as if the check were new

    refused(step, sealed_anew(written.undo), r"zoo\.Feed \d+ cannot be restored")


def test_undoing_twice_is_a_conflict_that_changes_nothing() -> None:
    step, written = deleted_cage()
    take_back(written, step)

    refused(step, written, "is taken by")


def test_create_update_and_delete_are_undone_in_reverse_order() -> None:
    """P33"""
    row = cage()
    before = everything_there_is()
    steps: list[Any] = [
        UpdateStep("zoo.Animal", where={"name": "mother"}, values={"weight": F("weight") + 1, "cage": None}),
        DeleteStep("zoo.Meal", where={"animal__name": "mother"}),
        DeleteStep("zoo.Cage", where={"pk": row.pk}),
    ]

    done = [(step, carry_out(step)) for step in steps]
    for step, written in reversed(done):
        take_back(written, step)

    assert everything_there_is() == before
