"""Orders for the peers to work on, and what became of them."""

from __future__ import annotations

from django.db import connection

from benchmarks.shop.checkout import Facts
from benchmarks.shop.models import Order, Product

PRODUCTS = 100


def new_orders(number: int) -> list[Facts]:
    """Insert so many open orders and return what a checkout of each is told."""
    products = list(Product.objects.order_by("pk").values_list("pk", flat=True))
    orders = Order.objects.bulk_create(
        [Order(product_id=products[n % len(products)]) for n in range(number)], batch_size=500
    )
    return [
        Facts(order_id=order.pk, product_id=order.product_id, quantity=order.quantity, amount=order.amount)
        for order in orders
    ]


def paid(first: int, last: int) -> int:
    """Return how many of these orders are paid."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM shop_order WHERE id BETWEEN %s AND %s AND status = 'paid'", [first, last]
        )
        count: int = cursor.fetchone()[0]
    return count
