"""Foreseeing an undo: what is told before is what happens then, and telling it changes and locks nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from django.apps import apps
from django.contrib.auth.models import User
from django.db import connection, models
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from flowstate.engine.entities.foresight import SHOWN, Foresight
from flowstate.engine.entities.images import complete, same, text_of
from flowstate.engine.entities.inverse import models_of
from flowstate.exceptions import UndoConflict
from flowstate.models.undo_preview import RowPreview, StepPreview
from flowstate.workflows.entities import CreateStep, DeleteStep, EntityStep, UpdateStep
from tests.zoo.deeds import MAKERS, deeds, done, few, rolled_back, world
from tests.zoo.models import Animal, Cage, Feed, Keeper, Meal, Tag
from tests.zoo.stage import KEY, as_journaled, carry_out, sealed_anew, take_back

pytestmark = pytest.mark.django_db

Written = tuple[EntityStep, Any]


def foresee(*written: Written, sensitive: bool | tuple[str, ...] = ()) -> list[StepPreview]:
    """Foresee the undoing of these steps, the last first."""
    steps: Any = SimpleNamespace(steps=[step for step, _written in written])
    foresight = Foresight(models_of(steps, None), "default")
    records = [as_journaled(its) for _step, its in written]
    return [
        foresight.of_step(
            type(written[number][0]).__name__,
            records[number],
            key=KEY,
            others=[(other, KEY) for other in records[:number]],
            sensitive=sensitive,
        )
        for number in reversed(range(len(written)))
    ]


def do(step: EntityStep) -> Written:
    return step, carry_out(step)


def columns(row: RowPreview) -> dict[str, tuple[str | None, str | None]]:
    return {field.name: (field.now, field.after) for field in row.fields}


def there(row: RowPreview) -> models.Model | None:
    model = apps.get_model(row.model)
    found: models.Model | None = complete(model._base_manager.filter(pk=row.key)).first()
    return found


def came_true(row: RowPreview) -> bool:
    found = there(row)
    if row.what in {"deleted", "unchanged"}:
        return found is None
    assert found is not None
    own = {field.name: field for field in found._meta.local_concrete_fields}
    return all(same(own[field.name], text_of(own[field.name], found), field.after) for field in row.fields)


# --- rows ----------------------------------------------------------------------------------------


def test_a_changed_row_is_told_with_each_column_now_and_after() -> None:
    hay = Feed.objects.create(name="hay", stock=10)
    step = do(UpdateStep("zoo.Feed", where={"pk": hay.pk}, values={"name": "oats", "stock": F("stock") - 3}))
    Feed.objects.update(stock=F("stock") - 2)

    [preview] = foresee(step)

    [row] = preview.rows
    assert (row.model, row.key, row.what, row.conflict) == ("zoo.Feed", str(hay.pk), "changed", "")
    assert columns(row) == {"name": ("oats", "hay"), "stock": ("5", "8")}


def test_a_foreign_value_is_told_as_a_conflict_with_what_was_expected() -> None:
    hay = Feed.objects.create(name="hay", stock=10)
    step = do(UpdateStep("zoo.Feed", where={"pk": hay.pk}, values={"name": "oats", "stock": 1}))
    Feed.objects.update(name="straw")

    [preview] = foresee(step)

    [row] = preview.rows
    assert preview.conflict == row.conflict == f"zoo.Feed {hay.pk} was changed by somebody else since: name."
    assert {field.name: (field.conflict, field.expected) for field in row.fields} == {
        "name": (True, "oats"),
        "stock": (False, "1"),
    }


@pytest.mark.parametrize("policy", ["overwrite", "skip"])
def test_what_the_step_says_of_conflicts_is_foreseen(policy: Any) -> None:
    hay = Feed.objects.create(name="hay")
    values = {"name": "oats"}
    step = do(UpdateStep("zoo.Feed", where={"pk": hay.pk}, values=values, on_conflict=policy))
    Feed.objects.update(name="straw")

    [preview] = foresee(step)

    [field] = preview.rows[0].fields
    assert preview.on_conflict == policy
    assert bool(preview.conflict) == (policy == "skip")
    assert (field.now, field.expected, field.after, field.conflict) == ("straw", "oats", "hay", True)


def test_created_rows_would_go_and_deleted_ones_come_back() -> None:
    tag = Tag.objects.create(name="loud")
    made = do(CreateStep("zoo.Tag", values={"name": "shy"}))
    gone = do(DeleteStep("zoo.Tag", where={"pk": tag.pk}))

    restored, removed = foresee(made, gone)

    assert [(row.what, row.key, columns(row)) for row in restored.rows] == [
        ("restored", str(tag.pk), {"id": (None, str(tag.pk)), "name": (None, "loud")})
    ]
    assert [(row.what, row.label) for row in removed.rows] == [("deleted", str(Tag.objects.get()))]


def test_steps_on_one_row_are_foreseen_one_over_the_other() -> None:
    hay = Feed.objects.create(name="hay", stock=10)
    where = {"pk": hay.pk}
    first = do(UpdateStep("zoo.Feed", where=where, values={"name": "one"}))
    second = do(UpdateStep("zoo.Feed", where=where, values={"name": "two"}))

    previews = foresee(first, second)

    assert [columns(preview.rows[0])["name"] for preview in previews] == [("two", "one"), ("one", "hay")]
    assert [preview.conflict for preview in previews] == ["", ""]


def test_what_refers_to_a_created_row_and_stays_is_a_conflict() -> None:
    made = do(CreateStep("zoo.Keeper", values={"name": "Kim", "email": "kim@example.org"}))
    cage = Cage.objects.create(house="A", number=1, keeper=Keeper.objects.get())

    [preview] = foresee(made)

    assert preview.conflict == f"zoo.Cage {cage.pk} refers by keeper to what would be deleted."


def test_what_refers_to_a_created_row_and_goes_before_is_none() -> None:
    made = do(CreateStep("zoo.Keeper", values={"name": "Kim", "email": "kim@example.org"}))
    cage = do(CreateStep("zoo.Cage", values={"house": "A", "number": 1, "keeper": Keeper.objects.get()}))

    assert [preview.conflict for preview in foresee(made, cage)] == ["", ""]


def test_what_an_earlier_step_of_the_run_created_goes_along() -> None:
    cage = do(CreateStep("zoo.Cage", values={"house": "A", "number": 1}))
    made = do(CreateStep("zoo.Keeper", values={"name": "Kim", "email": "kim@example.org"}))
    Cage.objects.update(keeper=Keeper.objects.get())

    keeper, then = foresee(cage, made)

    assert [(row.model, row.what) for row in keeper.rows] == [
        ("zoo.Keeper", "deleted"),
        ("zoo.Cage", "deleted"),
    ]
    assert [(row.model, row.what) for row in then.rows] == [("zoo.Cage", "unchanged")]
    assert [keeper.conflict, then.conflict] == ["", ""]


def test_a_unique_value_taken_meanwhile_is_a_conflict() -> None:
    hay = Feed.objects.create(name="hay")
    renamed = do(UpdateStep("zoo.Feed", where={"pk": hay.pk}, values={"name": "oats"}))
    other = Feed.objects.create(name="hay")

    [preview] = foresee(renamed)

    assert preview.conflict == f"name is taken by zoo.Feed {other.pk}."


def test_a_row_that_is_gone_cannot_be_restored() -> None:
    hay = Feed.objects.create(name="hay")
    step = do(UpdateStep("zoo.Feed", where={"pk": hay.pk}, values={"name": "oats"}))
    Feed.objects.all().delete()

    [preview] = foresee(step)

    assert "is gone" in preview.conflict


def test_values_of_a_sensitive_step_are_not_told() -> None:
    hay = Feed.objects.create(name="hay", stock=10)
    step = do(UpdateStep("zoo.Feed", where={"pk": hay.pk}, values={"name": "oats", "stock": 3}))

    [some], [all_of_them] = foresee(step, sensitive=("name",)), foresee(step, sensitive=True)

    assert columns(some.rows[0]) == {"name": ("***", "***"), "stock": ("3", "10")}
    assert columns(all_of_them.rows[0]) == {"name": ("***", "***"), "stock": ("***", "***")}
    assert (some.rows[0].label, all_of_them.rows[0].label) == ("", "")


def test_a_label_that_is_made_of_a_sensitive_column_is_not_told() -> None:
    User.objects.create_user("old")
    step = do(UpdateStep("auth.User", where={"username": "old"}, values={"username": "canary"}))

    [told], [kept_back] = foresee(step), foresee(step, sensitive=("username",))

    assert told.rows[0].label == "canary"
    assert "canary" not in str(kept_back)


def test_a_record_that_was_tampered_with_is_told_to_be_refused() -> None:
    hay = Feed.objects.create(name="hay")
    step, written = do(UpdateStep("zoo.Feed", where={"pk": hay.pk}, values={"name": "oats"}))
    written.undo["changed"][0]["model"] = "auth.user"

    [preview] = foresee((step, sealed_anew(written.undo)))

    assert "names 'auth.user'" in preview.conflict
    assert preview.rows == ()


# --- cost ----------------------------------------------------------------------------------------


def test_many_rows_are_told_up_to_a_number_conflicts_first_and_read_in_one_statement() -> None:
    Feed.objects.bulk_create(Feed(name=f"feed {number}", stock=number) for number in range(SHOWN + 10))
    step = do(UpdateStep("zoo.Feed", where={"pk__gt": 0}, values={"stock": 500}, many=True))
    last = Feed.objects.latest("pk")
    Feed.objects.filter(pk=last.pk).update(stock=1)

    with CaptureQueriesContext(connection) as queries:
        [preview] = foresee(step)

    assert (len(preview.rows), preview.more) == (SHOWN, 10)
    assert [row.key for row in preview.rows if row.conflict] == [str(last.pk)] == [preview.rows[0].key]
    assert len(queries) == 1


def test_many_restored_rows_cost_a_constant_number_of_statements_beside_one_for_each_row_told() -> None:
    animal = Animal.objects.create(name="Tom")
    for number in range(SHOWN + 10):
        Meal.objects.create(animal=animal, feed=Feed.objects.create(name=str(number)))
    step = do(DeleteStep("zoo.Animal", where={"pk": animal.pk}))

    with CaptureQueriesContext(connection) as queries:
        [preview] = foresee(step)

    assert preview.more == 11
    tables, links = 2, 1
    assert len(queries) <= tables + links + SHOWN


def test_foreseeing_only_reads_and_locks_nothing() -> None:
    world()
    written = [found for found in (done(name, 0, 1) for name in sorted(MAKERS)) if found]

    with CaptureQueriesContext(connection) as queries:
        foresee(*written)

    assert len(queries) > len(MAKERS)
    assert {query["sql"].split()[0] for query in queries} == {"SELECT"}
    assert not [query for query in queries if "FOR UPDATE" in query["sql"] or "FOR NO KEY" in query["sql"]]


def conflicts(written: list[Written], number: int) -> bool:
    """Undo one step while those before it are not undone; return whether it met a conflict."""
    step, record = written[number]
    try:
        take_back(record, step, others=written[:number])
    except UndoConflict:
        event("conflict")
        return True
    return False


# --- properties ----------------------------------------------------------------------------------


@few
@given(deeds, st.none() | st.tuples(st.sampled_from(sorted(MAKERS)), st.integers(0, 3)))
def test_what_is_foreseen_is_what_happens(
    db: None, doing: list[tuple[str, int, int]], foreign: tuple[str, int] | None
) -> None:
    with rolled_back():
        world()
        written = [found for found in (done(*deed) for deed in doing) if found]
        if foreign:
            done(*foreign, 3)

        previews = foresee(*written)
        for number, preview in zip(reversed(range(len(written))), previews, strict=True):
            if conflicts(written, number):
                assert preview.conflict
            else:
                assert preview.conflict == ""
                assert all(came_true(row) for row in preview.rows)


# --- links ---------------------------------------------------------------------------------------


def test_links_would_go_and_come_back_and_one_that_is_there_again_stays() -> None:
    """Over what the steps undone before leave behind, where the same links were made and dropped twice."""
    ape = Animal.objects.create(name="ape")
    loud, shy, wild = (Tag.objects.create(name=name) for name in ("loud", "shy", "wild"))
    ape.tags.add(loud, shy)
    dropped = do(UpdateStep("zoo.Animal", where={"pk": ape.pk}, remove={"tags": [loud, shy]}))
    made = do(UpdateStep("zoo.Animal", where={"pk": ape.pk}, add={"tags": [loud, wild]}))
    ape.tags.add(shy)  # by somebody else

    previews = foresee(dropped, made)

    assert [[row.what for row in preview.rows] for preview in previews] == [
        ["deleted", "deleted"],
        ["unchanged", "restored"],
    ]
    assert not any(preview.conflict for preview in previews)
    for step, written in (made, dropped):
        take_back(written, step)
    assert set(ape.tags.all()) == {loud, shy}
