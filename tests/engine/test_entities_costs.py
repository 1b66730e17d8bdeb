"""What entity steps cost in a run, beside the journal's own statements."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from django.db.models import F
from django.db.models.functions import Upper

from flowstate import SYSTEM, CreateStep, DeleteStep, UpdateStep, Workflow
from flowstate.workflows.entities import EntityStep
from tests.kiosk.statements import Statements
from tests.zoo.models import Animal, Feed, Tag

pytestmark = pytest.mark.django_db(transaction=True)

HAY = {"name": "hay"}


@pytest.fixture(autouse=True)
def rows() -> None:
    """One row of each, with the key 1; and Django's own caches filled."""
    Feed.objects.create(pk=1, name="hay", stock=10, batch=1)
    animal = Animal.objects.create(pk=1, name="ape")
    for key, name in ((1, "loud"), (2, "shy")):
        Tag.objects.create(pk=key, name=name)
    animal.tags.add(1)
    Workflow.from_steps("warm", [CreateStep("zoo.Code", name="a", values={"code": "a", "alias": "a"})]).run(
        user=SYSTEM
    )


def cost_of(step: EntityStep) -> list[str]:
    """Return the first words of what a run of this step says to the tables that are not the journal's."""
    with Statements() as said:
        run = Workflow.from_steps("one_step", [step]).run(user=SYSTEM)

    assert run.success, run.error
    return [sql.split()[0] for sql in said.work if "zoo_" in sql]


@pytest.mark.parametrize(
    ("values", "most"),
    [
        ({"stock": F("stock") - 1}, 2),
        ({"stock": F("stock") - 1, "price": F("price") + Decimal("0.05")}, 2),
        ({"name": "straw", "stock": 3, "soak": timedelta(1), "batch": None}, 2),
        ({"batch": F("batch") + 1, "price": Decimal("1.50"), "stock": F("stock") + 1}, 2),
        ({"price": "1.555"}, 3),
        ({"name": Upper("name")}, 3),
        ({"stock": F("stock") * 2}, 3),
    ],
    ids=str,
)
@pytest.mark.parametrize("where", [{"pk": 1}, HAY], ids=["key", "lookup"])
def test_an_update_costs_a_locked_read_a_write_and_a_read_back_where_it_is_needed(
    where: dict[str, Any], values: dict[str, Any], most: int
) -> None:
    cost = cost_of(UpdateStep("zoo.Feed", name="a", where=where, values=values))

    assert cost in (["UPDATE"], ["SELECT", "UPDATE"], ["SELECT", "UPDATE", "SELECT"])
    assert len(cost) <= most


def test_a_direct_update_costs_one_statement() -> None:
    step = UpdateStep("zoo.Feed", name="a", where={"pk": 1}, values={"stock": F("stock") - 1}, direct=True)

    assert cost_of(step) == ["UPDATE"]


def test_links_cost_a_look_before_and_after() -> None:
    def link(**links: Any) -> UpdateStep:
        return UpdateStep("zoo.Animal", name="a", where={"pk": 1}, **links)

    assert cost_of(link(add={"tags": [1, 2]})) == ["SELECT", "SELECT", "INSERT", "SELECT"]
    assert cost_of(link(remove={"tags": [1, 2]})) == ["SELECT", "SELECT", "DELETE", "SELECT"]


def test_a_creation_costs_an_insert_and_a_deletion_a_locked_read_and_a_delete() -> None:
    assert cost_of(CreateStep("zoo.Keeper", name="a", values={"name": "Kim"})) == ["INSERT"]
    given = CreateStep("zoo.Berth", name="a", values={"dock": "a", "number": 1})
    assert cost_of(given) == ["INSERT", "SELECT"]  # what tells it from another row with that key
    assert cost_of(DeleteStep("zoo.Berth", name="a", where={"dock": "a"})) == ["SELECT", "DELETE"]
