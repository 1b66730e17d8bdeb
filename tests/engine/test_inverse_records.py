"""Undo records: whose models they may name, and refusing one that is not as its step left it."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from django.contrib.auth.models import User
from django.db.models import F

from flowstate.engine.entities import Written
from flowstate.engine.entities.inverse import models_of, undo
from flowstate.exceptions import UndoConflict
from flowstate.workflows.entities import CreateStep, DeleteStep, UpdateStep
from tests.zoo.models import Animal, Cage, Keeper, Parrot, Tag
from tests.zoo.stage import KEY, carry_out, everything_there_is, sealed_anew, take_back

pytestmark = pytest.mark.django_db


@pytest.fixture
def done() -> tuple[UpdateStep, dict[str, Any]]:
    keeper = Keeper.objects.create(name="Kim", email="kim@example.org")
    step = UpdateStep("zoo.Keeper", where={"pk": keeper.pk}, values={"name": "Kai"})
    undo_record = carry_out(step).undo
    assert undo_record is not None
    return step, json.loads(json.dumps(undo_record))


def test_a_record_cannot_name_a_model_that_the_workflow_does_not_write(done: Any) -> None:
    """S18"""
    step, record = done
    user = User.objects.create_user("mallory")
    row = {"model": "auth.user", "key": str(user.pk)}
    change = {"is_superuser": {"before": "True", "after": "False"}}

    for tampered in (
        {"version": 1, "changed": [{**row, "fields": change}]},
        {"version": 1, "created": [row]},
        {**record, "deleted": [{**row, "values": {}}]},
    ):
        with pytest.raises(UndoConflict, match=r"names 'auth\.user', which no step of the workflow writes"):
            take_back(sealed_anew(tampered), step)

    user.refresh_from_db()
    assert not user.is_superuser
    assert Keeper.objects.get().name == "Kai"


@pytest.mark.parametrize(
    "damage",
    [
        {"version": 2},
        {"deleted": {"model": "zoo.keeper"}},
        {"sql": []},
        {"changed": [{"model": "zoo.keeper"}]},
        {"changed": [{"model": "zoo.keeper", "key": "x", "fields": {}}]},
        {"changed": [{"model": "zoo.keeper", "key": "1", "fields": {"name": {"after": "Kai"}}}]},
        {"changed": [{"model": "zoo.keeper", "key": "1", "fields": {"name": {"before": 1, "after": "Kai"}}}]},
        {"changed": [{"model": "zoo.keeper", "key": "1", "fields": {"colour": {"delta": "1"}}}]},
        {"changed": [{"model": "zoo.keeper", "key": "1", "fields": {"cages": {"delta": "1"}}}]},
        {"changed": [{"model": "zoo.keeper", "key": "1", "fields": {"name": {"delta": 1}}}]},
        {"changed": [{"model": "zoo.keeper", "key": "1", "fields": {"name": {"delta": "1"}}}]},
        {"changed": [{"model": "zoo.keeper", "key": "1", "fields": "name"}]},
        {"changed": [{"model": "zoo.keeper", "key": "1", "fields": {"id": {"before": "1", "after": "x"}}}]},
        {"changed": ["zoo.keeper"]},
        {"changed": 5},
        {"deleted": [{"model": "zoo.keeper", "key": "9", "values": {"name": "x"}}]},
        {"deleted": [{"model": "zoo.keeper", "key": "9", "values": {"id": "x", "name": "x", "email": "x"}}]},
    ],
    ids=str,
)
def test_a_damaged_record_undoes_nothing(done: Any, damage: dict[str, Any]) -> None:
    step, record = done
    before = everything_there_is()

    with pytest.raises(UndoConflict):
        take_back(sealed_anew({**record, **damage}), step)

    assert everything_there_is() == before


def tampered(record: dict[str, Any], path: list[Any], value: Any) -> dict[str, Any]:
    """Return the record with another value at one place, under the seal that it has."""
    copy = json.loads(json.dumps(record))
    inner = copy
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return dict(copy)


FIRST = ["changed", 0]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ([*FIRST, "key"], "2"),
        ([*FIRST, "fields", "name", "before"], "Mallory"),
        ([*FIRST, "fields", "name", "after"], "Mallory"),
        ([*FIRST, "fields", "email"], {"before": "m@example.org", "after": "kim@example.org"}),
        (["created"], [{"model": "zoo.keeper", "key": "2"}]),
        (["changed"], []),
        (["seal"], "x"),
        (["seal"], None),
        (["seal"], ["a:b"]),
    ],
    ids=str,
)
def test_a_record_that_was_tampered_with_undoes_nothing(done: Any, path: list[Any], value: Any) -> None:
    """S18, S19: not even where model, columns and values would be possible ones."""
    step, record = done
    Keeper.objects.create(pk=2 if Keeper.objects.get().pk != 2 else 3, name="Kai", email="kai@example.org")
    before = everything_there_is()

    with pytest.raises(UndoConflict, match="is not as the step left it"):
        take_back(Written(result={}, undo=tampered(record, path, value)), step)

    assert everything_there_is() == before


def test_a_record_of_another_step_undoes_nothing(done: Any) -> None:
    _step, record = done

    with pytest.raises(UndoConflict, match="is not as the step left it"):
        undo(record, key="another run:the step", allowed_models=frozenset({"zoo.keeper"}), using="default")

    assert Keeper.objects.get().name == "Kai"


def test_a_record_outlives_a_new_secret_key_that_has_the_old_one_as_its_fallback(
    done: Any, settings: Any
) -> None:
    step, record = done
    old, settings.SECRET_KEY = settings.SECRET_KEY, "the new one"

    with pytest.raises(UndoConflict, match="SECRET_KEY_FALLBACKS"):
        take_back(Written(result={}, undo=record), step)
    settings.SECRET_KEY_FALLBACKS = [old]
    take_back(Written(result={}, undo=record), step)

    assert Keeper.objects.get().name == "Kim"


@pytest.mark.parametrize("record", [None, [], "x", 5])
def test_what_is_no_record_undoes_nothing(record: Any) -> None:
    with pytest.raises(UndoConflict, match="not one that this code can read"):
        undo(record, key=KEY, allowed_models=frozenset(), using="default")


def test_a_workflow_may_touch_what_its_steps_name_and_what_deleting_takes_along() -> None:
    def labels(*steps: Any, entity: Any = None) -> set[str]:
        found = models_of(SimpleNamespace(steps=steps), entity)
        return {label.removeprefix("zoo.") for label in found}

    assert labels(UpdateStep(values={"name": "x"}), entity=Parrot) == {"parrot", "bird", "animal"}
    assert labels(CreateStep("zoo.Feed", values={}), UpdateStep(values={"name": "x"}), entity=Tag) == {
        "feed",
        "tag",
    }
    assert labels(DeleteStep("zoo.Passport", where={"pk": 1})) == {"passport", "stamp"}
    assert labels(DeleteStep("zoo.Keeper", where={"pk": 1})) >= {"keeper", "cage", "loan", "verse"}
    assert labels(DeleteStep(), entity=Cage) >= {
        "sticker",
        "animal",
        "animal_tags",
        "meal",
        "stamp",
        "parrot",
    }


# --- what the step's functions said then ---------------------------------------------------------


def test_no_function_of_the_step_is_asked_again() -> None:
    """It is computed when the step is done: what the functions would say by now may be something else."""
    calls: list[str] = []

    def asked(what: str, answer: Any) -> Any:
        def answering(ctx: Any) -> Any:
            calls.append(what)
            return answer

        return answering

    animal = Animal.objects.create(name="ape")
    step = UpdateStep(
        "zoo.Animal",
        where=asked("where", {"pk": animal.pk}),
        values=asked("values", {"weight": F("weight") + 1}),
        add=asked("add", {"tags": [Tag.objects.create(name="loud")]}),
    )
    written = carry_out(step)
    assert sorted(calls) == ["add", "values", "where"]
    take_back(written, step)

    assert sorted(calls) == ["add", "values", "where"]
    assert Animal.objects.get().weight == 0
    assert not Animal.tags.through.objects.exists()
