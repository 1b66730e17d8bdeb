"""The rows of the checkout. No foreign key constraints: their checks are no peer's merit or fault."""

from __future__ import annotations

from django.db import models

from flowstate import Action, Actions, is_authenticated

_RULES = [is_authenticated]


class Product(models.Model):
    """Something in stock."""

    stock = models.IntegerField(default=1_000_000)

    def __str__(self) -> str:
        return f"product {self.pk}"


class Order(models.Model):
    """What a checkout works on."""

    product_id = models.BigIntegerField()
    quantity = models.IntegerField(default=1)
    amount = models.IntegerField(default=100)
    status = models.CharField(max_length=20, default="open")

    actions = Actions(
        atomic=Action("benchmarks.shop.workflows.AtomicCheckout", rules=_RULES),
        atomic_exclusive=Action("benchmarks.shop.workflows.ExclusiveAtomicCheckout", rules=_RULES),
        steps=Action("benchmarks.shop.workflows.Checkout", rules=_RULES),
        steps_exclusive=Action("benchmarks.shop.workflows.ExclusiveCheckout", rules=_RULES),
        entities=Action("benchmarks.shop.workflows.EntityCheckout", rules=_RULES),
        failing=Action("benchmarks.shop.workflows.FailingCheckout", rules=_RULES),
        failing_entities=Action("benchmarks.shop.workflows.FailingEntityCheckout", rules=_RULES),
    )

    def __str__(self) -> str:
        return f"order {self.pk}"


class Reservation(models.Model):
    """Stock that an order holds."""

    order_id = models.BigIntegerField(db_index=True)
    product_id = models.BigIntegerField()
    quantity = models.IntegerField()

    def __str__(self) -> str:
        return f"reservation of order {self.order_id}"


class Payment(models.Model):
    """Money that an order has paid."""

    order_id = models.BigIntegerField()
    key = models.CharField(max_length=64)
    amount = models.IntegerField()

    class Meta:
        # Not `unique=True`, which is two indexes on PostgreSQL.
        constraints = [models.UniqueConstraint(fields=["key"], name="shop_payment_key")]

    def __str__(self) -> str:
        return f"payment of order {self.order_id}"
