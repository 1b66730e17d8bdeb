"""What an entity step has looked at stays as it is until its commit: nobody gets in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from django.db import OperationalError, connection, models, transaction
from django.db.models import F, signals

from flowstate.workflows.entities import CreateStep, DeleteStep, EntityStep, UpdateStep
from tests.faults.crowd import elsewhere
from tests.zoo.models import Animal, Cage, Feed, Meal, Passport, Stamp, Tag
from tests.zoo.stage import carry_out, everything_there_is, take_back

pytestmark = pytest.mark.django_db(transaction=True)

AT_ONCE = {
    "sqlite": "PRAGMA busy_timeout = 50",
    "postgresql": "SET lock_timeout = '50ms'",
    "mysql": "SET innodb_lock_wait_timeout = 1",
}
"""What makes a connection give up instead of waiting for a lock."""


def a_cage() -> Cage:
    cage = Cage.objects.create(house="A", number=1)
    animal = Animal.objects.create(name="ape", cage=cage)
    Animal.objects.create(name="young", mother=animal)
    Meal.objects.create(animal=animal, feed=Feed.objects.create(name="hay"))
    Stamp.objects.create(passport=Passport.objects.create(animal=animal), country="PE")
    animal.tags.add(Tag.objects.create(name="loud"))
    Tag.objects.create(name="shy")
    return cage


Strange = Callable[[], Any]


def new_animal() -> None:
    Animal.objects.create(name="new", cage=Cage.objects.get())


def new_meal() -> None:
    Meal.objects.create(animal=Animal.objects.get(name="ape"), feed=Feed.objects.create(name="oats"))


def new_stamp() -> None:
    Stamp.objects.create(passport=Passport.objects.get(), country="EC")


def new_link() -> None:
    Animal.objects.get(name="ape").tags.add(Tag.objects.get(name="shy"))


def new_young() -> None:
    Animal.objects.create(name="new", mother=Animal.objects.get(name="ape"))


def change_of_a_child() -> None:
    Meal.objects.update(grams=F("grams") + 1)


def change_of_a_link_to_be_nulled() -> None:
    Animal.objects.filter(name="young").update(mother=None)


def tried(strange: Strange) -> str:
    """Do this on a connection of its own, without patience; return what came of it."""

    def at_once() -> str:
        with connection.cursor() as cursor:
            cursor.execute(AT_ONCE[connection.vendor])
        try:
            with transaction.atomic():
                strange()
        except OperationalError:
            return "locked out"
        return "got in"

    return elsewhere(at_once)


@contextmanager
def meanwhile(strange: Strange, signal: Any, sender: type[models.Model]) -> Iterator[list[str]]:
    """Have somebody else try this each time the signal is sent; tell what came of it."""
    outcomes: list[str] = []

    def receive(**facts: Any) -> None:
        outcomes.append(tried(strange))

    signal.connect(receive, sender=sender)
    try:
        yield outcomes
    finally:
        signal.disconnect(receive, sender=sender)


@contextmanager
def before_its(word: str, strange: Strange, on: str = "") -> Iterator[list[str]]:
    """Have somebody else try this before each statement of this connection that begins so, on that table."""
    outcomes: list[str] = []

    def between(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith(word) and on in sql:
            outcomes.append(tried(strange))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(between):
        yield outcomes


@pytest.mark.parametrize(
    "strange",
    [
        new_animal,
        new_meal,
        new_stamp,
        new_link,
        new_young,
        change_of_a_child,
        change_of_a_link_to_be_nulled,
    ],
)
def test_nothing_is_added_to_or_changed_in_what_a_deletion_has_recorded(strange: Strange) -> None:
    """I20: it would go or change with the rest, and nobody would know what to bring back."""
    cage = a_cage()
    before = everything_there_is()
    step = DeleteStep()

    with meanwhile(strange, signals.pre_delete, Cage) as outcomes:
        written = carry_out(step, cage)
    assert outcomes == ["locked out"]
    take_back(written, step, Cage(pk=int(written.result["pk"])))

    assert everything_there_is() == before


def test_what_a_deletion_has_found_is_locked_before_it_looks_what_depends_on_that() -> None:
    """I20: what came after the look and before the delete would go unrecorded."""
    cage = a_cage()
    before = everything_there_is()
    step = DeleteStep()

    with before_its("SELECT", new_meal, on="zoo_stamp") as outcomes:
        written = carry_out(step, cage)
    assert set(outcomes) == {"locked out"}
    take_back(written, step, Cage(pk=int(written.result["pk"])))

    assert everything_there_is() == before


def test_nobody_makes_a_link_while_a_step_makes_it() -> None:
    """I19: theirs would be taken for the step's own, and be undone with it."""
    a_cage()
    ape, shy = Animal.objects.get(name="ape"), Tag.objects.get(name="shy")
    step = UpdateStep(add={"tags": [shy]})

    with before_its("INSERT", new_link) as outcomes:
        carry_out(step, ape)

    assert outcomes == ["locked out"]


def change_the_row() -> None:
    Feed.objects.update(stock=F("stock") + 1)


@pytest.mark.parametrize(
    "step",
    [
        UpdateStep("zoo.Feed", where={"name": "hay"}, values={"stock": 7}),
        UpdateStep("zoo.Feed", where={"name": "hay"}, values={"stock": F("stock") * 2}, many=True),
    ],
)
def test_nobody_changes_a_row_between_its_before_and_its_after(step: EntityStep) -> None:
    Feed.objects.create(name="hay", stock=5)

    with meanwhile(change_the_row, signals.pre_save, Feed) as outcomes:
        written = carry_out(step)
    assert outcomes == ["locked out"]
    take_back(written, step)

    assert Feed.objects.get().stock == 5


def test_nobody_begins_to_refer_to_a_row_whose_creation_is_being_undone() -> None:
    """It would go with the row, or the row could not go."""
    step = CreateStep("zoo.Animal", values={"pk": 7, "name": "ape"})
    written = carry_out(step)

    with before_its("DELETE", lambda: Passport.objects.create(animal_id=7)) as outcomes:
        take_back(written, step)

    assert outcomes == ["locked out"]
    assert [model.objects.count() for model in (Animal, Passport)] == [0, 0]
