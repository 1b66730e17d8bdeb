"""Workflows that end in each way there is, and the actions that offer them on the shop's orders."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db.models import F
from rest_framework import serializers

from example_shop.models import Order
from flowstate import (
    Action,
    Context,
    StepError,
    UpdateStep,
    Workflow,
    allow_any,
    has_perm,
    is_authenticated,
    is_owner,
    is_staff,
    step,
)


class CardDeclined(Exception):
    """Not of flowstate's kind: the action maps it to a status."""


class OutOfStock(StepError):
    status_code = 409
    default_code = "out_of_stock"
    default_detail = "There is not enough in stock."


class PayInput(serializers.Serializer[Any]):
    card = serializers.CharField(max_length=20)
    quantity = serializers.IntegerField(min_value=1)


class Pay(Workflow):
    """Reserve and charge; the card says what the bank does."""

    input = PayInput

    reserve = UpdateStep(
        "shop.Product",
        where=lambda ctx: {"sku": "tea"},
        values=lambda ctx: {"stock": F("stock") - ctx.input["quantity"]},
    )

    @step
    def charge(self, ctx: Context[Order]) -> dict[str, Any]:
        match ctx.input["card"]:
            case "declined":
                raise CardDeclined("The card was declined.")
            case "empty":
                raise OutOfStock
            case "bug":
                raise RuntimeError("password=hunter2")
            case _:
                return {
                    "amount": ctx.entity.total,
                    "at": datetime(2026, 1, 2, tzinfo=UTC),
                    "secret": "s3cr3t",
                }

    mark_paid = UpdateStep(values={"status": Order.Status.PAID})

    def output(self, ctx: Context[Order]) -> dict[str, Any]:
        """What was charged."""
        charged: dict[str, Any] = ctx.results["charge"]
        return charged


class PayLater(Workflow):
    """The charge is left to a worker, of which there is none in these tests."""

    input = PayInput

    note = UpdateStep(values={"status": Order.Status.PAYING})

    @step(background=True)
    def charge(self, ctx: Context[Order]) -> None:
        raise AssertionError("no worker was started")


class Stick(Workflow):
    """Fails, and cannot be undone."""

    @step
    def take(self, ctx: Context[Order]) -> str:
        return "taken"

    @take.compensate
    def give_back(self, ctx: Context[Order], taken: str | None) -> None:
        if ctx.entity.total != Decimal("1.00"):
            raise RuntimeError("password=hunter2")

    @step
    def fail(self, ctx: Context[Order]) -> None:
        raise OutOfStock


class Refuse(Workflow):
    """Never starts."""

    def should_run(self, ctx: Context[Order]) -> bool:
        return False

    archive = UpdateStep(values={"status": Order.Status.ARCHIVED})


class ReceiptOutput(serializers.Serializer[Any]):
    amount = serializers.DecimalField(max_digits=10, decimal_places=2)
    at = serializers.DateTimeField()


class BrokenOutput(serializers.Serializer[Any]):
    nothing_of_this_name = serializers.CharField()


def read_total(ctx: Context[Order]) -> str:
    return str(ctx.entity.total)


def count_orders(ctx: Context[Order]) -> int:
    return Order.objects.count()


def return_row(ctx: Context[Order]) -> list[Any]:
    return [ctx.entity, Order.Status.OPEN]


MINE = [is_owner("customer__user")]

ACTIONS = {
    "pay": Action(Pay, rules=MINE, errors={CardDeclined: 402}, summary="Pay for an order"),
    "pay_later": Action(PayLater, rules=MINE),
    "stick": Action(Stick, rules=MINE),
    "refuse": Action(Refuse, rules=MINE),
    "receipt": Action(Pay, rules=MINE, output=ReceiptOutput),
    "broken_receipt": Action(Pay, rules=MINE, output=BrokenOutput),
    "return_row": Action(handler=return_row, rules=MINE),
    "forgotten": Action(handler=read_total),
    "staff_only": Action(handler=read_total, rules=[is_staff]),
    "by_permission": Action(handler=read_total, rules=[has_perm("shop.change_order")]),
    "read_total": Action(handler=read_total, rules=[is_authenticated], methods=("GET",)),
    "for_all": Action(handler=read_total, rules=[allow_any], methods=("POST", "PUT"), path="for-everybody"),
    "parcels": Action("tests.kiosk.functions.buy", rules=MINE),
    "count_orders": Action(handler=count_orders, rules=[is_authenticated], detail=False),
    "import_orders": Action(handler=count_orders, rules=[is_staff], detail=False),
}
