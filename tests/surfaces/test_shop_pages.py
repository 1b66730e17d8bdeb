"""The shop's pages, as a customer's browser asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries, Settings

from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from example_shop.fake_bank import BankServer
from example_shop.models import Customer, Order, Product
from flowstate.models import Run, RunStatus
from flowstate.testing import carry_due, move_clock

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def bank(tmp_path: Path, settings: Settings) -> Iterator[BankServer]:
    server = BankServer(tmp_path / "bank.sqlite3")
    server.start()
    settings.BANK_URL, settings.BANK_TIMEOUT = server.url, 0.2
    settings.LOGIN_URL = "login"
    yield server
    server.stop()


@pytest.fixture
def tea() -> Product:
    return Product.objects.create(sku="tea", name="Green tea", price=Decimal("8.90"), stock=10)


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada", email="ada@example.org")


@pytest.fixture
def order(ada: User, tea: Product) -> Order:
    return Order.objects.place(Customer.objects.create(user=ada, name="Ada"), {tea: 2})


@pytest.fixture
def visitor(client: Client, ada: User) -> Client:
    """The browser of ada, who is logged in."""
    client.force_login(ada)
    return client


def pay(visitor: Client, order: Order, card: str, key: str = "k1") -> Any:
    return visitor.post(f"/orders/{order.pk}/checkout/", {"card": card, "key": key}, follow=True)


def test_everybody_may_look_around(client: Client, tea: Product) -> None:
    answer = client.get("/")

    assert answer.status_code == 200
    assert b"Green tea" in answer.content


def test_who_orders_without_an_account_is_asked_to_log_in(client: Client, tea: Product) -> None:
    answer = client.post("/", {"tea": 1})

    assert answer.url == "/login/?next=/"  # type: ignore[attr-defined]
    assert not Order.objects.exists()


def test_an_order_keeps_the_prices_of_its_day(visitor: Client, tea: Product) -> None:
    visitor.post("/", {"tea": 3})
    Product.objects.update(price=99)

    order = Order.objects.get()
    assert order.total == Decimal("26.70")
    assert [line.amount for line in order.lines.all()] == [Decimal("26.70")]


@pytest.mark.parametrize("chosen", [{}, {"tea": 0}, {"tea": -1}, {"tea": "many"}, {"tea": 100}])
def test_an_order_of_nothing_or_nonsense_is_refused(
    visitor: Client, tea: Product, chosen: dict[str, object]
) -> None:
    answer = visitor.post("/", chosen)

    assert answer.status_code == 400
    assert b'role="alert"' in answer.content
    assert not Order.objects.exists()


@pytest.mark.parametrize("path", ["", "now/"])
def test_the_orders_of_others_are_not_there(client: Client, order: Order, path: str) -> None:
    client.force_login(User.objects.create_user("eve"))

    assert client.get(f"/orders/{order.pk}/{path}").status_code == 404
    assert client.post(f"/orders/{order.pk}/checkout/", {"card": "good", "key": "k"}).status_code == 404
    assert b"Green tea" not in client.get("/orders/").content


def test_who_may_only_look_may_not_pay(client: Client, order: Order) -> None:
    clerk = User.objects.create_user("clerk")
    clerk.user_permissions.add(Permission.objects.get(codename="view_order"))
    client.force_login(clerk)

    answer = client.get(f"/orders/{order.pk}/")

    assert b"Pay with" not in answer.content
    assert client.post(f"/orders/{order.pk}/checkout/", {"card": "good", "key": "k"}).status_code == 403
    assert not Run.objects.exists()


@pytest.mark.parametrize("action", ["ship", "archive", "nonsense"])
def test_only_what_has_a_button_can_be_done_here(visitor: Client, order: Order, action: str) -> None:
    assert visitor.post(f"/orders/{order.pk}/{action}/", {"key": "k"}).status_code == 404


def test_a_payment_is_never_a_link(visitor: Client, order: Order) -> None:
    assert visitor.get(f"/orders/{order.pk}/checkout/").status_code == 405


def test_a_card_that_is_none_is_refused_before_anything_runs(visitor: Client, order: Order) -> None:
    answer = pay(visitor, order, "gold")

    assert b"Please fill in the form." in answer.content
    assert not Run.objects.exists()


def test_a_payment_waits_for_the_worker_and_the_page_looks_again(visitor: Client, order: Order) -> None:
    content = pay(visitor, order, "good").content.decode()

    assert "data-live" in content
    assert '<meta http-equiv="refresh"' in content
    assert 'data-step="reserve" data-state="done"' in content
    assert 'data-step="charge" data-state="waiting"' in content
    assert "Pay with" not in content


def test_a_double_click_is_one_payment(visitor: Client, order: Order) -> None:
    pay(visitor, order, "good", key="same")
    pay(visitor, order, "good", key="same")

    assert Run.objects.count() == 1


def test_a_second_payment_while_one_is_at_work_is_refused(visitor: Client, order: Order) -> None:
    pay(visitor, order, "good", key="one")

    answer = pay(visitor, order, "good", key="two")

    assert b'class="message error"' in answer.content
    assert Run.objects.count() == 1


def test_what_fails_at_once_is_shown_undone_with_its_reason(visitor: Client, order: Order) -> None:
    Product.objects.update(stock=1)

    content = pay(visitor, order, "good").content.decode()

    assert Run.objects.get().status == RunStatus.COMPENSATED
    assert "Only 1 of Green tea left, 2 wanted." in content
    assert 'data-step="hold" data-state="undone"' in content
    assert "data-live" not in content
    assert "Pay with" in content


def test_while_a_person_looks_at_a_run_nothing_else_can_be_done(visitor: Client, order: Order) -> None:
    pay(visitor, order, "stuck")
    for later in range(10, 100, 10):
        with move_clock(seconds=later):
            carry_due()

    content = visitor.get(f"/orders/{order.pk}/").content.decode()

    assert Run.objects.get().status == RunStatus.ATTENTION
    assert 'data-step="charge" data-state="stuck"' in content
    assert "Refunds of this card are stopped." in content
    assert "data-live" not in content
    assert "Pay with" not in content
    assert "Cancel this order" not in content


def test_the_order_is_read_after_its_runs(visitor: Client, order: Order) -> None:
    with CaptureQueriesContext(connection) as queries:
        visitor.get(f"/orders/{order.pk}/now/")

    tables = [query["sql"].split("FROM", 1)[1].split()[0].strip('"`') for query in queries]
    assert tables.index("flowstate_run") < tables.index("shop_order")


def test_an_open_order_is_cancelled_without_the_bank(visitor: Client, order: Order, bank: BankServer) -> None:
    content = visitor.post(f"/orders/{order.pk}/cancel_order/", {"key": "k"}, follow=True).content.decode()

    order.refresh_from_db()
    assert order.status == Order.Status.CANCELLED
    assert "the order was not paid" in content
    assert bank.ledger.entries() == {"charges": [], "refunds": []}


def test_a_list_of_many_orders_costs_as_many_queries_as_one(
    visitor: Client, order: Order, tea: Product, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(20):
        Order.objects.place(order.customer, {tea: 1})

    with django_assert_num_queries(5):  # session, user, orders, lines, products
        visitor.get("/orders/")


def test_a_page_of_many_runs_costs_as_many_queries_as_one(
    visitor: Client, order: Order, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    Product.objects.update(stock=0)
    for number in range(5):
        pay(visitor, order, "good", key=str(number))

    with django_assert_max_num_queries(14):
        visitor.get(f"/orders/{order.pk}/now/")
