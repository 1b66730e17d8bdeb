"""Properties of undoing over the whole zoo: any steps, in any order, with anybody writing in between."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import event, example, given
from hypothesis import strategies as st

from django.db import models
from django.db.models import F, Value
from django.db.models.expressions import DatabaseDefault
from django.test.utils import override_settings

from flowstate.exceptions import RowLimitExceeded
from flowstate.workflows.entities import DeleteStep, UpdateStep
from tests.zoo.deeds import MAKERS, at, conflict_in, deeds, done, few, keys, rolled_back, world
from tests.zoo.models import (
    Animal,
    Everything,
    Feed,
    Keeper,
    Meal,
    Node,
    Page,
    Remark,
    Tag,
)
from tests.zoo.stage import carry_out, check_what_is_deferred, everything_there_is, take_back

pytestmark = pytest.mark.django_db

# --- values --------------------------------------------------------------------------------------

words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
)
COLUMNS: dict[str, st.SearchStrategy[Any]] = {
    "flag": st.booleans(),
    "maybe": st.none() | st.booleans(),
    "char": words,
    "text": words,
    "slug": st.from_regex(r"[-a-zA-Z0-9_]{0,20}", fullmatch=True),
    "email": st.emails().filter(lambda email: len(email) <= 200),
    "url": words.map(lambda word: f"https://example.org/{word}"),
    "path": words.map(lambda word: f"/{word}"),
    "file": words.map(lambda word: f"files/{word}"),
    "maybe_file": st.none() | st.just("files/a.txt"),
    "small": st.integers(-(2**15), 2**15 - 1),
    "positive": st.integers(0, 2**31 - 1),
    "integer": st.integers(-(2**28), 2**28) | st.just(F("integer") * 2),
    "big": st.integers(-(2**63), 2**63 - 1),
    "positive_small": st.integers(0, 2**15 - 1),
    "positive_big": st.integers(0, 2**62) | st.just(F("positive_big") + 3),
    "defaulted": st.integers(-9, 9) | st.just(DatabaseDefault(Value(7))),
    "maybe_integer": st.none() | st.integers(-9, 9) | st.just(F("maybe_integer") + 2),
    "decimal": st.decimals(-(10**7), 10**7, places=2) | st.just(F("decimal") + Decimal("0.07")),
    "real": st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False),
    "date": st.none() | st.dates(date(1000, 1, 1)),
    "moment": st.none() | st.datetimes(datetime(1000, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)),  # noqa: DTZ001
    "time": st.none() | st.times(),
    "duration": st.none()
    | st.timedeltas(timedelta(-(10**5)), timedelta(10**5))
    | st.just(F("duration") - timedelta(microseconds=3)),
    "uuid": st.none() | st.uuids(version=4),
    "ip": st.none() | st.ip_addresses().map(str),
    "binary": st.none() | st.binary(max_size=10),
    "json": json_values.filter(lambda value: value is not None),
    "maybe_json": json_values | st.just(Value(None, models.JSONField())),
}
assignments = st.fixed_dictionaries({}, optional=COLUMNS).filter(bool)


def the_row() -> dict[str, Any]:
    row = dict(Everything.objects.values().get())
    if row["maybe_json"] is None and not Everything.objects.filter(maybe_json__isnull=True).exists():
        row["maybe_json"] = "a JSON null"  # which Django reads as None too
    return row


# --- properties -----------------------------------------------------------------------------------


@few
@given(deeds)
def test_any_steps_undone_in_reverse_leave_everything_as_it_was(
    db: None, doing: list[tuple[str, int, int]]
) -> None:
    """I20"""
    with rolled_back():
        world()
        before = everything_there_is()

        written = [found for found in (done(*deed) for deed in doing) if found]
        for step, record in reversed(written):
            take_back(record, step)

        assert everything_there_is() == before


@few
@given(assignments, assignments)
def test_any_values_in_any_columns_are_restored(db: None, old: dict[str, Any], new: dict[str, Any]) -> None:
    plain = {name: value for name, value in old.items() if not hasattr(value, "rhs")}
    with rolled_back():
        row = Everything.objects.create(**plain)
        before = everything_there_is()
        step = UpdateStep(values=new)

        take_back(carry_out(step, row), step, row)

        assert everything_there_is() == before


def of_a_column(name: str) -> st.SearchStrategy[tuple[str, Any]]:
    return st.tuples(st.just(name), COLUMNS[name])


assigned_and_foreign = assignments.flatmap(
    lambda new: st.tuples(
        st.just(new), (st.sampled_from(sorted(new)) | st.sampled_from(sorted(COLUMNS))).flatmap(of_a_column)
    )
)


@few
@given(assigned_and_foreign)
@example(({"url": "https://example.org/", "positive_big": F("positive_big") + 3}, ("positive_big", 0)))
def test_a_foreign_value_is_never_overwritten(
    db: None, given: tuple[dict[str, Any], tuple[str, Any]]
) -> None:
    """I19"""
    new, (name, value) = given
    with rolled_back():
        row = Everything.objects.create()
        start = the_row()
        step = UpdateStep(values=new)
        written = carry_out(step, row)
        mine = the_row()
        Everything.objects.update(**{name: value})
        after = the_row()

        conflict = conflict_in(written, step, row)
        found = the_row()

        change = changes_of(written).get(name)
        if conflict:
            assert found == after
            assert change
            # A counter may be at its limit: which column that is, each database says in words of its own.
            at_its_limit = "delta" in change and set(conflict.fields) == set(changes_of(written)) - {
                "updated"
            }
            assert list(conflict.fields) == [name] or at_its_limit
            assert after[name] != mine[name] or "delta" in change
            return
        assert all(found[column] == start[column] for column in set(changes_of(written)) - {name, "updated"})
        if change is None:
            assert found[name] == after[name]
        elif "delta" in change:
            field: Any = Everything._meta.get_field(name)
            theirs = after[name]  # NULL stays NULL, whatever is taken away from it
            assert found[name] == (None if theirs is None else theirs - field.to_python(change["delta"]))
        else:
            assert after[name] == mine[name]
            assert found[name] == start[name]


def changes_of(written: Any) -> dict[str, Any]:
    """Return what the undo record says of each column."""
    return {name: change for row in written.undo.get("changed", ()) for name, change in row["fields"].items()}


@few
@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(-9, 9), st.integers(-9, 9), st.booleans())
def test_a_counter_keeps_the_foreign_delta(
    db: None, n: int, m: int, cents: int, others: int, direct: bool
) -> None:
    with rolled_back():
        row = Feed.objects.create(name="hay", stock=500, price=Decimal("1.10"))
        values = {"stock": F("stock") + n, "price": Decimal(cents) / 100 + F("price")}
        step = UpdateStep("zoo.Feed", **at(row), values=values, direct=direct)

        written = carry_out(step)
        Feed.objects.update(stock=F("stock") + m, price=F("price") + Decimal(others) / 10)
        take_back(written, step)

        assert Feed.objects.values_list("stock", "price").get() == (
            500 + m,
            Decimal("1.10") + Decimal(others) / 10,
        )


@few
@given(deeds, st.sampled_from(sorted(MAKERS)), st.integers(0, 3))
def test_what_somebody_does_in_between_is_kept_or_reported(
    db: None, doing: list[tuple[str, int, int]], foreign: str, index: int
) -> None:
    with rolled_back():
        world()
        written = [found for found in (done(*deed) for deed in doing) if found]
        done(foreign, index, 3)

        for step, record in reversed(written):
            before = everything_there_is()
            if conflict_in(record, step):
                assert everything_there_is() == before
        check_what_is_deferred()


NAMED: dict[str, tuple[type[models.Model], str]] = {
    "animal": (Animal, "name"),
    "keeper": (Keeper, "name"),
    "meal": (Meal, "grams"),
    "node": (Node, "name"),
    "page": (Page, "title"),
    "remark": (Remark, "text"),
    "tag": (Tag, "name"),
}


@few
@given(deeds, st.sampled_from(sorted(NAMED)), st.integers(0, 3), st.integers(-5, 5))
def test_after_any_steps_a_foreign_value_is_kept_and_a_counter_keeps_the_foreign_delta(
    db: None, doing: list[tuple[str, int, int]], named: str, index: int, delta: int
) -> None:
    """I19: whatever the steps did before with that very row, and in however many conflicts it ends."""
    model, column = NAMED[named]
    with rolled_back():
        world()
        stocks = dict(Feed.objects.values_list("pk", "stock"))
        keys_before = keys(model)
        written = [found for found in (done(*deed) for deed in doing) if found]
        there = [key for key in keys(model) if key in keys_before]
        theirs = 4711 if column == "grams" else "theirs"
        changed = model._base_manager.filter(pk__in=there[index : index + 1]).update(**{column: theirs})
        counted = [key for key in keys(Feed) if Feed.objects.filter(pk=key).update(stock=F("stock") + delta)]

        conflicts = [found for step, record in reversed(written) if (found := conflict_in(record, step))]

        held = model._base_manager.filter(pk__in=there[index : index + 1]).values_list(column, flat=True)
        assert list(held) == [theirs] * changed
        now = dict(Feed.objects.filter(pk__in=counted).values_list("pk", "stock"))
        if not conflicts:
            assert now == {key: stocks[key] + delta for key in counted}


@few
@given(st.integers(1, 25))
def test_a_deletion_takes_as_many_rows_as_the_cap_or_none(db: None, cap: int) -> None:
    with rolled_back():
        world()
        before = everything_there_is()
        step = DeleteStep("zoo.Cage", where={"number": 0})

        with override_settings(FLOWSTATE={"MAX_ROWS": cap}):
            try:
                written = carry_out(step)
            except RowLimitExceeded:
                event("over the cap")
            else:
                assert len(written.undo["deleted"]) <= cap  # type: ignore[index]
                take_back(written, step)

        assert everything_there_is() == before
