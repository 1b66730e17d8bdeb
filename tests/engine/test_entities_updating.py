"""UpdateSteps forward: what they write, and what each kind of step costs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from django.db import connection, models
from django.db.models import F, signals
from django.test.utils import CaptureQueriesContext

from flowstate.engine.entities import perform
from flowstate.exceptions import (
    DeclarationInvalid,
    RowMissing,
)
from flowstate.workflows.entities import CreateStep, DeleteStep, UpdateStep
from tests.zoo.models import (
    Animal,
    Berth,
    Cage,
    Everything,
    Feed,
    Page,
    Passport,
    RareAnimal,
)
from tests.zoo.stage import Ctx, carry_out, everything_there_is, take_back

pytestmark = pytest.mark.django_db


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
        carry_out(UpdateStep(values=lambda ctx: ["stock"], name="set"), hay)  # type: ignore[arg-type]


def test_no_values_change_nothing(hay: Feed) -> None:
    written = carry_out(UpdateStep(values=lambda ctx: {}), hay)

    assert (written.result, set(written.undo or ())) == ({"pk": hay.pk}, {"version", "seal"})


# --- direct --------------------------------------------------------------------------------------


def test_a_direct_update_is_one_statement_without_signals(hay: Feed) -> None:
    step = UpdateStep("zoo.Feed", where={"pk": hay.pk}, values={"stock": F("stock") - 3}, direct=True)

    with heard(signals.post_save, Feed) as calls:
        assert executed(step) == ["UPDATE"]

    hay.refresh_from_db()
    assert (calls, hay.stock) == ([], 7)


@pytest.mark.parametrize(
    ("column", "values"),
    [("pk", {"stock": 1}), ("name", {"stock": F("stock") + 1}), ("pk", {"stock": F("stock") * 2})],
)
def test_a_direct_update_that_could_not_be_undone_is_refused(hay: Feed, column: str, values: Any) -> None:
    where = {column: getattr(hay, column)}
    step = UpdateStep("zoo.Feed", where=lambda ctx: where, values=lambda ctx: values, direct=True)

    with pytest.raises(DeclarationInvalid, match="direct=True"):
        carry_out(step)


def test_a_direct_update_without_compensation_may_be_anything(hay: Feed) -> None:
    step = UpdateStep("zoo.Feed", where={"name": "hay"}, values={"stock": 1}, direct=True, compensate=False)

    written = carry_out(step)

    assert (written.result, written.undo) == ({"count": 1}, None)


def test_a_direct_update_does_not_find_a_row_whose_counter_is_null(hay: Feed) -> None:
    with pytest.raises(RowMissing):
        carry_out(UpdateStep("zoo.Feed", where={"pk": hay.pk}, values={"batch": F("batch") + 1}, direct=True))


# --- what it costs -------------------------------------------------------------------------------

READ_AND_WRITE = ["SELECT", "UPDATE"]
AND_READ_BACK = ["SELECT", "UPDATE", "SELECT"]
AND_COMPUTED = ["SELECT", "UPDATE", "(SELECT)"]
"""Django 6 has the UPDATE itself return what it computed, where the database can."""


@pytest.mark.parametrize(
    ("values", "cost"),
    [
        ({"char": "new", "integer": 5, "flag": True}, READ_AND_WRITE),
        ({"integer": F("integer") + 1, "decimal": F("decimal") - Decimal("0.05")}, READ_AND_WRITE),
        ({"decimal": Decimal("1.5"), "real": 0.1, "duration": timedelta(seconds=1)}, READ_AND_WRITE),
        ({"decimal": Decimal("1.555")}, AND_READ_BACK),
        ({"integer": F("big") + 1}, AND_COMPUTED),
        ({"maybe_integer": F("maybe_integer") + 1}, AND_COMPUTED),
        ({"json": {"a": 1}}, AND_READ_BACK),
    ],
    ids=lambda given: "-".join(given) if isinstance(given, dict) else "",
)
def test_an_update_reads_back_only_what_it_cannot_know(values: dict[str, Any], cost: list[str]) -> None:
    row = Everything.objects.create()

    returned = getattr(connection.features, "can_return_rows_from_update", False)
    expected = READ_AND_WRITE if cost == AND_COMPUTED and returned else [word.strip("()") for word in cost]
    assert executed(UpdateStep(values=values), row) == expected


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
    given = CreateStep("zoo.Berth", values={"dock": "a", "number": 1})
    assert executed(given) == ["INSERT", "SELECT"]  # what tells it from another row with that key
    assert executed(DeleteStep(), Berth.objects.get()) == ["SELECT", "DELETE"]
    assert executed(DeleteStep("zoo.Passport", where={"pk__isnull": False}, many=True)) == ["SELECT"]
    assert not Passport.objects.exists()


def test_a_save_that_leaves_another_value_on_the_instance_than_it_stored_is_undone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """I20: what counts is what the database holds, so it is read back; else the undo would see a foreign value."""

    def save(self: Feed, **options: Any) -> None:
        models.Model.save(self, **options)
        self.name = self.name.upper()  # for whoever shows it

    hay = Feed.objects.create(name="hay", stock=10)
    monkeypatch.setattr(Feed, "save", save)
    before = everything_there_is()
    step = UpdateStep("zoo.Feed", name="rename", where={"pk": hay.pk}, values={"name": "straw"})

    written = carry_out(step)
    assert Feed.objects.get().name == "straw"
    take_back(written, step)

    assert everything_there_is() == before
