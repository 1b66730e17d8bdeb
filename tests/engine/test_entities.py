"""Entity steps forward: which rows they find, how they write them, what they answer and refuse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from django.db import IntegrityError, connection, models
from django.db.models import F, Q, signals
from django.test.utils import CaptureQueriesContext, override_settings

from flowstate.engine.entities import perform
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
    Berth,
    Bird,
    Cage,
    Code,
    Everything,
    Feed,
    Keeper,
    Loan,
    Meal,
    Node,
    Note,
    Page,
    Passport,
    RareAnimal,
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


def statements(queries: CaptureQueriesContext) -> list[str]:
    """The first words of what was executed, savepoints aside."""
    words = [query["sql"].split()[0] for query in queries.captured_queries]
    return [word for word in words if word not in ("SAVEPOINT", "RELEASE", "SET", "PRAGMA")]


def executed(step: Any, entity: Any = None, *, record_undo: bool = True) -> list[str]:
    """What a step executes, without the checks of the stage."""
    with CaptureQueriesContext(connection) as queries:
        perform(step, None, Ctx(entity), record_undo=record_undo, using="default")
    return statements(queries)


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


# --- updating ------------------------------------------------------------------------------------


def test_the_entity_inside_values_is_the_row_read_under_lock(hay: Feed) -> None:
    ctx = Ctx(hay)
    Feed.objects.update(stock=7)  # since the context was made

    carry_out(UpdateStep(values=lambda ctx: {"batch": ctx.entity.stock}), ctx=ctx)

    hay.refresh_from_db()
    assert (hay.batch, ctx.reads) == (7, 0)


def test_so_it_is_when_the_entity_is_found_by_a_lookup(hay: Feed) -> None:
    ctx = Ctx(hay)
    step = UpdateStep(
        "zoo.Feed", where=lambda ctx: {"pk": ctx.entity_id}, values=lambda ctx: {"batch": ctx.entity.stock}
    )

    carry_out(step, ctx=ctx)
    carry_out(step, ctx=ctx, record_undo=False)

    assert ctx.reads == 0


def test_values_are_evaluated_once(hay: Feed) -> None:
    Feed.objects.create(name="oats")
    calls = []

    def values(ctx: Any) -> dict[str, Any]:
        calls.append(1)
        return {"stock": F("stock") + 1}

    for many in (False, True):
        carry_out(UpdateStep("zoo.Feed", where={"name__in": ["hay"]}, values=values, many=many))
    carry_out(UpdateStep("zoo.Feed", where={"pk": hay.pk}, values=values, direct=True))

    assert len(calls) == 3


def test_only_the_named_columns_are_written_and_the_signals_say_which(hay: Feed) -> None:
    with heard(signals.post_save, Feed) as calls:
        carry_out(UpdateStep(values={"stock": 3}), hay)

    assert [set(call["update_fields"]) for call in calls] == [{"stock"}]


@pytest.mark.parametrize("record_undo", [True, False])
def test_the_time_of_the_last_save_moves_on(record_undo: bool) -> None:
    row = Everything.objects.create()
    before = row.updated

    carry_out(UpdateStep(values={"char": "new"}), row, record_undo=record_undo)

    row.refresh_from_db()
    assert row.updated > before
    assert row.created < row.updated


@pytest.mark.parametrize("record_undo", [True, False])
def test_a_save_of_the_models_own_is_called(record_undo: bool) -> None:
    page = Page.objects.create(title="Old Title")

    carry_out(UpdateStep(values={"title": "New Title"}), page, record_undo=record_undo)

    page.refresh_from_db()
    assert page.slug == "new-title"


def test_a_proxy_is_updated_as_its_model() -> None:
    animal = Animal.objects.create(name="ape")

    written = carry_out(UpdateStep("zoo.RareAnimal", where={"pk": animal.pk}, values={"name": "yeti"}))

    assert written.undo is not None
    assert RareAnimal.objects.get().name == "yeti"
    assert {row["model"] for row in written.undo["changed"]} == {"zoo.animal"}


@pytest.mark.parametrize("name", ["colour", "doubled", "id", "animals", "stock__gte"])
def test_updating_an_unknown_column_or_the_key_names_model_and_columns(name: str) -> None:
    row = Everything.objects.create()

    with pytest.raises(DeclarationInvalid, match=rf"`values` of step set has '{name}'.*zoo\.Everything"):
        carry_out(UpdateStep(values=lambda ctx: {name: 1}, name="set"), row)


def test_one_column_under_two_names_is_refused(hay: Feed) -> None:
    cage = Cage.objects.create(house="A", number=1)

    with pytest.raises(DeclarationInvalid, match="keeper twice"):
        carry_out(UpdateStep(values=lambda ctx: {"keeper": None, "keeper_id": None}), cage)


def test_values_that_are_no_dictionary_are_refused(hay: Feed) -> None:
    with pytest.raises(DeclarationInvalid, match="gave a list"):
        carry_out(UpdateStep(values=lambda ctx: ["stock"], name="set"), hay)  # type: ignore[arg-type, return-value]


def test_no_values_change_nothing(hay: Feed) -> None:
    written = carry_out(UpdateStep(values=lambda ctx: {}), hay)

    assert (written.result, written.undo) == ({"pk": hay.pk}, {"version": 1})


# --- direct --------------------------------------------------------------------------------------


def test_a_direct_update_is_one_statement_without_signals(hay: Feed) -> None:
    step = UpdateStep("zoo.Feed", where={"pk": hay.pk}, values={"stock": F("stock") - 3}, direct=True)

    with heard(signals.post_save, Feed) as calls:
        assert executed(step) == ["UPDATE"]

    hay.refresh_from_db()
    assert (calls, hay.stock) == ([], 7)


def test_a_direct_update_that_could_not_be_undone_is_refused(hay: Feed) -> None:
    for where, values in (
        ({"pk": hay.pk}, {"stock": 1}),
        ({"name": "hay"}, {"stock": F("stock") + 1}),
        ({"pk": hay.pk}, {"stock": F("stock") * 2}),
    ):
        step = UpdateStep(
            "zoo.Feed", where=lambda ctx, w=where: w, values=lambda ctx, v=values: v, direct=True
        )  # type: ignore[misc]
        with pytest.raises(DeclarationInvalid, match="direct=True"):
            carry_out(step)


def test_a_direct_update_without_compensation_may_be_anything(hay: Feed) -> None:
    step = UpdateStep("zoo.Feed", where={"name": "hay"}, values={"stock": 1}, direct=True, compensate=False)

    written = carry_out(step)

    assert (written.result, written.undo) == ({"count": 1}, None)


def test_a_direct_update_does_not_find_a_row_whose_counter_is_null(hay: Feed) -> None:
    with pytest.raises(RowMissing):
        carry_out(UpdateStep("zoo.Feed", where={"pk": hay.pk}, values={"batch": F("batch") + 1}, direct=True))


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


# --- what it costs -------------------------------------------------------------------------------

READ_AND_WRITE = ["SELECT", "UPDATE"]
AND_READ_BACK = ["SELECT", "UPDATE", "SELECT"]


@pytest.mark.parametrize(
    ("values", "cost"),
    [
        ({"char": "new", "integer": 5, "flag": True}, READ_AND_WRITE),
        ({"integer": F("integer") + 1, "decimal": F("decimal") - Decimal("0.05")}, READ_AND_WRITE),
        ({"decimal": Decimal("1.5"), "real": 0.1, "duration": timedelta(seconds=1)}, READ_AND_WRITE),
        ({"decimal": Decimal("1.555")}, AND_READ_BACK),
        ({"integer": F("big") + 1}, AND_READ_BACK),
        ({"maybe_integer": F("maybe_integer") + 1}, AND_READ_BACK),
        ({"json": {"a": 1}}, AND_READ_BACK),
    ],
    ids=lambda given: "-".join(given) if isinstance(given, dict) else "",
)
def test_an_update_reads_back_only_what_it_cannot_know(values: dict[str, Any], cost: list[str]) -> None:
    row = Everything.objects.create()

    assert executed(UpdateStep(values=values), row) == cost


def test_a_step_on_counters_alone_reads_nothing(hay: Feed) -> None:
    values = {"stock": F("stock") - 1, "price": 1 + F("price")}

    assert executed(UpdateStep(values=values), hay) == ["UPDATE"]


def test_in_an_atomic_workflow_nothing_is_read(hay: Feed) -> None:
    row = Everything.objects.create()

    assert executed(UpdateStep(values={"char": "new", "moment": None}), row, record_undo=False) == ["UPDATE"]
    where = {"pk": hay.pk, "stock__gte": 1}
    step = UpdateStep("zoo.Feed", where=where, values=lambda ctx: {"stock": 3})
    assert executed(step, record_undo=False) == ["UPDATE"]


def test_the_row_is_read_wherever_somebody_would_notice(hay: Feed) -> None:
    step = UpdateStep(values={"stock": 3})

    with heard(signals.pre_save, Feed):
        assert executed(step, hay, record_undo=False) == READ_AND_WRITE
    assert (
        executed(UpdateStep(values={"hits": 3}), Page.objects.create(), record_undo=False) == READ_AND_WRITE
    )
    named = UpdateStep("zoo.Feed", where={"name": "hay"}, values={"stock": 3})
    assert executed(named, record_undo=False) == READ_AND_WRITE


def test_creating_costs_one_insert_and_deleting_a_lone_row_a_read_and_a_delete(hay: Feed) -> None:
    assert executed(CreateStep("zoo.Feed", values={"name": "oats"})) == ["INSERT"]
    assert executed(CreateStep("zoo.Berth", values={"dock": "a", "number": 1})) == ["INSERT"]
    assert executed(DeleteStep(), Berth.objects.get()) == ["SELECT", "DELETE"]
    assert executed(DeleteStep("zoo.Passport", where={"pk__isnull": False}, many=True)) == ["SELECT"]
    assert not Passport.objects.exists()
