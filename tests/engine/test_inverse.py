"""Undoing an UpdateStep: every column as before, and never over what somebody else wrote since."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest

from django.db import connection, models
from django.db.models import F, Value, signals
from django.db.models.functions import Upper
from django.test.utils import CaptureQueriesContext

from flowstate.engine.entities.inverse import undo
from flowstate.exceptions import UndoConflict
from flowstate.workflows.entities import UpdateStep
from tests.zoo.models import Animal, Berth, Cage, Code, Everything, Feed, Keeper, Page, Parrot
from tests.zoo.stage import KEY, carry_out, everything_there_is, take_back

pytestmark = pytest.mark.django_db

MOMENT = datetime(2024, 2, 29, 23, 59, 59, 999999, tzinfo=UTC)


@pytest.fixture
def hay() -> Feed:
    return Feed.objects.create(name="hay", stock=10, price=Decimal("2.50"), soak=timedelta(hours=1))


@contextmanager
def receiver(signal: Any, sender: type[models.Model], act: Any) -> Iterator[None]:
    signal.connect(act, sender=sender)
    try:
        yield
    finally:
        signal.disconnect(act, sender=sender)


def undone_statements(written: Any, *labels: str) -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        undo(written.undo, key=KEY, allowed_models=frozenset(labels), using="default")
    return [query["sql"].split()[0] for query in queries.captured_queries]


# --- plain values --------------------------------------------------------------------------------


class Colour(models.TextChoices):
    RED = "red"


VALUES: list[tuple[str, Any, Any]] = [
    ("flag", False, True),
    ("maybe", None, False),
    ("char", "old", "new"),
    ("char", "ä '\"\\ ", "é\n"),
    ("char", "blue", Colour.RED),
    ("text", "", "x" * 5000),
    ("slug", "a", "b"),
    ("email", "a@example.org", "b@example.org"),
    ("url", "https://example.org/ä", ""),
    ("path", "/a", "/b"),
    ("file", "old.txt", "new.txt"),
    ("maybe_file", None, "new.txt"),
    ("maybe_file", "old.txt", None),
    ("integer", -5, 7),
    ("small", 1, -1),
    ("big", 2**62, -(2**62)),
    ("positive", 0, 2**31 - 1),
    ("maybe_integer", None, 0),
    ("decimal", Decimal("-0.01"), Decimal("12345678.90")),
    ("real", 0.1, 1e300),
    ("real", -0.0, 1 / 3),
    ("date", None, date(1, 1, 1)),
    ("moment", MOMENT, None),
    ("moment", MOMENT, datetime(2024, 3, 1, 1, 0, tzinfo=UTC)),
    ("time", time(0, 0), time(23, 59, 59, 999999)),
    ("duration", timedelta(microseconds=-1), timedelta(days=-3, seconds=5)),
    ("uuid", uuid.UUID(int=1), uuid.UUID(int=2)),
    ("ip", "127.0.0.1", "2001:db8::1"),
    ("binary", b"\x00\xff", b""),
    ("json", {"b": [1, 1.5, None, True], "a": "ä"}, []),
    ("json", {"n": 1}, {"n": True}),
    ("maybe_json", None, {"at": MOMENT}),
    ("maybe_json", {}, None),
    ("maybe_json", None, Value(None, models.JSONField())),
    ("maybe_json", Value(None, models.JSONField()), None),
    ("maybe_json", Value(None, models.JSONField()), 5),
]


@pytest.mark.parametrize(("name", "old", "new"), VALUES)
def test_a_column_of_any_type_is_restored(name: str, old: Any, new: Any) -> None:
    """P31"""
    row = Everything.objects.create(**{name: old})
    before = everything_there_is()
    step = UpdateStep(values={name: new})

    written = carry_out(step, row)
    changed = everything_there_is()
    take_back(written, step, row)

    assert changed != before
    assert everything_there_is() == before


@pytest.mark.parametrize(("name", "old", "new"), VALUES)
def test_a_foreign_value_of_any_type_is_kept(name: str, old: Any, new: Any) -> None:
    row = Everything.objects.create(**{name: new})
    step = UpdateStep(values={name: old})
    written = carry_out(step, row)
    Everything.objects.filter(pk=row.pk).update(**{name: new})
    foreign = everything_there_is()

    with pytest.raises(UndoConflict) as caught:
        take_back(written, step, row)

    assert list(caught.value.fields) == [name]
    assert everything_there_is() == foreign


def test_a_conflict_says_what_was_expected_what_is_there_and_what_was_to_be_restored(hay: Feed) -> None:
    step = UpdateStep(values={"name": "oats", "stock": 3})
    written = carry_out(step, hay)
    Feed.objects.update(name="straw")

    with pytest.raises(
        UndoConflict, match=r"zoo\.Feed \d+ was changed by somebody else since: name"
    ) as caught:
        take_back(written, step, hay)

    assert caught.value.fields == {"name": {"expected": "oats", "found": "straw", "restore": "hay"}}
    hay.refresh_from_db()
    assert (hay.name, hay.stock) == ("straw", 3)


@pytest.mark.parametrize("foreign", ["PAID", "paid ", "päid", "pàid"])
def test_a_text_that_only_a_collation_takes_for_ours_is_foreign(foreign: str) -> None:
    row = Code.objects.create(code="A", alias="a", meaning="open")
    step = UpdateStep(values={"meaning": "paid"})
    written = carry_out(step, row)
    Code.objects.update(meaning=foreign)

    with pytest.raises(UndoConflict):
        take_back(written, step, row)

    assert Code.objects.get().meaning == foreign


def test_a_foreign_write_to_another_column_is_no_conflict(hay: Feed) -> None:
    step = UpdateStep(values={"name": "oats"})
    written = carry_out(step, hay)
    Feed.objects.update(stock=77)

    take_back(written, step, hay)

    hay.refresh_from_db()
    assert (hay.name, hay.stock) == ("hay", 77)


def test_what_the_step_did_not_change_is_not_restored(hay: Feed) -> None:
    step = UpdateStep(values={"name": "hay", "stock": 3})
    written = carry_out(step, hay)
    Feed.objects.update(name="straw")

    take_back(written, step, hay)

    hay.refresh_from_db()
    assert (hay.name, hay.stock) == ("straw", 10)


def test_a_row_that_is_gone_is_a_conflict(hay: Feed) -> None:
    step = UpdateStep(values={"name": "oats", "stock": F("stock") + 1})
    key = hay.pk
    written = carry_out(step, hay)
    Feed.objects.all().delete()

    with pytest.raises(UndoConflict, match=rf"zoo\.Feed {key} is gone") as caught:
        take_back(written, step, hay)

    assert set(caught.value.fields) == {"name", "stock"}


def test_a_unique_value_taken_meanwhile_is_a_conflict(hay: Feed) -> None:
    step = UpdateStep(values={"name": "oats"})
    written = carry_out(step, hay)
    Feed.objects.create(name="hay")

    with pytest.raises(UndoConflict) as caught:
        take_back(written, step, hay)

    assert set(caught.value.fields) == {"name"}
    assert set(Feed.objects.values_list("name", flat=True)) == {"hay", "oats"}


def test_a_link_to_a_row_that_is_gone_meanwhile_is_a_conflict() -> None:
    one, two = (Keeper.objects.create(name=n, email=f"{n}@example.org") for n in ("one", "two"))
    cage = Cage.objects.create(house="A", number=1, keeper=one)
    step = UpdateStep(values=lambda ctx: {"keeper": two})
    written = carry_out(step, cage)
    one.delete()

    with pytest.raises(UndoConflict, match=r"keeper refers to a zoo\.Keeper that is gone"):
        take_back(written, step, cage)

    cage.refresh_from_db()
    assert cage.keeper == two


def test_undoing_a_row_is_one_statement(hay: Feed) -> None:
    written = carry_out(UpdateStep(values={"name": "oats", "stock": F("stock") - 1, "batch": 5}), hay)

    assert undone_statements(written, "zoo.feed") == ["UPDATE"]


def test_types_that_sql_compares_loosely_are_compared_under_lock() -> None:
    row = Everything.objects.create()
    written = carry_out(UpdateStep(values={"json": {"a": 1}, "binary": b"x"}), row)

    assert undone_statements(written, "zoo.everything") == ["SELECT", "UPDATE"]


# --- what nobody assigned ------------------------------------------------------------------------


def test_the_time_of_the_last_save_is_restored_but_a_later_stamp_stays() -> None:
    row = Everything.objects.create()
    step = UpdateStep(values={"char": "new"})

    take_back(carry_out(step, row), step, row)
    assert Everything.objects.get().updated == row.updated

    written = carry_out(step, row)
    Everything.objects.update(updated=MOMENT, integer=5)  # as a save by somebody else would
    take_back(written, step, row)

    found = Everything.objects.get()
    assert (found.char, found.updated, found.integer, found.doubled) == ("", MOMENT, 5, 10)


def test_a_column_that_save_derives_is_restored_with_the_one_it_was_asked_for() -> None:
    page = Page.objects.create(title="Old Title")
    before = everything_there_is()
    step = UpdateStep(values={"title": "New Title", "hits": F("hits") + 1})

    written = carry_out(step, page)
    Page.objects.update(hits=F("hits") + 10)
    take_back(written, step, page)
    Page.objects.update(hits=F("hits") - 10)

    assert everything_there_is() == before


def test_what_a_receiver_writes_into_the_row_is_restored_too(hay: Feed) -> None:
    before = everything_there_is()
    step = UpdateStep(values={"stock": F("stock") - 1, "name": "oats"})

    def add(**_: Any) -> None:
        Feed.objects.update(name="OATS", stock=500)

    with receiver(signals.post_save, Feed, add):
        written = carry_out(step, hay)
    take_back(written, step, hay)

    assert everything_there_is() == before


def test_a_value_that_a_function_changed_in_place_is_restored() -> None:
    row = Everything.objects.create(json={"seen": [1]})

    def values(ctx: Any) -> dict[str, Any]:
        ctx.entity.json["seen"].append(2)
        return {"json": ctx.entity.json}

    step = UpdateStep(values=values)
    written = carry_out(step, row)
    assert Everything.objects.get().json == {"seen": [1, 2]}
    take_back(written, step, row)

    assert Everything.objects.get().json == {"seen": [1]}


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"integer": F("integer") * 3}, {"integer": 15}),
        ({"integer": F("big") + 1}, {"integer": 8}),
        ({"integer": 1 - F("integer")}, {"integer": -4}),
        ({"char": Upper("char")}, {"char": "ABC"}),
        ({"decimal": Decimal("1.005")}, {}),
        ({"decimal": F("decimal") * Decimal("1.1")}, {}),
        ({"real": F("real") + 0.1}, {}),
        ({"maybe_integer": F("maybe_integer") + 1}, {"maybe_integer": None}),
        ({"integer": F("integer") + 1 - 1 + 2}, {"integer": 7}),
    ],
)
def test_what_is_no_exact_delta_is_undone_as_a_plain_value(values: Any, found: dict[str, Any]) -> None:
    row = Everything.objects.create(integer=5, big=7, char="abc", decimal=Decimal("0.30"), real=0.2)
    before = everything_there_is()
    step = UpdateStep(values=values)

    written = carry_out(step, row)
    assert Everything.objects.filter(**found).exists() or None in found.values()
    take_back(written, step, row)

    assert everything_there_is() == before


# --- several tables, several rows ----------------------------------------------------------------


def test_a_row_over_three_tables_is_restored_in_all() -> None:
    parrot = Parrot.objects.create(name="Polly", weight=5, wingspan=30, words=["hello"])
    before = everything_there_is()
    values = {"name": "Rex", "weight": F("weight") + 2, "wingspan": F("wingspan") * 2, "words": []}
    step = UpdateStep(values=values)

    written = carry_out(step, parrot)
    assert everything_there_is() != before
    take_back(written, step, parrot)

    assert everything_there_is() == before


def test_a_conflict_in_one_table_leaves_the_others_alone() -> None:
    parrot = Parrot.objects.create(name="Polly", wingspan=30)
    step = UpdateStep(values={"name": "Rex", "wingspan": 31})
    written = carry_out(step, parrot)
    Parrot.objects.update(wingspan=32)

    with pytest.raises(UndoConflict):
        take_back(written, step, parrot)

    parrot.refresh_from_db()
    assert (parrot.name, parrot.wingspan) == ("Rex", 32)


def test_a_conflict_in_one_of_many_rows_leaves_the_others_alone(hay: Feed) -> None:
    Feed.objects.create(name="oats", stock=20)
    step = UpdateStep("zoo.Feed", where={"pk__gt": 0}, values={"batch": 7}, many=True)
    written = carry_out(step)
    Feed.objects.filter(name="oats").update(batch=8)

    with pytest.raises(UndoConflict):
        take_back(written, step)

    assert list(Feed.objects.order_by("name").values_list("batch", flat=True)) == [7, 8]


def test_many_rows_are_restored_each_to_its_own(hay: Feed) -> None:
    Feed.objects.create(name="oats", stock=20, batch=3)
    before = everything_there_is()
    step = UpdateStep("zoo.Feed", where={"pk__gt": 0}, values={"batch": F("stock") * 2}, many=True)

    written = carry_out(step)
    assert list(Feed.objects.order_by("name").values_list("batch", flat=True)) == [20, 40]
    take_back(written, step)

    assert everything_there_is() == before


def test_a_row_with_a_key_of_two_columns_is_restored() -> None:
    Berth.objects.create(dock="a", number=1, ship="Argo")
    berth = Berth.objects.create(dock="a", number=2, ship="Beagle")
    before = everything_there_is()
    step = UpdateStep(values={"ship": "Calypso"})

    take_back(carry_out(step, berth), step, berth)

    assert everything_there_is() == before


def test_a_conflict_does_not_break_the_callers_transaction(hay: Feed) -> None:
    animal = Animal.objects.create(name="ape")
    step = UpdateStep(values={"name": "yeti"})
    written = carry_out(step, animal)
    Animal.objects.update(name="bear")

    with pytest.raises(UndoConflict):
        undo(written.undo, key=KEY, allowed_models=frozenset({"zoo.animal"}), using="default")

    assert Animal.objects.get().name == "bear"
