"""The journeys as functions: the same effects, asked for one after the other."""

from __future__ import annotations

from typing import Any

from django.db.models import F

from flowstate import Context, CreateStep, FunctionContext, UpdateStep, workflow
from tests.faults import journeys, ledger
from tests.kiosk.models import Product, Sale


def reserve(ctx: Context[Sale], by: int) -> None:
    Product.objects.filter(pk=ctx.entity.product_id).update(stock=F("stock") - by * ctx.entity.quantity)


def unreserve(ctx: Context[Sale], result: None) -> None:
    reserve(ctx, -1)


def call(ctx: Context[Sale]) -> str:
    return ledger.call(ctx.idempotency_key)


def charge(ctx: Context[Sale]) -> str:
    return journeys.interrupted(call(ctx))


def take_back(ctx: Context[Sale], reference: str | None) -> None:
    ledger.undo(ctx.forward_key, ctx.idempotency_key)


def fail(ctx: Context[Sale]) -> None:
    if journeys.FAILING:
        journeys.FAILING[0]()
    raise journeys.Refused


def book(ctx: FunctionContext[Sale], reference: str) -> None:
    """Write the receipt and mark the sale, by steps that derive their undo."""
    values = {"sale_id": ctx.entity_id, "reference": reference}
    ctx.step("receipt", CreateStep("kiosk.Receipt", values=values))
    ctx.step("mark", UpdateStep(values={"status": "paid"}))


def journey(ctx: FunctionContext[Sale]) -> None:
    """Take stock, make two outside calls side by side, book and mark."""
    ctx.step("reserve", reserve, 1, transactional=True, compensate=unreserve)
    reference, _pack = ctx.parallel(
        ctx.branch("charge", charge, compensate=take_back), ctx.branch("pack", call, compensate=take_back)
    )
    book(ctx, reference)


@workflow
def asked(ctx: FunctionContext[Sale]) -> None:
    """Make the journey."""
    journey(ctx)


@workflow
def doomed(ctx: FunctionContext[Sale]) -> None:
    """Make the journey, and then fail."""
    journey(ctx)
    ctx.step("fail", fail)


@workflow
def patient(ctx: FunctionContext[Sale]) -> None:
    """Take stock, wait, and then charge, book and mark."""
    ctx.step("reserve", reserve, 1, transactional=True, compensate=unreserve)
    ctx.sleep(50)
    reference = ctx.step("charge", charge, compensate=take_back)
    book(ctx, reference)


def last(ctx: Context[Any]) -> str:
    reference = ledger.call(ctx.idempotency_key)
    ledger.held(ctx.idempotency_key, within=15)
    return reference


@workflow(exclusive=None)
def held(ctx: FunctionContext[Any]) -> list[str]:
    """Make two calls side by side, and then one that lasts as long as the test says."""
    before = ctx.parallel(ctx.branch("left", call), ctx.branch("right", call))
    return [*before, ctx.step("call", last, timeout=20)]
