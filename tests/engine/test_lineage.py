"""Lineage: which runs and steps created, changed or deleted a row, and whether that was undone since."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django import Settings

from django.contrib.auth.models import User
from django.db.models import F

from flowstate import SYSTEM, Action, Context, CreateStep, DeleteStep, UpdateStep, Workflow, allow_any, step
from flowstate.actions import actions as declared
from flowstate.actions.actions import Actions
from flowstate.exceptions import LineageUnknown
from flowstate.models import Run, Touch, runs_of
from tests.kiosk import returns
from tests.kiosk.models import Product, Receipt, Sale
from tests.kiosk.returns import called
from tests.kiosk.stall import OnSale
from tests.kiosk.statements import Statements
from tests.zoo.models import Animal, Bird, Parrot

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    returns.forget()
    yield
    returns.forget()


@pytest.fixture
def all_models(settings: Settings) -> None:
    """Have it kept for the rows of every model."""
    settings.FLOWSTATE = {"LINEAGE": "all"}


class Deliver(Workflow):
    """Works on its own row and on others; fails if it is told to."""

    class Meta:
        exclusive = None

    take = UpdateStep(
        "kiosk.Product", where=lambda ctx: {"pk": ctx.entity.product_id}, values={"stock": F("stock") - 1}
    )
    mark = UpdateStep(values={"status": "delivered"})
    receipt = CreateStep("kiosk.Receipt", values=lambda ctx: {"sale_id": ctx.entity_id, "reference": "cash"})

    @step(transactional=True)
    def last(self, ctx: Context[Sale]) -> None:
        called(ctx, "last")


class DeliverAtOnce(Deliver):
    class Meta:
        atomic = True


class DeliverAndKeep(Deliver):
    class Meta:
        rollback = "none"


class Sweep(Workflow):
    many = UpdateStep("kiosk.Product", where={"pk__gt": 0}, values={"stock": 5}, many=True)
    gone = DeleteStep("kiosk.Product", where={"pk__gt": 0}, many=True)


class SweepAtOnce(Sweep):
    class Meta:
        atomic = True


def told(row: Any, **options: Any) -> list[tuple[str, str, bool]]:
    return [(entry.step, entry.deed, entry.undone) for entry in runs_of(row, **options)]


# --- the run's own row ---------------------------------------------------------------------------


@pytest.mark.parametrize("workflow", [Deliver, DeliverAtOnce])
def test_the_runs_own_row_is_found_without_a_line_of_its_own(
    sale: Sale, user: User, on_sale: OnSale, workflow: type[Workflow]
) -> None:
    run = on_sale(workflow).run(user=user)

    [entry] = runs_of(sale)
    assert (entry.run, entry.step, entry.deed, entry.undone) == (run, "mark", "changed", False)
    assert entry.at == run.step_runs.get(name="mark").ended_at
    assert not Touch.objects.exists()


def test_a_step_on_another_row_of_the_same_key_is_none_of_this_one(
    sale: Sale, user: User, on_sale: OnSale
) -> None:
    same_key, _there = Product.objects.get_or_create(pk=sale.pk, defaults={"name": "mug"})
    Sale.objects.update(product=same_key)
    on_sale(DeliverAtOnce).run(user=user)

    assert [entry.step for entry in runs_of(sale)] == ["mark"]


def test_the_latest_comes_first_and_so_many_at_most(sale: Sale, user: User) -> None:
    runs = []
    for _number in range(3):
        runs.append(sale.actions.touch.run(user=user))
        Sale.objects.update(note="")

    assert [entry.run for entry in runs_of(sale)] == runs[::-1]
    assert [entry.run for entry in runs_of(sale, limit=2)] == runs[:0:-1]


def test_only_what_a_user_may_see_is_told(sale: Sale, user: User) -> None:
    run = sale.actions.touch.run(user=user)
    stranger = User.objects.create_user("eve")

    assert [entry.run for entry in runs_of(sale, visible_to=user)] == [run]
    assert runs_of(sale, visible_to=stranger) == []


# --- rows of others ------------------------------------------------------------------------------


@pytest.mark.usefixtures("all_models")
@pytest.mark.parametrize("workflow", [Deliver, DeliverAtOnce])
def test_rows_of_other_models_are_told_of_where_that_is_asked_for(
    sale: Sale, user: User, on_sale: OnSale, workflow: type[Workflow]
) -> None:
    on_sale(workflow).run(user=user)

    assert told(sale.product) == [("take", "changed", False)]
    assert told(Receipt.objects.get()) == [("receipt", "created", False)]
    assert told(sale) == [("mark", "changed", False)]


def test_a_step_that_changed_nothing_did_nothing_with_the_row(sale: Sale, user: User) -> None:
    Sale.objects.update(note="touched")

    sale.actions.touch.run(user=user)

    assert told(sale) == []


@pytest.mark.usefixtures("all_models")
def test_what_was_undone_is_told_as_undone(sale: Sale, user: User, on_sale: OnSale) -> None:
    returns.errors["last"] = [OSError()]
    on_sale(Deliver).run(user=user)

    assert told(sale.product) == [("take", "changed", True)]
    assert told(sale) == [("mark", "changed", True)]


@pytest.mark.usefixtures("all_models")
def test_what_rolls_back_was_never_there(sale: Sale, user: User, on_sale: OnSale) -> None:
    returns.errors["last"] = [OSError()]
    on_sale(DeliverAtOnce).run(user=user)

    assert told(sale.product) == told(sale) == []
    assert not Touch.objects.exists()


@pytest.mark.usefixtures("all_models")
@pytest.mark.parametrize("workflow", [Sweep, SweepAtOnce])
def test_each_of_many_rows_is_told_of_also_once_it_is_gone(workflow: type[Workflow]) -> None:
    products = [Product.objects.create(name=str(number)) for number in range(3)]

    workflow.run(user=SYSTEM)

    for product in products:
        assert told(product) == [("gone", "deleted", False), ("many", "changed", False)]
    assert not Product.objects.exists()


@pytest.mark.usefixtures("all_models")
def test_what_cascades_is_told_of_too(sale: Sale) -> None:
    receipt = Receipt.objects.create(sale=sale, reference="cash")

    Workflow.from_steps("tidy", [DeleteStep("kiosk.Sale", where={"pk": sale.pk}, name="tidy")]).run(
        user=SYSTEM
    )

    assert told(receipt) == [("tidy", "deleted", False)]


@pytest.mark.usefixtures("all_models")
def test_a_row_of_a_model_with_parents_is_told_of_once_and_by_its_parts() -> None:
    Workflow.from_steps("hatch", [CreateStep("zoo.Bird", values={"name": "Tit"}, name="hatch")]).run(
        user=SYSTEM
    )
    bird = Bird.objects.get()

    assert told(bird) == [("hatch", "created", False)]
    assert told(Animal.objects.get()) == [("hatch", "created", False)]


@pytest.mark.usefixtures("all_models")
def test_a_row_over_several_tables_is_told_of_as_often_as_was_asked_for() -> None:
    parrot = Parrot.objects.create(name="Polly")
    steps = [
        UpdateStep("zoo.Parrot", where={"pk": parrot.pk}, values={"name": "Coco", "words": 3}, name="teach")
    ]
    teach = Workflow.from_steps("lineage.teach", steps)
    for words in range(4):
        Parrot.objects.filter(pk=parrot.pk).update(name="Polly", words=words + 10)
        teach.run(user=SYSTEM)

    assert len(runs_of(parrot, limit=3)) == 3


@pytest.mark.usefixtures("all_models")
def test_a_link_is_a_change_of_the_row_it_belongs_to() -> None:
    animal = Animal.objects.create(name="Tom")
    tag = animal.tags.create(name="loud")
    animal.tags.clear()
    step = UpdateStep("zoo.Animal", where={"pk": animal.pk}, add={"tags": [tag.pk]}, name="tag")

    Workflow.from_steps("tag_it", [step]).run(user=SYSTEM)

    assert told(animal) == [("tag", "changed", False)]


@pytest.mark.usefixtures("all_models")
def test_what_a_retry_takes_over_is_told_once_and_as_undone_when_that_undoes_it(
    sale: Sale, user: User, on_sale: OnSale
) -> None:
    returns.errors["last"] = [OSError(), OSError()]
    old = on_sale(DeliverAndKeep).run(user=user)
    assert told(sale.product) == [("take", "changed", False)]

    new = Run.objects.get(pk=old.pk).retry(SYSTEM)
    new.step_runs.filter(name__in=("take", "mark")).update(compensation="done")  # as if undone by hand

    assert [(entry.run, entry.undone) for entry in runs_of(sale.product)] == [(old, True)]
    assert [(entry.run, entry.undone) for entry in runs_of(sale)] == [(old, True)]


# --- which models --------------------------------------------------------------------------------


@pytest.fixture
def stocked() -> Iterator[None]:
    """Give products an action, which is what has their rows traced."""
    Actions(count=Action(handler=lambda ctx: 0, rules=[allow_any])).contribute_to_class(Product, "doings")
    declared.forget_merged()
    yield
    del declared.declarations[Product]
    delattr(Product, "doings")
    declared.forget_merged()


@pytest.mark.usefixtures("stocked")
def test_rows_of_models_with_actions_are_told_of_by_default(sale: Sale, user: User, on_sale: OnSale) -> None:
    on_sale(Deliver).run(user=user)

    assert told(sale.product) == [("take", "changed", False)]
    assert Touch.objects.count() == 1


def test_asking_for_what_is_not_kept_is_an_error_that_says_what_to_do(sale: Sale, user: User) -> None:
    with pytest.raises(LineageUnknown, match=r"kiosk\.Product is not kept.*'LINEAGE': 'all'"):
        runs_of(sale.product)


def test_it_can_be_switched_off(sale: Sale, user: User, settings: Settings) -> None:
    settings.FLOWSTATE = {"LINEAGE": "none"}

    with pytest.raises(LineageUnknown):
        runs_of(sale)


# --- cost ----------------------------------------------------------------------------------------


def cost(workflow: type[Workflow], on_sale: OnSale, user: User) -> int:
    with Statements() as said:
        on_sale(workflow).run(user=user)
    return len(said.work)


def test_it_costs_nothing_for_the_runs_own_row_and_for_models_without_actions(
    sale: Sale, user: User, on_sale: OnSale, settings: Settings
) -> None:
    """C1, C3."""
    traced = {}
    for word in ("actions", "none"):
        settings.FLOWSTATE = {"LINEAGE": word}
        cost(Deliver, on_sale, user)
        traced[word] = [cost(workflow, on_sale, user) for workflow in (Deliver, DeliverAtOnce)]

    assert traced["actions"] == traced["none"]


def test_rows_of_others_cost_a_statement_for_each_step_and_one_for_an_atomic_run(
    sale: Sale, user: User, on_sale: OnSale, settings: Settings
) -> None:
    """C3: 2n + 3 beside the domain's at most."""
    counts = {}
    for word in ("none", "all"):
        settings.FLOWSTATE = {"LINEAGE": word}
        cost(Deliver, on_sale, user)
        counts[word] = [cost(workflow, on_sale, user) for workflow in (Deliver, DeliverAtOnce)]

    steps_on_others = 2  # take and receipt
    assert counts["all"] == [counts["none"][0] + steps_on_others, counts["none"][1] + 1]


@pytest.mark.usefixtures("all_models")
def test_asking_takes_as_many_statements_for_many_runs_as_for_few(
    sale: Sale, user: User, on_sale: OnSale
) -> None:
    on_sale(Deliver).run(user=user)
    runs_of(sale)
    with Statements() as few:
        runs_of(sale)
    for _number in range(5):
        Sale.objects.update(status="open")
        on_sale(Deliver).run(user=user)

    with Statements() as many:
        assert len(runs_of(sale)) == 6

    assert len(many.work) == len(few.work) == 3  # lines, runs on the row, their steps
