"""What is told of a database error: what was refused, never a value of a row."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest

from django.contrib.auth.models import User
from django.db import DatabaseError, DataError, connection, transaction
from django.db.models import F

from flowstate import (
    Action,
    Context,
    CreateStep,
    DeleteStep,
    StepError,
    UpdateStep,
    Workflow,
    allow_any,
    step,
)
from flowstate.actions.bound import BoundAction
from flowstate.engine.calls.errors import describe
from flowstate.engine.database.words import words_of
from flowstate.models import Run
from tests.zoo.models import Feed, Keeper

pytestmark = pytest.mark.django_db(transaction=True)


class Hindered(Workflow):
    """Fails after somebody else has made its undoing impossible."""

    def on_step_failed(self, ctx: Context[Feed], step: str, error: BaseException) -> None:
        Feed.objects.update(stock=500)
        Keeper.objects.get_or_create(name="CANARY", email="canary@example.org")


class TakesMuch(Hindered):
    take = UpdateStep(values={"stock": F("stock") - 900})

    @step(transactional=True)
    def fail(self, ctx: Context[Feed]) -> None:
        raise StepError


class Dismisses(Hindered):
    drop = DeleteStep("zoo.Keeper", where={"email": "canary@example.org"}, sensitive=True)

    @step(transactional=True)
    def fail(self, ctx: Context[Feed]) -> None:
        raise StepError


class Swallows(Workflow):
    @step(transactional=True)
    def fail(self, ctx: Context[Feed]) -> None:
        with suppress(DatabaseError):
            Keeper.objects.create(name="n", email="canary@example.org")


class Overfills(Workflow):
    fill = UpdateStep(values={"stock": F("stock") + 900})


class Repeats(Workflow):
    make = CreateStep("zoo.Keeper", values={"name": "n", "email": "canary@example.org"})


def run_of(workflow: type[Workflow]) -> Run:
    feed = Feed.objects.create(name="CANARY", stock=950)
    Keeper.objects.create(name="CANARY", email="canary@example.org")
    bound = BoundAction("trial", Action(workflow, rules=[allow_any]), Feed, feed)
    return bound.run(user=User.objects.create_user("ada"))


@pytest.mark.parametrize("workflow", [Overfills, Repeats, Swallows])
def test_a_step_that_the_database_refuses_tells_no_value(workflow: type[Workflow]) -> None:
    """I31: neither in words nor in the traceback."""
    run = run_of(workflow)

    assert run.status in {"failed", "compensated"}
    assert run.error
    assert run.error["detail"]
    assert "canary" not in str(run.error).lower()
    assert run.error["detail"] in run.traceback
    assert "canary" not in run.traceback.lower()


@pytest.mark.parametrize("workflow", [TakesMuch, Dismisses])
def test_an_undoing_that_the_database_refuses_tells_no_value(workflow: type[Workflow]) -> None:
    run = run_of(workflow)

    assert run.status == "attention"
    assert " cannot be restored: " in str(run.compensation_errors)
    assert "canary" not in str(run.compensation_errors).lower()


def refused(work: Callable[[], object]) -> DatabaseError:
    with pytest.raises(DatabaseError) as caught, transaction.atomic():
        work()
    return caught.value


def test_which_constraint_was_violated_is_told_where_the_database_says_it_apart() -> None:
    error = refused(lambda: Feed.objects.create(name="CANARY", stock=1001))

    if connection.vendor == "mysql":
        assert words_of(error) == f"the database refused it ({type(error).__name__} {error.args[0]})"
    else:
        assert "zoo_feed_stock_fits" in words_of(error)
        assert "\n" not in words_of(error)


def test_a_value_that_does_not_fit_its_type_is_not_quoted() -> None:
    def cast() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT CAST('CANARY \"quoted\"' AS integer)")

    if connection.vendor == "postgresql":
        error = refused(cast)
        assert isinstance(error, DataError)
        assert "CANARY" in str(error)
        assert words_of(error) == 'invalid input syntax for type integer: "***"'
    else:  # these cast any text to a number
        cast()


def test_what_the_program_itself_says_is_kept() -> None:
    error = DatabaseError("Nothing was saved.")

    assert describe(error, step="save", action=None).error["detail"] == "Nothing was saved."
