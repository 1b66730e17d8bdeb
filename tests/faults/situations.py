"""A sale to work on, and a worker who carries its run."""

from __future__ import annotations

from flowstate.engine.carry.messages import carry_run
from flowstate.models import Run
from tests.faults.afterwards import QUANTITY, STOCK
from tests.kiosk.models import Product, Sale


def a_sale(name: str = "tea") -> Sale:
    """Insert a sale that is open, of a product of its own."""
    product = Product.objects.create(name=name, stock=STOCK)
    return Sale.objects.create(product=product, quantity=QUANTITY)


def carry(run: Run) -> str:
    """Work on a run as a worker of the default queue does; return its status, or ""."""
    return carry_run(str(run.pk), queue="flowstate")
