"""Values in the journal: what survives, what is refused, and what a tampered row cannot do."""

from __future__ import annotations

import enum
import json
import sys
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from django.test import override_settings
from django.utils.functional import lazystr
from django.utils.safestring import mark_safe

from flowstate import SYSTEM, Step, ValueNotSerializable, Workflow
from flowstate.models import Run, StepRun
from flowstate.models.values import MAX_DEPTH, decode, encode
from tests.kiosk.models import Product


class Colour(enum.Enum):
    RED = "r"


class Size(enum.IntEnum):
    SMALL = 1


class Word(enum.StrEnum):
    YES = "yes"


class Right(enum.Flag):
    READ = 1
    WRITE = 2


TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**200), 2**200),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXT,
    st.datetimes(),
    st.datetimes(timezones=ZONES),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.uuids(),
    st.sampled_from([Colour.RED, Size.SMALL, Word.YES, Right.READ]),
)
KEYS = st.one_of(TEXT, st.sampled_from(["$decimal", "$object", "$enum", "$row", "$", "$x"]))
VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=15
)


@given(VALUES)
def test_whatever_is_accepted_comes_back_as_it_was(value: Any) -> None:
    encoded = encode(value, "It")

    assert decode(json.loads(json.dumps(encoded))) == value


@given(VALUES)
def test_types_come_back_too(value: Any) -> None:
    back = decode(json.loads(json.dumps(encode([value], "It"))))[0]

    assert type(back) is type(value)


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), {"$datetime": "2026-01-02T03:04:05.000006+00:00"}),
        (datetime(2026, 1, 2, 3), {"$datetime": "2026-01-02T03:00:00"}),  # noqa: DTZ001 - naive on purpose
        (date(2026, 1, 2), {"$date": "2026-01-02"}),
        (time(3, 4), {"$time": "03:04:00"}),
        (timedelta(days=-1, microseconds=1), {"$timedelta": "-P0DT23H59M59.999999S"}),
        (Decimal("1.50"), {"$decimal": "1.50"}),
        (UUID(int=1), {"$uuid": "00000000-0000-0000-0000-000000000001"}),
        (Colour.RED, {"$enum": ["tests.journal.test_values:Colour", "RED"]}),
        (Size.SMALL, {"$enum": ["tests.journal.test_values:Size", "SMALL"]}),
        (Word.YES, {"$enum": ["tests.journal.test_values:Word", "YES"]}),
        ((1, 2), [1, 2]),
        ({"$decimal": "x"}, {"$object": {"$decimal": "x"}}),
        ({"$object": {"a": 1}}, {"$object": {"$object": {"a": 1}}}),
        ({"$a": 1, "$b": 2}, {"$a": 1, "$b": 2}),
        (lazystr("later"), "later"),
        (mark_safe("<b>"), "<b>"),
        (True, True),
    ],
    ids=repr,
)
def test_each_type_has_its_tag(value: Any, encoded: Any) -> None:
    assert encode(value, "It") == encoded
    assert type(encode(value, "It")) in {dict, list, str, bool}


REFUSED: list[tuple[Any, str]] = [
    (float("nan"), "It holds nan"),
    (float("inf"), "It holds inf"),
    (float("-inf"), "It holds -inf"),
    (Decimal("NaN"), "It holds Decimal NaN"),
    (Decimal("sNaN"), "It holds Decimal sNaN"),
    (Decimal("Infinity"), "It holds Decimal Infinity"),
    ("a\x00b", "It holds a NUL character"),
    ("\ud800", "It holds a lone surrogate"),
    ({"a\x00": 1}, "NUL character"),
    ({1: "a"}, "It holds the key 1"),
    ({None: "a"}, "It holds the key None"),
    ({Word.YES: "a"}, "It holds the key"),
    ({"a": [{"b": object()}]}, r"It holds a builtins.object.* at a\[0\]\.b"),
    (b"bytes", "It holds a builtins.bytes"),
    ({1, 2}, "It holds a builtins.set"),
    (Path(), "It holds a pathlib"),
    (ValueError("no"), "It holds a builtins.ValueError"),
    (Product(name="tea"), r"It holds an unsaved kiosk\.Product"),
    (10**5000, "It holds a whole number"),
    (Right.READ | Right.WRITE, "It holds"),
    (Right(0), "It holds"),
]


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_what_would_not_come_back_is_refused_by_name(number: int) -> None:
    value, words = REFUSED[number]

    with pytest.raises(ValueNotSerializable, match=words):
        encode(value, "It")


def test_an_enum_that_no_process_could_find_again_is_refused() -> None:
    class Local(enum.Enum):
        ONE = 1

    with pytest.raises(ValueNotSerializable, match="Local"):
        encode(Local.ONE, "It")


def test_what_contains_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)

    with pytest.raises(ValueNotSerializable, match=f"more than {MAX_DEPTH} levels"):
        encode(endless, "It")


def test_nesting_is_accepted_up_to_the_limit() -> None:
    nested: Any = 1
    for _level in range(MAX_DEPTH):
        nested = [nested]

    assert decode(encode(nested, "It")) == nested
    with pytest.raises(ValueNotSerializable):
        encode([nested], "It")


@override_settings(FLOWSTATE={"MAX_VALUE_BYTES": 100})
@pytest.mark.parametrize("letter", ["x", "ä"])
def test_a_value_is_accepted_up_to_the_limit_in_bytes(letter: str) -> None:
    """I31: bounded."""
    width = len(letter.encode())
    fits = letter * ((100 - 2) // width)

    assert encode(fits, "It") == fits
    with pytest.raises(
        ValueNotSerializable, match=f"It takes {100 + width} bytes of JSON, more than the 100 of FLOWSTATE"
    ):
        encode(fits + letter, "It")


def test_the_limit_is_256_kilobytes_where_nothing_is_said() -> None:
    assert encode("x" * (256 * 1024 - 2), "It")
    with pytest.raises(ValueNotSerializable, match="262,145 bytes"):
        encode("x" * (256 * 1024 - 1), "It")


# --- reading -------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoded", [{"$pickle": "x"}, {"$": 1}, [{"a": {"$unknown": None}}]])
def test_an_unknown_tag_is_refused(encoded: Any) -> None:
    with pytest.raises(ValueNotSerializable, match="unknown type tag"):
        decode(encoded)


@pytest.mark.parametrize(
    "path",
    [
        "tests.journal.never_imported:Colour",
        "os:system",
        "tests.journal.test_values:Product",
        "tests.journal.test_values:Ghost",
        "tests.journal.test_values:Colour.RED.__class__.mro",
        "builtins:eval",
        "",
    ],
)
def test_an_enum_out_of_a_tampered_row_imports_and_calls_nothing(path: str) -> None:
    before = set(sys.modules)

    with pytest.raises(ValueNotSerializable, match="which this process does not know"):
        decode({"$enum": [path, "RED"]})

    assert set(sys.modules) == before


def test_decoding_makes_copies() -> None:
    stored = {"list": [1, {"a": 2}]}

    back = decode(stored)
    back["list"][1]["a"] = 3

    assert stored == {"list": [1, {"a": 2}]}


# --- in the database -----------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_every_type_survives_the_database() -> None:
    """I31: as plain JSON."""
    product = Product.objects.create(name="tea")
    value = {
        "moment": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        "day": date(2026, 1, 2),
        "time": time(3, 4, 5),
        "span": timedelta(days=1, seconds=1),
        "price": Decimal("1.50"),
        "id": UUID(int=7),
        "colour": Colour.RED,
        "row": product,
        "text": "näïve ☃ \U0001f600 'quoted' \\ \n",
        "big": 2**80,
        "small": 1e-300,
        "tag": {"$decimal": "no tag"},
        "nothing": [None, False, 0, "", {}, []],
    }

    run = Workflow.from_steps("typed", [Step("a", lambda ctx: value)]).run(user=SYSTEM)

    assert Run.objects.get(pk=run.pk).value == value
    assert StepRun.objects.get().result == value


@pytest.mark.django_db(transaction=True)
def test_a_row_comes_back_as_it_is_now() -> None:
    product = Product.objects.create(name="tea")
    encoded = encode(product, "It")

    Product.objects.update(name="coffee")

    assert encoded == {"$row": ["kiosk.product", str(product.pk)]}
    assert decode(encoded).name == "coffee"


STORED = st.recursive(
    TEXT | st.integers(-(2**70), 2**70) | st.booleans() | st.none(),
    lambda inner: st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.django_db(transaction=True)
@settings(max_examples=25, deadline=None)
@given(value=STORED)
def test_json_survives_the_database(value: Any) -> None:
    workflow = Workflow.from_steps("stored", [Step("a", lambda ctx: value)])

    run = workflow.run(user=SYSTEM)

    assert Run.objects.get(pk=run.pk).value == value
