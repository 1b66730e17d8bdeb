"""Entity steps forward: which rows they find, how they write them, what they answer and refuse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from itertools import count
from typing import Any

import pytest

from django.db import IntegrityError, connection, models
from django.db.models import F, Q, signals
from django.test.utils import CaptureQueriesContext, override_settings

from flowstate.exceptions import (
    DeclarationInvalid,
    RowLimitExceeded,
    RowMissing,
    RowProtected,
    RowsAmbiguous,
    StepError,
)
from flowstate.workflows.entities import CreateStep, DeleteStep, UpdateStep
from tests.zoo.models import (
    Animal,
    Bird,
    Cage,
    Code,
    Feed,
    Keeper,
    Loan,
    Meal,
    Node,
    Note,
    Tag,
)
from tests.zoo.stage import Ctx, carry_out

pytestmark = pytest.mark.django_db


class NothingLeft(StepError):
    default_code = "nothing_left"


@pytest.fixture
def hay() -> Feed:
    return Feed.objects.create(name="hay", stock=10, price=Decimal("2.50"))


@contextmanager
def heard(signal: Any, sender: type[models.Model]) -> Iterator[list[dict[str, Any]]]:
    calls: list[dict[str, Any]] = []

    def listen(**facts: Any) -> None:
        calls.append(facts)

    signal.connect(listen, sender=sender)
    try:
        yield calls
    finally:
        signal.disconnect(listen, sender=sender)


# --- creating ------------------------------------------------------------------------------------


def test_a_create_step_answers_with_the_key_and_stores_it() -> None:
    written = carry_out(CreateStep("zoo.Feed", values={"name": "hay"}, store_as="feed_id"))

    feed = Feed.objects.get()
    assert (written.result, written.data) == ({"pk": feed.pk}, {"feed_id": feed.pk})


def test_a_create_step_for_many_rows_answers_with_their_number() -> None:
    rows = [{"name": "hay"}, {"name": "oats"}]

    written = carry_out(CreateStep(Feed, values=lambda ctx: rows, many=True, store_as="feeds"))

    assert written.result == {"count": 2}
    assert written.data == {"feeds": list(Feed.objects.order_by("name").values_list("pk", flat=True))}


def test_creating_sends_the_signals_of_a_save() -> None:
    with heard(signals.post_save, Feed) as calls:
        carry_out(CreateStep("zoo.Feed", values={"name": "hay"}))

    assert [call["created"] for call in calls] == [True]


def test_creating_never_turns_into_an_update_of_a_row_with_that_key() -> None:
    Code.objects.create(code="A", alias="a", meaning="old")

    with pytest.raises(IntegrityError):
        carry_out(CreateStep("zoo.Code", values={"code": "A", "alias": "b", "meaning": "new"}))


def test_a_related_row_may_be_given_as_a_row_or_by_its_key(hay: Feed) -> None:
    animal = Animal.objects.create(name="ape")

    carry_out(CreateStep("zoo.Meal", values=lambda ctx: {"animal": animal, "feed_id": hay.pk}))

    assert Meal.objects.get().animal == animal


def test_the_key_of_two_columns_is_a_list_in_the_result() -> None:
    written = carry_out(CreateStep("zoo.Berth", values={"dock": "north", "number": 1}))

    assert written.result == {"pk": ["north", 1]}


@pytest.mark.parametrize("name", ["colour", "tags", "doubled"])
def test_creating_with_an_unknown_column_names_model_and_columns(name: str) -> None:
    model = {"doubled": "zoo.Everything"}.get(name, "zoo.Animal")

    with pytest.raises(DeclarationInvalid, match=rf"'{name}', which is no column of {model}.*It has "):
        carry_out(CreateStep(model, values=lambda ctx: {name: 1}, name="make"))


def test_more_rows_than_the_cap_are_not_created() -> None:
    step = CreateStep("zoo.Feed", values=lambda ctx: ({"name": str(i)} for i in range(4)), many=True)

    with override_settings(FLOWSTATE={"MAX_ROWS": 3}), pytest.raises(RowLimitExceeded, match="MAX_ROWS"):
        carry_out(step)

    assert not Feed.objects.exists()


def test_a_list_of_rows_that_never_ends_is_cut_at_the_cap() -> None:
    def endless(ctx: Any) -> Iterator[dict[str, Any]]:
        return ({"name": f"feed {number}"} for number in count())

    step = CreateStep("zoo.Feed", values=endless, many=True, name="make")
    with override_settings(FLOWSTATE={"MAX_ROWS": 3}), pytest.raises(RowLimitExceeded, match="MAX_ROWS"):
        carry_out(step)

    assert not Feed.objects.exists()


def test_many_rows_that_are_no_list_are_refused() -> None:
    wrong: Any = lambda ctx: 5  # noqa: E731

    with pytest.raises(DeclarationInvalid, match="gave a int; it must be a list of dictionaries"):
        carry_out(CreateStep("zoo.Feed", values=wrong, many=True, name="make"))


@pytest.mark.parametrize("name", ["zoo.Unicorn", "circus.Animal"])
def test_a_model_that_does_not_exist_is_named(name: str) -> None:
    with pytest.raises(DeclarationInvalid, match=f"Step make names the model '{name}'"):
        carry_out(CreateStep(name, values={}, name="make"))


# --- finding the row -----------------------------------------------------------------------------


def test_a_row_that_is_not_there_is_named_by_model_and_lookup(hay: Feed) -> None:
    """P35"""
    step = UpdateStep("zoo.Feed", where={"name": "hay", "stock__gte": 11}, values={"stock": 0}, name="take")

    with pytest.raises(RowMissing, match=r"No zoo\.Feed with name='hay', stock__gte=11 for step take"):
        carry_out(step)

    hay.refresh_from_db()
    assert hay.stock == 10


@pytest.mark.parametrize("direct", [False, True])
def test_missing_names_the_error(hay: Feed, direct: bool) -> None:
    step = UpdateStep(
        "zoo.Feed",
        where=lambda ctx: {"pk": hay.pk, "stock__gte": 11},
        values=lambda ctx: {"stock": F("stock") - 11},
        missing=NothingLeft,
        direct=direct,
    )

    with pytest.raises(NothingLeft):
        carry_out(step)


def test_a_sensitive_lookup_is_not_shown() -> None:
    step = DeleteStep("zoo.Keeper", where={"email": "canary@example.org"}, sensitive=["email"])

    with pytest.raises(RowMissing) as caught:
        carry_out(step)

    assert "canary" not in str(caught.value)


def test_an_entity_that_is_gone_is_missing(hay: Feed) -> None:
    ctx = Ctx(hay)
    hay.delete()

    with pytest.raises(RowMissing, match=r"No zoo\.Feed with pk="):
        carry_out(UpdateStep(values={"stock": 1}), ctx=ctx)


def test_several_rows_where_one_is_meant_are_refused(hay: Feed) -> None:
    Feed.objects.create(name="oats")

    with pytest.raises(RowsAmbiguous, match="many=True"):
        carry_out(UpdateStep("zoo.Feed", where={"price__gte": 0}, values={"stock": 1}))


def test_a_lookup_that_finds_one_row_several_times_finds_one_row() -> None:
    keeper = Keeper.objects.create(name="Kim", email="kim@example.org")
    Cage.objects.create(house="A", number=1, keeper=keeper)
    Cage.objects.create(house="A", number=2, keeper=keeper)

    carry_out(UpdateStep("zoo.Keeper", where={"cages__house": "A"}, values={"name": "Kai"}))
    carry_out(
        UpdateStep("zoo.Keeper", where={"cages__house": "A"}, values={"email": "k@example.org"}, many=True)
    )

    assert Keeper.objects.values_list("name", "email").get() == ("Kai", "k@example.org")


def test_a_lookup_over_an_outer_join_locks_only_the_row_itself() -> None:
    cage = Cage.objects.create(house="A", number=1)

    carry_out(UpdateStep("zoo.Cage", where={"keeper__name": None, "pk": cage.pk}, values={"house": "B"}))
    bird = Bird.objects.create(name="owl", cage=cage)
    carry_out(UpdateStep("zoo.Bird", where={"cage__keeper__name": None}, values={"name": "kea"}))

    bird.refresh_from_db()
    assert bird.name == "kea"


def test_many_rows_are_capped(hay: Feed) -> None:
    Feed.objects.create(name="oats")
    step = UpdateStep("zoo.Feed", where={"pk__gte": 0}, values={"stock": 1}, many=True)

    with override_settings(FLOWSTATE={"MAX_ROWS": 1}), pytest.raises(RowLimitExceeded, match=r"zoo\.Feed"):
        carry_out(step)

    assert carry_out(step).result == {"count": 2}


def test_many_may_be_none_unless_an_error_is_named() -> None:
    nothing: Any = {"where": {"name": "none"}, "values": {"stock": 1}, "many": True}

    assert carry_out(UpdateStep("zoo.Feed", **nothing)).result == {"count": 0}
    with pytest.raises(NothingLeft):
        carry_out(UpdateStep("zoo.Feed", **nothing, missing=NothingLeft))


@pytest.mark.parametrize("key", ["_connector", "_negated", "colour", "stock_", ""])
def test_a_key_that_is_no_lookup_on_a_field_is_refused(hay: Feed, key: str) -> None:
    """S10"""
    step = UpdateStep(
        "zoo.Feed", where=lambda ctx: {"pk": hay.pk, key: "OR"}, values={"stock": 1}, name="take"
    )

    with pytest.raises(
        DeclarationInvalid, match=r"`where` of step take .* no lookup on a field of zoo\.Feed"
    ):
        carry_out(step)


@pytest.mark.parametrize("where", [{}, Q(), None, "pk", [("pk", 1)]])
def test_a_function_must_give_a_lookup(where: Any) -> None:
    with pytest.raises(DeclarationInvalid, match="`where` of step take"):
        carry_out(DeleteStep("zoo.Feed", where=lambda ctx: where, name="take"))


def test_a_condition_may_be_a_q(hay: Feed) -> None:
    carry_out(UpdateStep("zoo.Feed", where=Q(name="hay") | Q(name="oats"), values={"stock": 3}))

    hay.refresh_from_db()
    assert hay.stock == 3


def test_a_named_model_is_seen_through_its_manager_and_the_entity_is_not() -> None:
    note = Note.objects.create(text="old")
    note.delete()

    with pytest.raises(RowMissing):
        carry_out(UpdateStep("zoo.Note", where={"pk": note.pk}, values={"text": "new"}))
    carry_out(UpdateStep(values={"text": "new"}), note)

    assert Note.everything.get().text == "new"


def test_a_step_on_the_entity_of_a_run_without_one_says_so() -> None:
    with pytest.raises(DeclarationInvalid, match="works on the entity, but the run has none"):
        carry_out(UpdateStep(values={"stock": 1}, name="take"))


# --- deleting ------------------------------------------------------------------------------------


def test_a_delete_step_answers_with_the_key_and_sends_signals(hay: Feed) -> None:
    key = hay.pk
    with heard(signals.post_delete, Feed) as calls:
        written = carry_out(DeleteStep(), hay)

    assert (written.result, len(calls)) == ({"pk": key}, 1)


def test_deleting_many_answers_with_their_number() -> None:
    parent = Node.objects.create(name="parent")
    Node.objects.create(name="child", parent=parent)

    assert carry_out(DeleteStep("zoo.Node", where={"pk__gte": 0}, many=True)).result == {"count": 2}
    assert not Node.objects.exists()


@pytest.mark.parametrize("record_undo", [True, False])
def test_a_protected_row_is_not_deleted_and_its_holder_is_named(hay: Feed, record_undo: bool) -> None:
    meal = Meal.objects.create(animal=Animal.objects.create(name="ape"), feed=hay)

    with pytest.raises(RowProtected, match=rf"zoo\.Meal {meal.pk} refers to it and protects it"):
        carry_out(DeleteStep(), hay, record_undo=record_undo)

    assert Feed.objects.exists()


def test_a_restricted_row_is_deleted_only_together_with_its_holder() -> None:
    keeper = Keeper.objects.create(name="Kim", email="kim@example.org")
    animal = Animal.objects.create(name="ape")
    loan = Loan.objects.create(animal=animal, keeper=keeper)

    with pytest.raises(RowProtected, match=rf"zoo\.Loan {loan.pk}"):
        carry_out(DeleteStep(), animal)
    carry_out(DeleteStep(), keeper)

    assert not Loan.objects.exists()


def test_the_cap_counts_what_goes_along() -> None:
    animal = Animal.objects.create(name="ape")
    animal.tags.set([Tag.objects.create(name=str(i)) for i in range(3)])

    with (
        override_settings(FLOWSTATE={"MAX_ROWS": 3}),
        pytest.raises(RowLimitExceeded, match="4 rows or more"),
    ):
        carry_out(DeleteStep(), animal)
    with override_settings(FLOWSTATE={"MAX_ROWS": 4}):
        carry_out(DeleteStep(), animal)


def test_no_more_rows_are_read_than_the_cap_allows() -> None:
    animal = Animal.objects.create(name="ape")
    for i in range(5):
        Animal.objects.create(name=str(i), mother=animal)

    with (
        override_settings(FLOWSTATE={"MAX_ROWS": 2}),
        CaptureQueriesContext(connection) as queries,
        pytest.raises(RowLimitExceeded),
    ):
        carry_out(DeleteStep(), animal)

    assert any("LIMIT 3" in query["sql"] for query in queries.captured_queries)
