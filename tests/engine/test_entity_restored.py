"""`entity_restored`: who keeps copies of rows is told, after the commit, what an inverse has touched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from django.contrib.auth.models import User
from django.db import connection, models, transaction
from django.db.models import F

from flowstate import SYSTEM, CreateStep, DeleteStep, Step, UpdateStep, Workflow
from flowstate.models import StepRun
from flowstate.signals import entity_restored
from tests.kiosk.models import Product, Receipt, Sale
from tests.kiosk.stall import OnSale
from tests.zoo.models import Animal, Bird, Cage, Parrot, Tag

pytestmark = pytest.mark.django_db(transaction=True)


def fail(ctx: Any) -> None:
    raise OSError("no")


@pytest.fixture
def told() -> Iterator[list[dict[str, Any]]]:
    calls: list[dict[str, Any]] = []

    def listen(**facts: Any) -> None:
        assert not connection.in_atomic_block, "told before the commit"
        calls.append(facts)

    entity_restored.connect(listen)
    try:
        yield calls
    finally:
        entity_restored.disconnect(listen)


def rows(calls: list[dict[str, Any]]) -> list[tuple[type[models.Model], Any, str, str]]:
    return [(call["sender"], call["pk"], call["change"], call["step"]) for call in calls]


def test_every_row_that_was_touched_is_told_with_its_run_and_step(
    sale: Sale, user: User, on_sale: OnSale, told: list[dict[str, Any]]
) -> None:
    receipt = Receipt.objects.create(sale=sale, reference="r1")

    class Three(Workflow):
        create = CreateStep("kiosk.Product", values={"name": "cup"})
        update = UpdateStep(values={"note": "new"})
        delete = DeleteStep("kiosk.Receipt", where=lambda ctx: {"sale_id": ctx.entity_id})
        fail = Step("fail", fail)

    run = on_sale(Three).run(user=user)

    assert rows(told) == [
        (Receipt, receipt.pk, "back", "delete"),
        (Sale, sale.pk, "changed", "update"),
        (Product, run.results["create"]["pk"], "removed", "create"),
    ]
    assert {(call["run_id"], call["using"]) for call in told} == {(str(run.pk), "default")}


def test_a_receiver_finds_the_row_as_it_was(sale: Sale, user: User, on_sale: OnSale) -> None:
    found = []

    def index(sender: type[Sale], pk: int, **facts: Any) -> None:
        found.append(sender.objects.get(pk=pk).note)

    entity_restored.connect(index, sender=Sale)
    try:
        workflow = Workflow.from_steps("noted", [UpdateStep(name="a", values={"note": "x"}), Step("b", fail)])
        on_sale(workflow).run(user=user)
    finally:
        entity_restored.disconnect(index, sender=Sale)

    assert found == [""]


def test_nobody_is_told_of_what_stays(
    sale: Sale, user: User, on_sale: OnSale, told: list[dict[str, Any]]
) -> None:
    class Stay(Workflow):
        conflict = UpdateStep(values={"note": "ours"})
        kept = UpdateStep(values={"status": "kept"}, compensate=False)
        interfere = Step("interfere", lambda ctx: Sale.objects.update(note="theirs"))
        fail = Step("fail", fail)

    on_sale(Workflow.from_steps("well", [UpdateStep(name="a", values={"note": "x"})])).run(user=user)
    run = on_sale(Stay).run(user=user)

    assert run.status == "attention"
    assert told == []


def test_a_receiver_that_raises_changes_nothing(
    sale: Sale, user: User, on_sale: OnSale, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(**facts: Any) -> None:
        raise LookupError

    entity_restored.connect(broken)
    try:
        workflow = Workflow.from_steps("noted", [UpdateStep(name="a", values={"note": "x"}), Step("b", fail)])
        run = on_sale(workflow).run(user=user)
    finally:
        entity_restored.disconnect(broken)

    assert (run.status, StepRun.objects.get(name="a").compensation) == ("compensated", "done")
    assert "Receiver" in caplog.text


def test_a_run_inside_a_transaction_tells_after_the_callers_commit(told: list[dict[str, Any]]) -> None:
    tag = Tag.objects.create(name="shy")
    workflow = Workflow.from_steps(
        "joined",
        [
            UpdateStep("zoo.Tag", name="a", where={"pk": tag.pk}, values={"name": "loud"}),
            Step("b", fail, transactional=True),
        ],
    )

    with transaction.atomic():
        workflow.run(user=SYSTEM)
        assert told == []

    assert rows(told) == [(Tag, tag.pk, "changed", "a")]


@pytest.mark.parametrize(
    ("values", "tables"),
    [({"name": "x"}, {Animal, Parrot}), ({"wingspan": 2, "name": "x"}, {Animal, Bird, Parrot})],
)
def test_a_child_is_told_of_though_only_its_parents_tables_were_written(
    told: list[dict[str, Any]], values: dict[str, Any], tables: set[type[models.Model]]
) -> None:
    Animal.objects.create(name="so that keys differ from numbers of calls")
    parrot = Parrot.objects.create(name="Polly")
    step = UpdateStep("zoo.Parrot", name="a", where={"pk": parrot.pk}, values=values)

    Workflow.from_steps("child", [step, Step("b", fail)]).run(user=SYSTEM)

    assert {(call["sender"], call["pk"]) for call in told} == {(table, parrot.pk) for table in tables}
    assert len(told) == len(tables)


def test_link_tables_are_nobodys_model(told: list[dict[str, Any]]) -> None:
    cage = Cage.objects.create(house="A", number=1)
    animal = Animal.objects.create(name="ape", cage=cage)
    animal.tags.add(Tag.objects.create(name="shy"))
    step = DeleteStep("zoo.RareAnimal", name="a", where={"pk": animal.pk})

    Workflow.from_steps("links", [step, Step("b", fail)]).run(user=SYSTEM)

    assert rows(told) == [(Animal, animal.pk, "back", "a")]


def test_counters_are_told_of_too(told: list[dict[str, Any]]) -> None:
    product = Product.objects.create(name="tea", stock=10)
    step = UpdateStep(
        "kiosk.Product", name="a", where={"pk": product.pk}, values={"stock": F("stock") - 1}, direct=True
    )

    Workflow.from_steps("counted", [step, Step("b", fail)]).run(user=SYSTEM)

    assert rows(told) == [(Product, product.pk, "changed", "a")]
