"""Workflows that a worker can find by their path; each test scripts what their outside world does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db.models import F
from rest_framework import serializers

from flowstate import (
    Context,
    CreateStep,
    DeleteStep,
    Retry,
    Step,
    StepError,
    UpdateStep,
    Workflow,
    step,
)
from tests.kiosk.models import Product, Receipt, Sale
from tests.kiosk.returns import called


def diary_step(name: str, **options: Any) -> Step[Any]:
    """Return a step that writes itself into the diary of `returns`, with a compensation that does too."""
    return Step(
        fn=lambda ctx: called(ctx, name),
        name=name,
        compensate=lambda ctx, _: called(ctx, f"undo {name}"),
        **options,
    )


class CardDeclined(StepError):
    status_code = 402
    default_code = "card_declined"
    default_detail = "The card was declined."


class Bank:
    """An outside world that remembers its calls and does what a test tells it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.script: list[Callable[[], Any]] = []
        self.refund_script: list[Callable[[], Any]] = []

    def reset(self) -> None:
        self.__init__()  # type: ignore[misc]  # a fresh start for each test

    def charge(self, key: str) -> dict[str, str]:
        self.calls.append(("charge", key))
        if self.script:
            self.script.pop(0)()
        return {"id": f"ch_{len(self.calls)}"}

    def refund(self, charge: str | None, charge_key: str, key: str) -> None:
        self.calls.append(("refund", key))
        if self.refund_script:
            self.refund_script.pop(0)()


bank = Bank()


class CheckoutInput(serializers.Serializer[Any]):
    card = serializers.CharField(default="tok_1")
    tip = serializers.IntegerField(min_value=1, required=False)


class Checkout(Workflow):
    """Reserve, charge, book and mark paid."""

    input = CheckoutInput

    reserve = UpdateStep(
        "kiosk.Product",
        where=lambda ctx: {"pk": ctx.entity.product_id},
        values=lambda ctx: {"stock": F("stock") - ctx.entity.quantity},
    )

    @step(raises=[CardDeclined], unknown_on=[ConnectionError], timeout=timedelta(seconds=30))
    def charge(self, ctx: Context[Sale]) -> dict[str, str]:
        return bank.charge(ctx.idempotency_key)

    @charge.compensate
    def refund(self, ctx: Context[Sale], charge: dict[str, str] | None) -> None:
        bank.refund(charge["id"] if charge else None, ctx.forward_key, ctx.idempotency_key)

    receipt = CreateStep(
        "kiosk.Receipt",
        values=lambda ctx: {"sale_id": ctx.entity_id, "reference": ctx.results["charge"]["id"]},
        store_as="receipt_id",
    )
    mark_paid = UpdateStep(values={"status": "paid"})

    @step
    def thank(self, ctx: Context[Sale]) -> str:
        return f"receipt {ctx.get('receipt_id')}"


class Settle(Workflow):
    """The same without the outside world, in one transaction."""

    class Meta:
        atomic = True

    reserve = UpdateStep(
        "kiosk.Product",
        where=lambda ctx: {"pk": ctx.entity.product_id},
        values=lambda ctx: {"stock": F("stock") - ctx.entity.quantity},
    )
    mark_paid = UpdateStep(values={"status": "paid"})
    receipt = CreateStep("kiosk.Receipt", values=lambda ctx: {"sale_id": ctx.entity_id, "reference": "cash"})


class InTheBackground(Workflow):
    """Two steps in the caller's process, the rest in a worker."""

    mark = UpdateStep(values={"status": "carried"})

    @step(background=True, retry=Retry(max_attempts=3, delay=1, jitter=False))
    def charge(self, ctx: Context[Sale]) -> dict[str, str]:
        return bank.charge(ctx.idempotency_key)

    @charge.compensate
    def refund(self, ctx: Context[Sale], charge: dict[str, str] | None) -> None:
        bank.refund(charge["id"] if charge else None, ctx.forward_key, ctx.idempotency_key)

    note = UpdateStep(values=lambda ctx: {"note": ctx.results["charge"]["id"]})


class Replace(Workflow):
    """Create, update, delete, and then fail."""

    create = CreateStep("kiosk.Product", values={"name": "new", "stock": 1})
    update = UpdateStep(values={"status": "replaced"})
    delete = DeleteStep("kiosk.Receipt", where=lambda ctx: {"sale_id": ctx.entity_id})

    @step
    def fail(self, ctx: Context[Sale]) -> None:
        raise RuntimeError("no")


class Touch(Workflow):
    """One step that writes one column."""

    class Meta:
        exclusive = None

    note = UpdateStep(values={"note": "touched"})


class LaterMark(Workflow):
    """Rows only: one written by the caller, one by a worker."""

    note = UpdateStep(values={"note": "now"})
    mark = UpdateStep(values={"status": "later"}, background=True)


class OnASlowQueue(Workflow):
    """One step for the workers of a queue of its own."""

    mark = UpdateStep(values={"status": "carried"})

    @step(queue="slow")
    def charge(self, ctx: Context[Sale]) -> dict[str, str]:
        return bank.charge(ctx.idempotency_key)


class WhoAsks(Workflow):
    """Says for whom it works."""

    class Meta:
        exclusive = None

    @step
    def ask(self, ctx: Context[Sale]) -> str:
        return str(ctx.user)


class Fork(Workflow):
    """Two branches and their join."""

    begin = diary_step("begin")
    left = diary_step("left", depends_on=begin)
    right = diary_step("right", depends_on=begin)
    join = diary_step("join", depends_on=[left, right])


__all__ = ["Product", "Receipt", "bank"]
