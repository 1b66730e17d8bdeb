"""`full_clean=True`: what is validated, what fails the step, and what validation changes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from django.core.exceptions import ValidationError
from django.db.models import F

from flowstate import SYSTEM, Step, Workflow
from flowstate.exceptions import RowInvalid
from flowstate.workflows.entities import CreateStep, UpdateStep
from tests.zoo.models import Feed, Keeper
from tests.zoo.stage import carry_out, everything_there_is, take_back

pytestmark = pytest.mark.django_db


@pytest.fixture
def hay() -> Feed:
    return Feed.objects.create(name="hay", stock=10, price=Decimal("2.50"), batch=1)


def create(**values: Any) -> CreateStep:
    return CreateStep("zoo.Feed", name="make", values=values, full_clean=True)


def update(**values: Any) -> UpdateStep:
    return UpdateStep(name="change", values=values, full_clean=True)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"name": "", "batch": 1}, "name: This field cannot be blank"),
        ({"name": "x" * 51, "batch": 1}, "name: Ensure this value has at most 50 characters"),
        ({"name": "oats", "batch": 1, "stock": -1}, "stock: Ensure this value is greater"),
        ({"name": "oats", "batch": "many"}, "batch: .many. value must be an integer"),
        ({"name": "hay", "batch": 1}, "name: Feed with this Name already exists"),
        ({"name": "oats", "batch": 1, "stock": 1001}, "Constraint .zoo_feed_stock_fits. is violated"),
    ],
)
def test_a_row_that_is_not_valid_is_not_created_and_its_fields_are_named(
    hay: Feed, values: dict[str, Any], words: str
) -> None:
    before = everything_there_is()

    with pytest.raises(RowInvalid, match=rf"A new zoo\.Feed is not valid in step make: .*{words}") as caught:
        carry_out(create(**values))

    assert isinstance(caught.value.__cause__, ValidationError)
    assert everything_there_is() == before


def test_all_that_is_wrong_is_named(hay: Feed) -> None:
    with pytest.raises(RowInvalid, match=r"The changed \d+ of zoo\.Feed .* name: This.*; stock: Ensure"):
        carry_out(update(name="", stock=-1), hay)


@pytest.mark.parametrize("record_undo", [True, False])
def test_a_change_that_is_not_valid_is_not_saved(hay: Feed, record_undo: bool) -> None:
    Feed.objects.create(name="oats")
    before = everything_there_is()

    with pytest.raises(RowInvalid, match="name: Feed with this Name already exists"):
        carry_out(update(name="oats"), hay, record_undo=record_undo)

    assert everything_there_is() == before


def test_without_being_asked_nothing_is_validated(hay: Feed) -> None:
    carry_out(UpdateStep(values={"name": ""}), hay)
    carry_out(CreateStep("zoo.Feed", values={"name": "oats"}))  # its batch must not be blank in a form

    assert set(Feed.objects.values_list("name", flat=True)) == {"", "oats"}


def test_one_of_many_rows_that_is_not_valid_fails_the_step(hay: Feed) -> None:
    step = CreateStep(
        "zoo.Feed",
        values=[{"name": "oats", "batch": 1}, {"name": "hay", "batch": 1}],
        many=True,
        full_clean=True,
    )
    before = everything_there_is()

    with pytest.raises(RowInvalid):
        carry_out(step)

    assert everything_there_is() == before


def test_what_the_database_computes_is_left_to_the_database(hay: Feed) -> None:
    carry_out(update(stock=F("stock") - 3, price="1.50"), hay)

    assert Feed.objects.values_list("stock", "price").get() == (7, Decimal("1.50"))


def test_what_cleaning_makes_of_the_values_is_saved_and_undone(hay: Feed) -> None:
    before = everything_there_is()
    step = update(price="1.50", batch="7")

    written = carry_out(step, hay)
    assert written.undo is not None
    assert written.undo["changed"][0]["fields"] == {
        "price": {"before": "2.5", "after": "1.5"},
        "batch": {"before": "1", "after": "7"},
    }
    take_back(written, step, hay)

    assert everything_there_is() == before


@pytest.mark.parametrize("record_undo", [True, False])
def test_what_clean_writes_into_other_columns_is_saved_and_undone(
    monkeypatch: pytest.MonkeyPatch, record_undo: bool
) -> None:
    def clean(self: Keeper) -> None:
        self.email = f"{self.name.lower()}@example.org"

    monkeypatch.setattr(Keeper, "clean", clean)
    keeper = Keeper.objects.create(name="Kim", email="kim@example.com")
    before = everything_there_is()

    written = carry_out(update(name="Kai"), keeper, record_undo=record_undo)
    assert Keeper.objects.values_list("name", "email").get() == ("Kai", "kai@example.org")
    made = carry_out(
        CreateStep("zoo.Keeper", values={"name": "Lou", "email": "x@example.org"}, full_clean=True)
    )
    assert Keeper.objects.get(pk=made.result["pk"]).email == "lou@example.org"

    if record_undo:
        Keeper.objects.filter(pk=made.result["pk"]).delete()
        take_back(written, update(name="Kai"), keeper)
        assert everything_there_is() == before


@pytest.mark.parametrize(
    ("sensitive", "shown"), [(True, "name: [*]{3}; stock: [*]{3}"), (["name"], "name: [*]{3}; stock: En")]
)
def test_of_what_is_sensitive_only_the_name_is_told(hay: Feed, sensitive: Any, shown: str) -> None:
    step = UpdateStep(values={"name": "", "stock": -1}, full_clean=True, sensitive=sensitive)

    with pytest.raises(RowInvalid, match=shown):
        carry_out(step, hay)


@pytest.mark.django_db(transaction=True)
def test_a_run_fails_with_the_fields_and_undoes_what_was_done_before(hay: Feed) -> None:
    before = everything_there_is()
    steps: list[Step[Any]] = [
        UpdateStep("zoo.Feed", name="first", where={"pk": hay.pk}, values={"stock": F("stock") - 1}),
        UpdateStep("zoo.Feed", name="second", where={"pk": hay.pk}, values={"name": ""}, full_clean=True),
    ]

    run = Workflow.from_steps("validated", steps).run(user=SYSTEM)

    assert run.error is not None
    assert (run.status, run.failed_step, run.error["code"]) == ("compensated", "second", "row_invalid")
    assert "name: This field cannot be blank" in run.error["detail"]
    assert everything_there_is() == before
    with pytest.raises(RowInvalid, match="name"):
        run.raise_for_status()
