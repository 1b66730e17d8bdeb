"""The checkout as a Celery chain with the Django result backend."""

from __future__ import annotations

from typing import Any

from celery import chain, shared_task

from django.db import transaction

from benchmarks.shop import checkout

QUEUE = "chain"


@shared_task(name="bench.reserve", ignore_result=False, queue=QUEUE)
def reserve(order_id: int, product_id: int, quantity: int) -> dict[str, Any]:
    """Take the stock."""
    with transaction.atomic():
        return checkout.reserve(order_id, product_id, quantity)


@shared_task(name="bench.charge", ignore_result=False, queue=QUEUE)
def charge(order_id: int, amount: int) -> dict[str, Any]:
    """Note the payment."""
    with transaction.atomic():
        return checkout.charge(order_id, amount)


@shared_task(name="bench.mark_paid", ignore_result=False, queue=QUEUE)
def mark_paid(order_id: int) -> None:
    """Close the order."""
    with transaction.atomic():
        checkout.mark_paid(order_id)


def publish(facts: checkout.Facts) -> None:
    """Send the chain of one order."""
    chain(
        reserve.si(facts.order_id, facts.product_id, facts.quantity),
        charge.si(facts.order_id, facts.amount),
        mark_paid.si(facts.order_id),
    ).apply_async()
