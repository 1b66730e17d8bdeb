"""The checkout as flowstate workflows."""

from __future__ import annotations

import time
from typing import Any

from django.db.models import F
from rest_framework import serializers

from benchmarks.shop import checkout
from benchmarks.shop.models import Order
from flowstate import Context, CreateStep, Step, UpdateStep, Workflow, step


class CheckoutInput(serializers.Serializer[Any]):
    """What the caller gives."""

    product_id = serializers.IntegerField()
    quantity = serializers.IntegerField(min_value=1)
    amount = serializers.IntegerField(min_value=1)


class Checkout(Workflow):
    """Three steps of ORM code, each committed with its journal row; undone by code of its own."""

    input = CheckoutInput

    class Meta:
        exclusive = None

    @step(transactional=True)
    def reserve(self, ctx: Context[Order]) -> dict[str, Any]:
        """Take the stock."""
        return checkout.reserve(ctx.entity_id, ctx.input["product_id"], ctx.input["quantity"])

    @reserve.compensate
    def release(self, ctx: Context[Order], reserve: dict[str, Any]) -> None:
        """Give the stock back."""
        checkout.release(ctx.input["product_id"], ctx.input["quantity"], reserve["reservation"])

    @step(transactional=True)
    def charge(self, ctx: Context[Order]) -> dict[str, Any]:
        """Note the payment."""
        return checkout.charge(ctx.entity_id, ctx.input["amount"])

    @charge.compensate
    def refund(self, ctx: Context[Order], charge: dict[str, Any]) -> None:
        """Take the payment back."""
        checkout.refund(charge["payment"])

    @step(transactional=True)
    def mark_paid(self, ctx: Context[Order]) -> None:
        """Close the order."""
        checkout.mark_paid(ctx.entity_id)


class ExclusiveCheckout(Checkout):
    """The same with the default: one live run on an order."""

    class Meta:
        exclusive = "action"


class AtomicCheckout(Checkout):
    """The same in one transaction."""

    class Meta:
        atomic = True


class ExclusiveAtomicCheckout(AtomicCheckout):
    """The same with the default: one live run on an order."""

    class Meta:
        exclusive = "action"


class FailingCheckout(Checkout):
    """The last step refuses, so that the other two are undone."""

    @step(transactional=True)
    def mark_paid(self, ctx: Context[Order]) -> None:
        """Refuse."""
        raise checkout.Refused


class Branches(Workflow):
    """Two branches of a second each, for a worker each, and what follows from both."""

    class Meta:
        exclusive = None

    # The second that each branch takes is what is measured.
    left = Step("left", lambda ctx: time.sleep(1), depends_on=(), background=True)
    right = Step("right", lambda ctx: time.sleep(1), depends_on=(), background=True)
    both = Step("both", lambda ctx: None, depends_on=[left, right])


class EntityCheckout(Workflow):
    """The same rows by entity steps, four of them, whose undoing is derived."""

    input = CheckoutInput

    class Meta:
        exclusive = None

    take = UpdateStep(
        "shop.Product",
        where=lambda ctx: {"pk": ctx.input["product_id"], "stock__gte": ctx.input["quantity"]},
        values=lambda ctx: {"stock": F("stock") - ctx.input["quantity"]},
    )
    reserve = CreateStep(
        "shop.Reservation",
        values=lambda ctx: {
            "order_id": ctx.entity_id,
            "product_id": ctx.input["product_id"],
            "quantity": ctx.input["quantity"],
        },
    )
    charge = CreateStep(
        "shop.Payment",
        values=lambda ctx: {
            "order_id": ctx.entity_id,
            "key": f"charge-{ctx.entity_id}",
            "amount": ctx.input["amount"],
        },
    )
    mark_paid = UpdateStep(values={"status": "paid"})


class FailingEntityCheckout(EntityCheckout):
    """The last step refuses; the three before it are undone by their inverses."""

    @step(transactional=True)
    def refuse(self, ctx: Context[Order]) -> None:
        """Refuse."""
        raise checkout.Refused
