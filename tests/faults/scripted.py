"""Small workflows whose steps do what a test tells them, in the middle of the step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import F

from flowstate import Context, Retry, Step, UpdateStep, Workflow, step
from tests.faults import ledger
from tests.kiosk.models import Product, Sale

WITHIN: dict[str, list[Callable[[Context[Any]], Any]]] = {}
"""What happens within a step of this name, once for each call of it."""


def within(name: str, ctx: Context[Any]) -> None:
    if WITHIN.get(name):
        WITHIN[name].pop(0)(ctx)


class Outside(Workflow):
    """One call outside that can be undone, and one row."""

    class Meta:
        exclusive = None

    @step(retry=Retry(max_attempts=2, delay=0))
    def call(self, ctx: Context[Sale]) -> str:
        reference = ledger.call(ctx.idempotency_key)
        within("call", ctx)
        return f"{reference} in attempt {ctx.attempt}"

    @call.compensate
    def uncall(self, ctx: Context[Sale], reference: str | None) -> None:
        ledger.undo(ctx.forward_key, ctx.idempotency_key)
        within("uncall", ctx)

    mark = UpdateStep(values={"status": "paid"})


class Last(Workflow):
    """A call outside, whose recording is the end of the run."""

    class Meta:
        exclusive = None

    mark = UpdateStep(values={"status": "paid"})

    @step
    def call(self, ctx: Context[Sale]) -> str:
        reference = ledger.call(ctx.idempotency_key)
        within("call", ctx)
        return reference

    @call.compensate
    def uncall(self, ctx: Context[Sale], reference: str | None) -> None:
        ledger.undo(ctx.forward_key, ctx.idempotency_key)


class LastInside(Workflow):
    """Rows only; the last step's commit is the end of the run."""

    class Meta:
        exclusive = None

    reserve = UpdateStep(
        "kiosk.Product",
        where=lambda ctx: {"pk": ctx.entity.product_id},
        values=lambda ctx: {"stock": F("stock") - ctx.entity.quantity},
    )
    mark = UpdateStep(values={"status": "paid"})


class Inside(Workflow):
    """One transactional step that takes stock."""

    class Meta:
        exclusive = None

    @step(transactional=True, retry=Retry(max_attempts=2, delay=0))
    def take(self, ctx: Context[Sale]) -> None:
        product = Product.objects.get(pk=ctx.entity.product_id)
        product.stock -= ctx.entity.quantity
        within("read", ctx)
        product.save()
        within("take", ctx)

    @take.compensate
    def give(self, ctx: Context[Sale], result: None) -> None:
        Product.objects.filter(pk=ctx.entity.product_id).update(stock=F("stock") + ctx.entity.quantity)
        within("give", ctx)


class Hasty(Workflow):
    """Takes stock, and has little time for that."""

    @step(transactional=True, timeout=0.5)
    def take(self, ctx: Context[Sale]) -> None:
        Product.objects.filter(pk=ctx.entity.product_id).update(stock=F("stock") - ctx.entity.quantity)


class Both(Workflow):
    """Locks two rows, one after the other."""

    class Meta:
        exclusive = None

    @step(transactional=True)
    def lock(self, ctx: Context[Sale]) -> None:
        Product.objects.filter(pk=ctx.entity.product_id).update(stock=F("stock") - 1)
        within("lock", ctx)
        other = Product.objects.exclude(pk=ctx.entity.product_id).get()
        Product.objects.filter(pk=other.pk).update(stock=F("stock") - 1)


def _four(name: str) -> Step[Any]:
    def do(ctx: Any) -> str:
        return ledger.call(ctx.idempotency_key)

    def undo(ctx: Any, reference: str | None) -> None:
        within(f"undo {name}", ctx)
        ledger.undo(ctx.forward_key, ctx.idempotency_key)

    return Step(name, do, undo)


class Four(Workflow):
    """Four calls outside, and a failure."""

    one, two, three, four = map(_four, ("one", "two", "three", "four"))

    @step
    def fail(self, ctx: Context[Sale]) -> None:
        raise OSError("no")


class Again(Workflow):
    """A step that fails five times, and waits between: 30, 60, 120 and 240 seconds."""

    @step(retry=Retry(max_attempts=5, delay=30, backoff=2, max_delay=3600, jitter=False))
    def call(self, ctx: Context[Sale]) -> str:
        ledger.call(ctx.idempotency_key)
        raise OSError("no")


class Monthly(Workflow):
    """A step that is tried again after 30 days."""

    @step(retry=Retry(max_attempts=2, delay=30 * 86400, max_delay=30 * 86400, jitter=False))
    def call(self, ctx: Context[Sale]) -> str:
        reference = ledger.call(ctx.idempotency_key)
        if ctx.attempt == 1:
            raise OSError("no")
        return reference


class InsideDoomed(Inside):
    """Takes stock and then fails."""

    @step
    def fail(self, ctx: Context[Sale]) -> None:
        raise OSError("no")


class Held(Workflow):
    """A call that lasts as long as a file exists that is named after the ledger's."""

    class Meta:
        exclusive = None

    @step(timeout=20)
    def call(self, ctx: Context[Sale]) -> str:
        reference = ledger.call(ctx.idempotency_key)
        ledger.held(ctx.idempotency_key, within=15)
        return reference

    mark = UpdateStep(values={"status": "paid"})
