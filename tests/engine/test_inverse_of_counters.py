"""Undoing deltas: by the opposite delta, whoever else has counted since."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from django.db.models import F

from flowstate.exceptions import UndoConflict
from flowstate.workflows.entities import UpdateStep
from tests.zoo.models import Cage, Feed
from tests.zoo.stage import carry_out, everything_there_is, take_back

pytestmark = pytest.mark.django_db


@pytest.fixture
def hay() -> Feed:
    return Feed.objects.create(name="hay", stock=10, price=Decimal("2.50"), soak=timedelta(hours=1))


# --- deltas --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expression", "foreign", "left"),
    [
        ("stock", F("stock") - 3, 5, 15),
        ("stock", F("stock") + 3, -5, 5),
        ("stock", 4 + F("stock"), 1, 11),
        ("stock", F("stock") - -3, 1, 11),
        ("price", F("price") - Decimal("0.10"), Decimal("0.20"), Decimal("2.70")),
        ("price", F("price") + 3, Decimal("0.01"), Decimal("2.51")),
        ("price", Decimal("-1.25") + F("price"), Decimal(1), Decimal("3.50")),
        ("soak", F("soak") + timedelta(minutes=5), timedelta(seconds=-1), timedelta(seconds=3599)),
        ("soak", F("soak") - timedelta(days=-2, microseconds=3), timedelta(1), timedelta(days=1, hours=1)),
    ],
)
@pytest.mark.parametrize("direct", [True, False])
def test_a_delta_is_undone_by_its_opposite_and_keeps_the_foreign_delta(
    hay: Feed, name: str, expression: Any, foreign: Any, left: Any, direct: bool
) -> None:
    step = UpdateStep("zoo.Feed", where={"pk": hay.pk}, values={name: expression}, direct=direct)
    written = carry_out(step)
    Feed.objects.update(**{name: F(name) + foreign})

    take_back(written, step)

    assert getattr(Feed.objects.get(), name) == left


def test_a_decimal_counter_on_a_database_of_floats_comes_back_exactly(hay: Feed) -> None:
    Feed.objects.update(price=Decimal("0.30"))
    before = everything_there_is()
    steps = [UpdateStep(values={"price": F("price") - Decimal(n)}) for n in ("0.10", "0.07", "0.01")]

    done = [(step, carry_out(step, hay)) for step in steps]
    for step, written in reversed(done):
        take_back(written, step, hay)

    assert everything_there_is() == before


def test_several_deltas_and_values_in_one_step(hay: Feed) -> None:
    before = everything_there_is()
    step = UpdateStep(
        values={"stock": F("stock") - 2, "price": F("price") + 1, "soak": timedelta(0), "batch": 4}
    )

    written = carry_out(step, hay)
    Feed.objects.update(stock=F("stock") + 100)
    take_back(written, step, hay)
    Feed.objects.update(stock=F("stock") - 100)

    assert everything_there_is() == before


def test_a_foreign_value_beside_a_counter_leaves_the_counter_alone_too(hay: Feed) -> None:
    step = UpdateStep(values={"stock": F("stock") - 2, "name": "oats"})
    written = carry_out(step, hay)
    Feed.objects.update(name="straw")

    with pytest.raises(UndoConflict) as caught:
        take_back(written, step, hay)

    assert (list(caught.value.fields), Feed.objects.get().stock) == (["name"], 8)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("delta", "foreign"), [(5, 2), (-5, 999)])
def test_a_counter_that_would_leave_its_limits_is_a_conflict(hay: Feed, delta: int, foreign: int) -> None:
    step = UpdateStep(values={"stock": F("stock") + delta})
    written = carry_out(step, hay)
    Feed.objects.update(stock=foreign)

    with pytest.raises(UndoConflict) as caught:
        take_back(written, step, hay)

    assert (list(caught.value.fields), Feed.objects.get().stock) == (["stock"], foreign)


def test_rows_that_made_room_for_one_another_are_restored_from_the_last_to_the_first() -> None:
    """I19, I20: each takes the unique number that the one before has left."""
    for number in (2, 3, 4):
        Cage.objects.create(house="a", number=number)
    before = everything_there_is()
    step = UpdateStep("zoo.Cage", where={"house": "a"}, values={"number": F("number") - 1}, many=True)

    written = carry_out(step)
    moved = list(Cage.objects.order_by("number").values_list("number", flat=True))
    take_back(written, step)

    assert moved == [1, 2, 3]
    assert everything_there_is() == before
