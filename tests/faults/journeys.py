"""Workflows with every kind of effect: rows, and outside calls in the ledger."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import F

from flowstate import (
    Action,
    ApprovalStep,
    Context,
    CreateStep,
    DelayStep,
    EventStep,
    StepError,
    UpdateStep,
    Workflow,
    WorkflowStep,
    allow_any,
    is_staff,
    step,
)
from flowstate.actions.bound import BoundAction
from tests.faults import ledger
from tests.kiosk.models import Sale

FAILING: list[Callable[[], None]] = []
"""Called when a doomed run fails: from here on it is being undone."""

INTERRUPTS: list[Callable[[], None]] = []
"""Called, once each, after an outside call was made and before anybody knows."""


UNDOING: list[Callable[[], None]] = []
"""Called, once each, after an outside call was taken back and before anybody knows."""


class Refused(StepError):
    default_detail = "The last step says no."


def interrupted(result: str) -> str:
    if INTERRUPTS:
        INTERRUPTS.pop(0)()
    return result


def taken_back() -> None:
    if UNDOING:
        UNDOING.pop(0)()


class Journey(Workflow):
    """Takes stock, makes two outside calls side by side, books and marks."""

    reserve = UpdateStep(
        "kiosk.Product",
        where=lambda ctx: {"pk": ctx.entity.product_id},
        values=lambda ctx: {"stock": F("stock") - ctx.entity.quantity},
    )

    @step(depends_on=reserve)
    def charge(self, ctx: Context[Sale]) -> str:
        return interrupted(ledger.call(ctx.idempotency_key))

    @charge.compensate
    def refund(self, ctx: Context[Sale], reference: str | None) -> None:
        ledger.undo(ctx.forward_key, ctx.idempotency_key)

    @step(depends_on=reserve)
    def pack(self, ctx: Context[Sale]) -> str:
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


class Doomed(Journey):
    """Does all that and then fails."""

    @step
    def fail(self, ctx: Context[Sale]) -> None:
        if FAILING:
            FAILING[0]()
        raise Refused


class Diamond(Journey):
    """The same with a worker for each branch: within the one, there and back, the message of the other comes."""

    @step(background=True)
    def charge(self, ctx: Context[Sale]) -> str:
        return interrupted(ledger.call(ctx.idempotency_key))

    @step(background=True)
    def pack(self, ctx: Context[Sale]) -> str:
        return interrupted(ledger.call(ctx.idempotency_key))

    def refund(self, ctx: Context[Sale], reference: str | None) -> None:
        ledger.undo(ctx.forward_key, ctx.idempotency_key)
        taken_back()

    def unpack(self, ctx: Context[Sale], reference: str | None) -> None:
        ledger.undo(ctx.forward_key, ctx.idempotency_key)
        taken_back()


class DoomedDiamond(Diamond):
    """Does all that and then fails."""

    @step
    def fail(self, ctx: Context[Sale]) -> None:
        if FAILING:
            FAILING[0]()
        raise Refused


class Patient(Workflow):
    """Takes stock, waits, and then charges, books and marks."""

    reserve = Journey.reserve
    pause = DelayStep(50)

    @step
    def charge(self, ctx: Context[Sale]) -> str:
        return interrupted(ledger.call(ctx.idempotency_key))

    @charge.compensate
    def refund(self, ctx: Context[Sale], reference: str | None) -> None:
        ledger.undo(ctx.forward_key, ctx.idempotency_key)

    receipt = CreateStep(
        "kiosk.Receipt", values=lambda ctx: {"sale_id": ctx.entity_id, "reference": ctx.results["charge"]}
    )
    mark = UpdateStep(values={"status": "paid"})


class Answered(Workflow):
    """Takes stock, waits for an answer, and then charges, books and marks."""

    reserve = Journey.reserve
    answer = EventStep("answer", key=lambda ctx: ctx.entity_id)
    charge = Patient.charge
    receipt = Patient.receipt
    mark = Patient.mark


class Approved(Workflow):
    """Takes stock, asks a person, and then charges, books and marks."""

    reserve = Journey.reserve
    review = ApprovalStep(approvers=is_staff, show=["quantity"])
    charge = Patient.charge
    receipt = Patient.receipt
    mark = Patient.mark


class Charging(Workflow):
    """A child: charges and books."""

    @step
    def charge(self, ctx: Context[Sale]) -> str:
        return interrupted(ledger.call(ctx.idempotency_key))

    @charge.compensate
    def refund(self, ctx: Context[Sale], reference: str | None) -> None:
        ledger.undo(ctx.forward_key, ctx.idempotency_key)

    receipt = Patient.receipt


class ChargingAndWaiting(Charging):
    """Waits for what never comes."""

    wait = EventStep("never", key="k")


class Family(Workflow):
    """Takes stock, leaves charging and booking to a child, and marks."""

    reserve = Journey.reserve
    child = WorkflowStep(Charging)
    mark = UpdateStep(values={"status": "paid"})


class DoomedFamily(Family):
    """Does all that and then fails: the child is undone by a run of its own."""

    @step
    def fail(self, ctx: Context[Sale]) -> None:
        if FAILING:
            FAILING[0]()
        raise Refused


class HeldFamily(Workflow):
    """Takes stock, and waits for a child that waits."""

    reserve = Journey.reserve
    child = WorkflowStep(ChargingAndWaiting)
    mark = UpdateStep(values={"status": "paid"})


class InOne(Workflow):
    """Rows and an outside call in one transaction."""

    class Meta:
        atomic = True

    reserve = Journey.reserve

    @step
    def charge(self, ctx: Context[Sale]) -> str:
        return interrupted(ledger.call(ctx.idempotency_key))

    @charge.compensate
    def refund(self, ctx: Context[Sale], reference: str | None) -> None:
        ledger.undo(ctx.forward_key, ctx.idempotency_key)

    receipt = CreateStep(
        "kiosk.Receipt", values=lambda ctx: {"sale_id": ctx.entity_id, "reference": ctx.results["charge"]}
    )
    mark = UpdateStep(values={"status": "paid"})


class DoomedInOne(InOne):
    """Does all that and then fails: the rows roll back, the outside call is undone."""

    @step(transactional=True)
    def fail(self, ctx: Context[Sale]) -> None:
        if FAILING:
            FAILING[0]()
        raise Refused


def action_on(sale: Sale, workflow: type[Workflow], **options: Any) -> BoundAction:
    """Bind a workflow to a sale, as an action that everybody may do."""
    return BoundAction("journey", Action(workflow, rules=[allow_any], **options), Sale, sale)
