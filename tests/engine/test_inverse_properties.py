"""Properties of undoing over the whole zoo: any steps, in any order, with anybody writing in between."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from django.db import IntegrityError, models, transaction
from django.db.models import F, Value
from django.test.utils import override_settings

from flowstate.exceptions import RowLimitExceeded, RowMissing, RowProtected, UndoConflict
from flowstate.workflows.entities import CreateStep, DeleteStep, EntityStep, UpdateStep
from tests.zoo.models import (
    Animal,
    Cage,
    Code,
    Everything,
    Feed,
    Glossary,
    Keeper,
    Meal,
    Node,
    Note,
    Page,
    Parrot,
    Passport,
    Tag,
)
from tests.zoo.stage import carry_out, check_what_is_deferred, everything_there_is, take_back

pytestmark = pytest.mark.django_db

few = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class rolled_back:  # noqa: N801 - reads as a word in `with`
    """Each example begins with the same rows."""

    def __enter__(self) -> None:
        self.block = transaction.atomic()
        self.block.__enter__()

    def __exit__(self, *error: Any) -> None:
        transaction.set_rollback(True)
        self.block.__exit__(*error)


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
    return dict(Everything.objects.values().get())


# --- steps ---------------------------------------------------------------------------------------


def world() -> None:
    keepers = [Keeper.objects.create(name=name, email=f"{name}@example.org") for name in ("Kim", "Lou")]
    cages = [
        Cage.objects.create(house="A", number=i, keeper=keepers[i % 2], deputy=keepers[0]) for i in range(2)
    ]
    feeds = [Feed.objects.create(name=name, stock=100) for name in ("hay", "oats")]
    tags = [Tag.objects.create(name=name) for name in ("loud", "shy")]
    mother = None
    for index in range(3):
        kind = Parrot if index == 1 else Animal
        mother = kind.objects.create(name=str(index), cage=cages[index % 2], mother=mother)
        mother.tags.set(tags[: index + 1])
        Meal.objects.create(animal=mother, feed=feeds[index % 2])
        Passport.objects.create(animal=mother)
        mother.friends.set(Animal.objects.exclude(pk=mother.pk)[:index])
    glossary = Glossary.objects.create()
    for index in range(3):
        code = Code.objects.create(code=f"c{index}", alias=f"a{index}")
        for line in range(index):
            glossary.entries.create(code=code, line=str(line)).remarks.create()
    root = Node.objects.create(name="root")
    root.children.create(name="leaf", twin=root)
    Note.objects.create(text="note")
    Page.objects.create(title="page")
    Everything.objects.create()


Make = Callable[[models.Model, int], EntityStep]


def keys(model: type[models.Model]) -> list[Any]:
    return list(model._base_manager.order_by("pk").values_list("pk", flat=True))


def aliases() -> list[str]:
    return list(Code.objects.order_by("pk").values_list("alias", flat=True))


def at(row: models.Model) -> dict[str, Any]:
    return {"where": {"pk": row.pk}}


MAKERS: dict[str, tuple[type[models.Model], Make]] = {
    "feed an animal": (
        Animal,
        lambda row, n: CreateStep(
            "zoo.Meal", values={"animal_id": row.pk, "feed_id": (keys(Feed) or [0])[0] + n % 2}
        ),
    ),
    "hatch": (
        Animal,
        lambda row, n: CreateStep("zoo.Parrot", values={"name": str(n), "mother_id": row.pk, "words": [n]}),
    ),
    "plant": (
        Node,
        lambda row, n: CreateStep(
            "zoo.Node", values=[{"name": str(n), "parent_id": row.pk}, {"name": "x"}], many=True
        ),
    ),
    "count": (
        Feed,
        lambda row, n: UpdateStep(
            "zoo.Feed",
            **at(row),
            values={"stock": F("stock") + n, "price": F("price") - Decimal(n) / 100, "batch": F("stock")},
        ),
    ),
    "count directly": (
        Feed,
        lambda row, n: UpdateStep(
            "zoo.Feed", **at(row), values={"soak": F("soak") + timedelta(n)}, direct=True
        ),
    ),
    "move": (
        Animal,
        lambda row, n: UpdateStep(
            "zoo.Animal", **at(row), values={"cage_id": None, "name": f"moved {n}", "mother_id": row.pk}
        ),
    ),
    "teach": (
        Parrot,
        lambda row, n: UpdateStep("zoo.Parrot", **at(row), values={"words": [n], "weight": n, "wingspan": n}),
    ),
    "rename all": (
        Keeper,
        lambda row, n: UpdateStep("zoo.Keeper", where={"pk__gt": 0}, values={"name": f"all {n}"}, many=True),
    ),
    "tag": (
        Animal,
        lambda row, n: UpdateStep(
            "zoo.Animal",
            **at(row),
            values={"weight": F("weight") + n},
            add={"tags": keys(Tag)[: n + 1]},
            remove={"tags": keys(Tag)[n + 1 :]},
        ),
    ),
    "tag all": (
        Animal,
        lambda row, n: UpdateStep("zoo.Animal", where={"pk__gt": 0}, add={"tags": keys(Tag)[-1:]}, many=True),
    ),
    "untag": (
        Tag,
        lambda row, n: UpdateStep(
            "zoo.Tag", **at(row), values={"name": f"n {n}"}, remove={"animals": keys(Animal)[n:]}
        ),
    ),
    "befriend": (
        Animal,
        lambda row, n: UpdateStep(
            "zoo.Animal", **at(row), add={"friends": keys(Animal)[:n]}, remove={"friends": keys(Animal)[n:]}
        ),
    ),
    "change the diet": (
        Animal,
        lambda row, n: UpdateStep(
            "zoo.Animal", **at(row), add={"feeds": keys(Feed)[: n % 2]}, remove={"feeds": keys(Feed)[n % 2 :]}
        ),
    ),
    "define": (
        Glossary,
        lambda row, n: UpdateStep(
            "zoo.Glossary", **at(row), add={"codes": aliases()[:n]}, remove={"codes": aliases()[n:]}
        ),
    ),
    "drop a code": (Code, lambda row, n: DeleteStep("zoo.Code", **at(row))),
    "retitle": (Page, lambda row, n: UpdateStep("zoo.Page", **at(row), values={"title": f"Page {n}"})),
    "let an animal go": (Animal, lambda row, n: DeleteStep("zoo.Animal", **at(row))),
    "pull a cage down": (Cage, lambda row, n: DeleteStep("zoo.Cage", **at(row))),
    "dismiss a keeper": (Keeper, lambda row, n: DeleteStep("zoo.Keeper", **at(row))),
    "drop a tag": (Tag, lambda row, n: DeleteStep("zoo.Tag", **at(row))),
    "fell": (Node, lambda row, n: DeleteStep("zoo.Node", **at(row))),
    "use a feed up": (Feed, lambda row, n: DeleteStep("zoo.Feed", **at(row))),
    "delete softly": (Note, lambda row, n: DeleteStep("zoo.Note", **at(row))),
}
deeds = st.lists(
    st.tuples(st.sampled_from(sorted(MAKERS)), st.integers(0, 3), st.integers(-3, 3)), min_size=1, max_size=6
)


def done(name: str, index: int, number: int) -> tuple[EntityStep, Any] | None:
    """Carry out a deed on one of the rows that are there; None where it cannot be done."""
    model, make = MAKERS[name]
    rows = list(model._default_manager.order_by("pk"))
    if not rows:
        return None
    step = make(rows[index % len(rows)], number)
    try:
        return step, carry_out(step)
    except (RowProtected, RowMissing, IntegrityError):
        event(f"cannot {name}")
        return None


def conflict_in(written: Any, step: EntityStep, row: models.Model | None = None) -> UndoConflict | None:
    """Undo; return the conflict if there is one."""
    try:
        take_back(written, step, row)
    except UndoConflict as conflict:
        event("conflict")
        return conflict
    return None


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


@few
@given(
    assignments,
    st.sampled_from(sorted(COLUMNS)).flatmap(lambda name: st.tuples(st.just(name), COLUMNS[name])),
)
def test_a_foreign_value_is_never_overwritten(
    db: None, new: dict[str, Any], foreign: tuple[str, Any]
) -> None:
    """I19"""
    name, value = foreign
    with rolled_back():
        row = Everything.objects.create()
        start = the_row()
        step = UpdateStep(values=new)
        written = carry_out(step, row)
        Everything.objects.update(**{name: value})
        after = the_row()

        conflict = conflict_in(written, step, row)
        found = the_row()

        if conflict:
            assert list(conflict.fields) == [name]
            assert found == after
        else:
            changes: dict[str, Any] = {}
            for part in written.undo.get("changed", []):  # type: ignore[union-attr]
                changes |= part["fields"]
            counted = "delta" in changes.get(name, ())
            assert found[name] in (after[name], start[name]) or counted
            assert all(found[column] == start[column] for column in set(changes) - {name, "updated"})


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
