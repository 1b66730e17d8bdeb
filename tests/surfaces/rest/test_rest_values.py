"""Journaled values as clients read them."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest

from rest_framework.renderers import JSONRenderer

from example_shop.models import Order
from flowstate.models.values import encode
from flowstate.rest.values import plain


class Colour(Enum):
    RED = "#f00"
    MIXED = (1, 2)


def read(value: Any) -> Any:
    return json.loads(JSONRenderer().render([plain(value)]))[0]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        ([1, 1.5, "a", True], [1, 1.5, "a", True]),
        (datetime(2026, 1, 2, 3, tzinfo=UTC), "2026-01-02T03:00:00Z"),
        (date(2026, 1, 2), "2026-01-02"),
        (timedelta(minutes=1), "00:01:00"),
        (Decimal("1.50"), "1.50"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Order.Status.OPEN, "open"),
        (Colour.RED, "#f00"),
        (Colour.MIXED, "MIXED"),
        (Order(pk=7), {"model": "shop.order", "pk": "7"}),
        ({"$decimal": "mine"}, {"$decimal": "mine"}),
        ({"a": {"b": [Decimal(1)]}}, {"a": {"b": ["1"]}}),
    ],
)
def test_a_value_is_shown_without_its_tags_and_without_a_query(value: Any, shown: Any) -> None:
    assert read(encode(value, "it")) == shown


@pytest.mark.parametrize(
    "value",
    [
        {"$pickle": "x"},
        {"$decimal": "x"},
        {"$decimal": None},
        {"$datetime": 1},
        {"$row": "x"},
        {"$row": None},
        {"$enum": ["os:system", "x"]},
        {"$enum": 1},
        {"$object": []},
        {"$timedelta": "soon"},
        {"$uuid": "1"},
    ],
)
def test_what_cannot_be_read_is_shown_as_it_is(value: Any) -> None:
    """S15."""
    assert read([value]) == [value]
