"""The three steps as every Django peer carries them out: four statements, through the ORM."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from django.db.models import F

from benchmarks.shop.models import Order, Payment, Product, Reservation

_LOG = os.environ.get("BENCH_BODY_LOG", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a checkout is told; no peer has to read the order."""

    order_id: int
    product_id: int
    quantity: int
    amount: int

    def as_input(self) -> dict[str, int]:
        """Return what flowstate's serializer takes."""
        return {"product_id": self.product_id, "quantity": self.quantity, "amount": self.amount}


class Refused(Exception):
    """What the failing checkout's last step raises."""


def reserve(order_id: int, product_id: int, quantity: int) -> dict[str, Any]:
    """Take the stock. Two statements."""
    _log("reserve", order_id)
    Product.objects.filter(pk=product_id, stock__gte=quantity).update(stock=F("stock") - quantity)
    made = Reservation.objects.create(order_id=order_id, product_id=product_id, quantity=quantity)
    return {"reservation": made.pk}


def charge(order_id: int, amount: int) -> dict[str, Any]:
    """Charge a bank that is not there and note the payment. One statement."""
    _log("charge", order_id)
    made = Payment.objects.create(order_id=order_id, key=f"charge-{order_id}", amount=amount)
    return {"payment": made.pk}


def mark_paid(order_id: int) -> None:
    """Close the order. One statement."""
    _log("mark_paid", order_id)
    Order.objects.filter(pk=order_id).update(status="paid")


def release(product_id: int, quantity: int, reservation: int) -> None:
    """Undo `reserve`. Two statements."""
    Product.objects.filter(pk=product_id).update(stock=F("stock") + quantity)
    Reservation.objects.filter(pk=reservation).delete()


def refund(payment: int) -> None:
    """Undo `charge`. One statement."""
    Payment.objects.filter(pk=payment).delete()


def _log(step: str, order_id: int) -> None:
    """Append a line that no rollback takes back, where somebody counts how often bodies run."""
    if _LOG:
        file = os.open(_LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, f"{step} {order_id}\n".encode())
        os.close(file)
