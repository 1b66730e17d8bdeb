"""What a soak has workers do: orders that succeed, that fail at the end, and the same in one transaction."""

from __future__ import annotations

import random
import time
from typing import Any

from flowstate import Context, CreateStep, Retry, StepError, UpdateStep, Workflow, step
from tests.faults import ledger
from tests.faults.journeys import Journey, Refused
from tests.kiosk.models import Sale


class OutOfTape(StepError):
    default_detail = "Nothing to pack with, for the moment."


def pause() -> None:
    """Take a while, so that a kill falls between an outside effect and the row that tells of it."""
    time.sleep(random.uniform(0, 0.4))  # noqa: S311 - spreads the kills, no secret


class Order(Workflow):
    """Takes stock, charges and packs side by side, books and marks."""

    reserve = Journey.reserve

    @step(depends_on=reserve)
    def charge(self, ctx: Context[Sale]) -> str:
        reference = ledger.call(ctx.idempotency_key)
        pause()
        return reference

    @charge.compensate
    def refund(self, ctx: Context[Sale], reference: str | None) -> None:
        ledger.undo(ctx.forward_key, ctx.idempotency_key)
        pause()

    @step(depends_on=reserve, retry=Retry(max_attempts=20, delay=0.2, max_delay=1))
    def pack(self, ctx: Context[Sale]) -> str:
        if random.random() < 0.2:  # noqa: S311 - no secret
            raise OutOfTape
        pause()
        return ledger.call(ctx.idempotency_key)

    @pack.compensate
    def unpack(self, ctx: Context[Sale], reference: str | None) -> None:
        ledger.undo(ctx.forward_key, ctx.idempotency_key)

    receipt = CreateStep(
        "kiosk.Receipt",
        depends_on=["charge", "pack"],
        values=lambda ctx: {"sale_id": ctx.entity_id, "reference": ctx.results["charge"]},
    )
    mark = UpdateStep(values={"status": "paid"})


class RefusedOrder(Order):
    """Does all that and then fails: everything is undone."""

    @step
    def fail(self, ctx: Context[Sale]) -> None:
        raise Refused


class WholeOrder(Workflow):
    """Rows and a call outside in one transaction."""

    class Meta:
        atomic = True

    reserve = Journey.reserve

    @step
    def charge(self, ctx: Context[Sale]) -> str:
        reference = ledger.call(ctx.idempotency_key)
        pause()
        return reference

    @charge.compensate
    def refund(self, ctx: Context[Sale], reference: str | None) -> None:
        ledger.undo(ctx.forward_key, ctx.idempotency_key)

    receipt = CreateStep(
        "kiosk.Receipt", values=lambda ctx: {"sale_id": ctx.entity_id, "reference": ctx.results["charge"]}
    )
    mark = UpdateStep(values={"status": "paid"})


class RefusedWholeOrder(WholeOrder):
    """Does all that and then fails: the rows roll back, the charge is given back."""

    @step(transactional=True)
    def fail(self, ctx: Context[Sale]) -> Any:
        raise Refused
