"""Fills an empty shop: people, goods, and a first few orders. Doing it again changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.contrib.auth.models import Group, Permission, User
from django.db import transaction

from example_shop.models import Customer, Order, Product

PRODUCTS = [
    ("tea", "Green tea", "Sencha from Shizuoka, 100 g", "8.90", 40),
    ("mug", "Stoneware mug", "Hand-thrown, 300 ml, dishwasher-safe", "19.50", 12),
    ("pot", "Cast-iron teapot", "Keeps warm for an hour, 800 ml", "64.00", 5),
    ("honey", "Linden honey", "From the roof across the street, 250 g", "7.40", 24),
    ("espresso", "Espresso machine", "Two boilers, a lever, and forty kilos of steel", "1500.00", 4),
    ("lamp", "Reading lamp", "Warm light, brass, three joints", "129.00", 8),
    ("stool", "Oak stool", "The last one of its series", "210.00", 1),
]
CUSTOMERS = [("ada", "Ada", "ada@example.org"), ("bob", "Bob", "")]
MANAGERS_MAY = ["view_order", "approve_order", "view_product", "view_customer"]
FINANCE_MAY = ["view_order", "view_payment"]
FINANCE_PEOPLE = ["fay", "finn", "flora"]
WAREHOUSE_MAY = ["view_order", "ship_order", "view_product", "restock_product", "view_shipment"]
FIRST_ORDERS = [
    ("ada", {"tea": 2, "mug": 1}, "good"),
    ("bob", {"pot": 1}, "declined"),
    ("bob", {"honey": 3}, "good"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstOrder:
    """An order that was placed just now and is to be paid with this card."""

    order: Order
    card: str


@transaction.atomic
def seed() -> list[FirstOrder]:
    """Create what is missing; return the first orders if they were placed now."""
    _staff()
    for username, name, email in CUSTOMERS:
        user = _user(username, email=email, first_name=name)
        Customer.objects.get_or_create(user=user, defaults={"name": name, "address": "1 Main Street"})
    for sku, name, description, price, stock in PRODUCTS:
        details = {"name": name, "description": description, "price": Decimal(price), "stock": stock}
        Product.objects.get_or_create(sku=sku, defaults=details)
    if Order.objects.exists():
        return []
    return [FirstOrder(order=_place(*first), card=first[2]) for first in FIRST_ORDERS]


def _staff() -> None:
    _user("admin", is_staff=True, is_superuser=True)
    _group("Warehouse", WAREHOUSE_MAY, "clerk")
    _group("Managers", MANAGERS_MAY, "manager")
    _group("Finance", FINANCE_MAY, *FINANCE_PEOPLE)


def _group(name: str, may: list[str], *members: str) -> None:
    group, _ = Group.objects.get_or_create(name=name)
    group.permissions.set(Permission.objects.filter(content_type__app_label="shop", codename__in=may))
    for member in members:
        _user(member, is_staff=True, email=f"{member}@example.org").groups.add(group)


def _user(username: str, **details: object) -> User:
    user, created = User.objects.get_or_create(username=username, defaults=details)
    if created:
        user.set_password(username)  # as simple as that only because this is a demo
        user.save(update_fields=["password"])
    return user


def _place(username: str, basket: dict[str, int], _card: str) -> Order:
    products = Product.objects.in_bulk(list(basket), field_name="sku")
    customer = Customer.objects.get(user__username=username)
    return Order.objects.place(customer, {products[sku]: quantity for sku, quantity in basket.items()})
