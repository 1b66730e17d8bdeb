"""What the shop sells and to whom, and what one can do with an order or a product."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import ClassVar

from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.db import models, transaction
from django.urls import reverse

from flowstate import Action, Actions, UpdateStep, has_perm, is_owner


class CustomerQuerySet(models.QuerySet["Customer"]):
    def of(self, user: User) -> Customer:
        """Return the customer who logs in as this user; whoever orders for the first time becomes one."""
        customer, _ = self.get_or_create(user=user, defaults={"name": user.get_full_name() or user.username})
        return customer


class Customer(models.Model):
    """Somebody who buys; logs in as `user`."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="customer")
    name = models.CharField(max_length=100)
    address = models.CharField(max_length=200, blank=True)

    objects = CustomerQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name


class Product(models.Model):
    """Something on sale, with what is left of it."""

    sku = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=100)
    description = models.CharField(max_length=200, blank=True)
    price = models.DecimalField(max_digits=8, decimal_places=2)
    stock = models.IntegerField(default=0)

    class Meta:
        ordering: ClassVar = ["name"]
        permissions: ClassVar = [("restock_product", "Can restock products")]
        constraints: ClassVar = [
            # The last fence: whatever the code believes, nobody sells what is not there.
            models.CheckConstraint(condition=models.Q(stock__gte=0), name="shop_product_stock_not_negative"),
            models.CheckConstraint(condition=models.Q(price__gte=0), name="shop_product_price_not_negative"),
        ]

    def __str__(self) -> str:
        return self.name

    actions = Actions(
        # A collection action: about the warehouse as a whole, so it belongs to no row (`entity` is None).
        restock=Action(
            "example_shop.workflows.Restock",
            detail=False,
            rules=[has_perm("shop.restock_product")],
            summary="Add goods to the stock of a product",
        ),
        reprice=Action(
            "example_shop.workflows.Reprice",
            rules=[has_perm("shop.change_product")],
            summary="Change the price, and tell the customers in an hour",
        ),
    )


class OrderQuerySet(models.QuerySet["Order"]):
    def visible_to(self, user: User | AnonymousUser) -> OrderQuerySet:
        """Return the orders this user may look at: their own, or all of them with the permission to."""
        if not user.is_authenticated:
            return self.none()
        if user.has_perm("shop.view_order"):
            return self.all()
        return self.filter(customer__user=user)

    def place(self, customer: Customer, quantities: Mapping[Product, int]) -> Order:
        """Create an open order for these products at today's prices; nothing is reserved yet."""
        lines = [
            OrderLine(product=product, quantity=quantity, unit_price=product.price)
            for product, quantity in quantities.items()
        ]
        with transaction.atomic():
            order = self.create(customer=customer, total=sum((line.amount for line in lines), Decimal(0)))
            for line in lines:
                line.order = order
            OrderLine.objects.bulk_create(lines)
        return order


class Order(models.Model):
    """What a customer wants to buy. Its status moves only through its actions."""

    class Status(models.TextChoices):
        # Placed, not paid: may be paid or cancelled.
        OPEN = "open", "Open"
        # A checkout is at work on it.
        PAYING = "paying", "Payment under way"
        # Paid, goods reserved: may be shipped or cancelled.
        PAID = "paid", "Paid"
        # Handed to a parcel service.
        SHIPPED = "shipped", "Shipped"
        # With the customer.
        DELIVERED = "delivered", "Delivered"
        # Called off; goods and money went back.
        CANCELLED = "cancelled", "Cancelled"
        # Put away by the staff.
        ARCHIVED = "archived", "Archived"

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="orders")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.OPEN)
    total = models.DecimalField(max_digits=10, decimal_places=2)
    placed_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = OrderQuerySet.as_manager()

    actions = Actions(
        checkout=Action(
            "example_shop.workflows.Checkout",
            rules=[is_owner("customer__user") | has_perm("shop.change_order")],
            summary="Reserve the goods and pay",
        ),
        cancel_order=Action(
            "example_shop.workflows.CancelOrder",
            rules=[is_owner("customer__user") | has_perm("shop.change_order")],
            summary="Call the order off and give back what was paid",
        ),
        ship=Action(
            "example_shop.workflows.Ship",
            rules=[has_perm("shop.ship_order")],
            summary="Hand the goods to a parcel service",
        ),
        # Begun by `ship`, in the same commit.
        deliver=Action(
            "example_shop.workflows.Deliver",
            rules=[has_perm("shop.ship_order")],
            summary="Follow the parcel until it has arrived",
        ),
        # Small enough to need no class of its own.
        archive=Action(
            steps=[UpdateStep(name="archive", values={"status": Status.ARCHIVED})],
            rules=[has_perm("shop.change_order")],
            summary="Put the order away",
        ),
    )

    class Meta:
        ordering: ClassVar = ["-id"]
        permissions: ClassVar = [
            ("ship_order", "Can ship orders"),
            ("approve_order", "Can approve large orders"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(total__gte=0), name="shop_order_total_not_negative"),
            models.CheckConstraint(
                condition=models.Q(
                    status__in=["open", "paying", "paid", "shipped", "delivered", "cancelled", "archived"]
                ),
                name="shop_order_status_known",
            ),
        ]

    def __str__(self) -> str:
        return f"Order {self.pk}"

    def get_absolute_url(self) -> str:
        return reverse("order", args=[self.pk])

    @property
    def goods(self) -> str:
        """What was ordered, for people who decide about it."""
        lines = self.lines.select_related("product")
        return ", ".join(f"{line.quantity} x {line.product.name}" for line in lines)


class OrderLine(models.Model):
    """So many of one product, at the price of the day."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines")
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="+")
    quantity = models.PositiveIntegerField()
    unit_price = models.DecimalField(max_digits=8, decimal_places=2)

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["order", "product"], name="shop_orderline_one_per_product"),
            models.CheckConstraint(
                condition=models.Q(quantity__gte=1), name="shop_orderline_quantity_positive"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} x {self.product}"

    @property
    def amount(self) -> Decimal:
        return self.unit_price * self.quantity


class Payment(models.Model):
    """Money that the bank took for an order, once at most; `reference` is the bank's name for it."""

    class Status(models.TextChoices):
        # The bank has charged the card.
        PAID = "paid", "Paid"
        # The bank has given the money back.
        REFUNDED = "refunded", "Refunded"

    order = models.OneToOneField(Order, on_delete=models.PROTECT, related_name="payment")
    reference = models.CharField(max_length=40, unique=True)
    amount = models.DecimalField(max_digits=10, decimal_places=2)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PAID)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.reference


class Shipment(models.Model):
    """A parcel on its way; an order has one at most."""

    class Carrier(models.TextChoices):
        POST = "post", "Post"
        BIKE = "bike", "Bike courier"
        VAN = "van", "Own van"

    order = models.OneToOneField(Order, on_delete=models.PROTECT, related_name="shipment")
    carrier = models.CharField(max_length=10, choices=Carrier.choices, default=Carrier.POST)
    tracking_code = models.CharField(max_length=40, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.get_carrier_display()} {self.tracking_code}".strip()
