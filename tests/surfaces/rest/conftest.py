"""People, an order, and the actions on it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from django.contrib.auth.models import Permission, User
from rest_framework.test import APIClient

from example_shop.models import Customer, Order, Product
from flowstate import register_actions
from flowstate.actions.actions import declarations, forget_merged
from tests.surfaces.rest.workflows import ACTIONS

PASSWORD = "the same for everybody"  # noqa: S105 - of users that live for one test


@pytest.fixture(autouse=True, scope="package")
def _actions() -> Iterator[None]:
    """Offer the actions of these tests on the shop's orders, for these tests only."""
    before = declarations[Order].declared
    register_actions(Order, **ACTIONS)
    yield
    declarations[Order].declared = before
    forget_merged()


@pytest.fixture
def tea() -> Product:
    return Product.objects.create(sku="tea", name="Green tea", price=Decimal("8.90"), stock=10)


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada", password=PASSWORD)


@pytest.fixture
def bob() -> User:
    return User.objects.create_user("bob", password=PASSWORD)


@pytest.fixture
def clerk() -> User:
    """Staff that may look at all orders, and change none."""
    user = User.objects.create_user("clerk", password=PASSWORD, is_staff=True)
    user.user_permissions.add(permission("shop", "view_order"))
    return user


@pytest.fixture
def operator() -> User:
    """May look at all runs and operate them."""
    user = User.objects.create_user("operator", password=PASSWORD)
    user.user_permissions.add(permission("flowstate", "view_run"), permission("flowstate", "operate_run"))
    return user


@pytest.fixture
def order(ada: User, tea: Product) -> Order:
    return Order.objects.place(Customer.objects.create(user=ada, name="Ada"), {tea: 2})


@pytest.fixture
def api() -> APIClient:
    """A client that nobody is logged in at."""
    return APIClient(enforce_csrf_checks=False)


@pytest.fixture
def adas(ada: User) -> APIClient:
    """The client of ada, whose order it is."""
    return logged_in(ada)


def logged_in(user: User) -> APIClient:
    client = APIClient()
    client.force_login(user)
    return client


def permission(app: str, codename: str) -> Permission:
    return Permission.objects.get(content_type__app_label=app, codename=codename)
