"""Workflows that fail after somebody else had the chance to write, and what the tests of conflicts ask of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import User
from django.db.models import F

from flowstate import Context, CreateStep, UpdateStep, Workflow, step
from flowstate.models import Run
from tests.kiosk import returns
from tests.kiosk.models import Sale
from tests.kiosk.returns import called
from tests.kiosk.stall import OnSale


class Mark(Workflow):
    """Counts, books, marks and notes; fails after somebody had the chance to write in between."""

    class Meta:
        exclusive = None

    count = UpdateStep(
        "kiosk.Product", where=lambda ctx: {"pk": ctx.entity.product_id}, values={"stock": F("stock") - 1}
    )
    mark = UpdateStep(values={"status": "mine"})

    @step
    def pay(self, ctx: Context[Sale]) -> str:
        called(ctx, "pay")
        return "paid"

    @pay.compensate
    def refund(self, ctx: Context[Sale], payment: str | None) -> None:
        called(ctx, "refund")

    note = UpdateStep(values={"note": "mine"})

    @step
    def last(self, ctx: Context[Sale]) -> None:
        called(ctx, "last")
        raise OSError


class Overwriting(Mark):
    mark = UpdateStep(values={"status": "mine"}, on_conflict="overwrite")


class Skipping(Mark):
    mark = UpdateStep(values={"status": "mine"}, on_conflict="skip")


class Discreet(Mark):
    mark = UpdateStep(values={"status": "mine"}, on_conflict="overwrite", sensitive=["status"])


class Books(Workflow):
    """Creates a row that others may refer to."""

    class Meta:
        exclusive = None

    product = CreateStep("kiosk.Product", values={"name": "mug", "stock": 1}, on_conflict="overwrite")
    mark = UpdateStep(values={"status": "mine"}, on_conflict="skip")

    @step
    def last(self, ctx: Context[Sale]) -> None:
        called(ctx, "last")
        raise OSError


def somebody_writes(**values: Any) -> Callable[[], None]:
    def write() -> None:
        Sale.objects.update(**values)

    return write


def stuck(on_sale: OnSale, user: User, workflow: type[Workflow] = Mark, **values: Any) -> Run:
    """Return a run that failed after somebody else had written these values."""
    returns.within["last"] = [somebody_writes(**(values or {"status": "theirs"}))]
    return on_sale(workflow).run(user=user)


def compensations(run: Run) -> dict[str, str]:
    return {row.name: row.compensation for row in run.refresh().steps if row.compensation != "none"}


def events(run: Run, kind: str) -> list[tuple[str, str, str]]:
    return [
        (event.step, event.actor_label, event.data.get("detail", ""))
        for event in run.events.filter(kind=kind).order_by("pk")
    ]
