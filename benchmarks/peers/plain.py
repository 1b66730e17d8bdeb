"""What people write by hand: the ORM and `atomic()`, without any journal."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from django.db import transaction

from benchmarks.shop import checkout
from benchmarks.shop.checkout import Facts


def atomic() -> Callable[[Facts], None]:
    """All in one transaction."""

    def run(facts: Facts) -> None:
        with transaction.atomic():
            checkout.reserve(facts.order_id, facts.product_id, facts.quantity)
            checkout.charge(facts.order_id, facts.amount)
            checkout.mark_paid(facts.order_id)

    return run


def atomic_step() -> Callable[[Facts], None]:
    """Each step in a transaction of its own."""

    def run(facts: Facts) -> None:
        with transaction.atomic():
            checkout.reserve(facts.order_id, facts.product_id, facts.quantity)
        with transaction.atomic():
            checkout.charge(facts.order_id, facts.amount)
        with transaction.atomic():
            checkout.mark_paid(facts.order_id)

    return run


def undo() -> Callable[[Facts], None]:
    """Two steps, a refusal, and both undone by hand."""

    def run(facts: Facts) -> None:
        with transaction.atomic():
            reserved = checkout.reserve(facts.order_id, facts.product_id, facts.quantity)
        with transaction.atomic():
            charged = checkout.charge(facts.order_id, facts.amount)
        with suppress(checkout.Refused):
            raise checkout.Refused
        with transaction.atomic():
            checkout.refund(charged["payment"])
        with transaction.atomic():
            checkout.release(facts.product_id, facts.quantity, reserved["reservation"])

    return run
