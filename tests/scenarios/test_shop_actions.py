"""The shop's actions from end to end: the journal, the rows, and a bank that can fail."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from django.contrib.auth.models import Group, Permission, User
from django.core import mail
from django.test import Client

from example_shop.fake_bank import BankServer
from example_shop.models import Customer, Order, Payment, Product, Shipment
from flowstate import StepError
from flowstate.models import Run, RunStatus
from flowstate.testing import approve, carry_due, move_clock

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def bank(tmp_path: Path, settings: Settings) -> Iterator[BankServer]:
    server = BankServer(tmp_path / "bank.sqlite3", silence=1)
    server.start()
    settings.BANK_URL, settings.BANK_TIMEOUT = server.url, 0.2
    yield server
    server.stop()


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada", email="ada@example.org")


@pytest.fixture
def finance() -> list[User]:
    """The three people of whom two agree to a refund."""
    group = Group.objects.create(name="Finance")
    people = [User.objects.create_user(name) for name in ("fay", "finn", "flora")]
    group.user_set.set(people)
    return people


@pytest.fixture
def tea() -> Product:
    return Product.objects.create(sku="tea", name="Green tea", price=Decimal("8.90"), stock=10)


@pytest.fixture
def mug() -> Product:
    return Product.objects.create(sku="mug", name="Mug", price=Decimal("19.50"), stock=2)


@pytest.fixture
def order(ada: User, tea: Product, mug: Product) -> Order:
    return Order.objects.place(Customer.objects.create(user=ada, name="Ada"), {tea: 3, mug: 1})


def checkout(order: Order, card: str) -> Run:
    """Pay, let workers work, and let the time pass that retries wait for."""
    run = order.actions.checkout.run(user=order.customer.user, input={"card": card})
    work()
    order.refresh_from_db()
    return run.refresh()


def work() -> None:
    for later in range(10, 100, 10):  # longer than any retry waits, shorter than a checkout may take
        with move_clock(seconds=later):
            carry_due()


def stocks() -> dict[str, int]:
    return dict(Product.objects.values_list("sku", "stock"))


def charges(bank: BankServer) -> list[str]:
    return [charge["status"] for charge in bank.ledger.entries()["charges"]]


def test_a_good_card_pays_the_order(order: Order, bank: BankServer) -> None:
    run = checkout(order, "good")

    assert run.status == RunStatus.SUCCEEDED
    assert order.status == Order.Status.PAID
    assert stocks() == {"tea": 7, "mug": 1}
    assert order.payment.reference == run.results["charge"]["reference"]
    assert run.data["payment_id"] == order.payment.pk
    assert charges(bank) == ["charged"]
    assert [message.to for message in mail.outbox] == [["ada@example.org"]]


def test_a_declined_card_leaves_everything_as_it_was(order: Order, bank: BankServer) -> None:
    run = checkout(order, "declined")

    assert run.status == RunStatus.COMPENSATED
    assert run.failed_step == "charge"
    assert run.compensated_steps == ["reserve", "hold"]
    assert order.status == Order.Status.OPEN
    assert stocks() == {"tea": 10, "mug": 2}
    assert not Payment.objects.exists()
    assert charges(bank) == []
    with pytest.raises(StepError, match="no cover"):
        run.raise_for_status()


def test_one_line_too_much_takes_nothing_of_the_others(order: Order, bank: BankServer) -> None:
    Product.objects.filter(sku="mug").update(stock=0)

    run = checkout(order, "good")

    assert run.failed_step == "reserve"
    assert run.error
    assert run.error["detail"] == "Only 0 of Mug left, 1 wanted."
    assert stocks() == {"tea": 10, "mug": 0}
    assert bank.ledger.entries()["charges"] == []


def test_an_answer_that_got_lost_does_not_charge_twice(order: Order, bank: BankServer) -> None:
    run = checkout(order, "slow")

    assert run.status == RunStatus.SUCCEEDED
    assert charges(bank) == ["charged"]


def test_a_charge_nobody_knows_about_is_given_back(order: Order, bank: BankServer) -> None:
    run = checkout(order, "lost")

    assert run.status == RunStatus.COMPENSATED
    assert run.compensated_steps == ["charge", "reserve", "hold"]
    assert charges(bank) == ["refunded"]
    assert order.status == Order.Status.OPEN


@pytest.mark.parametrize("card", ["down", "broken"])
def test_a_charge_that_never_arrived_is_called_off(order: Order, bank: BankServer, card: str) -> None:
    run = checkout(order, card)

    assert run.status == RunStatus.COMPENSATED
    assert charges(bank) == ["void"]


def test_a_bank_that_is_not_there_needs_no_refund(order: Order, bank: BankServer) -> None:
    bank.stop()

    run = checkout(order, "good")

    assert run.status == RunStatus.COMPENSATED
    assert run.compensated_steps == ["reserve", "hold"]


def test_a_refund_that_fails_waits_for_a_person(order: Order, ada: User, bank: BankServer) -> None:
    run = checkout(order, "stuck")

    assert run.status == RunStatus.ATTENTION
    assert list(run.compensation_errors) == ["charge"]
    assert stocks() == {"tea": 10, "mug": 2}

    run.retry(ada)
    work()

    assert run.refresh().status == RunStatus.COMPENSATED
    assert charges(bank) == ["refunded"]


def test_an_order_is_paid_once(order: Order, bank: BankServer) -> None:
    checkout(order, "good")

    run = checkout(order, "good")

    assert run.status == RunStatus.FAILED
    assert run.error
    assert run.error["code"] == "order_not_open"
    assert len(bank.ledger.entries()["charges"]) == 1


def test_a_cancelled_order_gives_back_goods_and_money(
    order: Order, ada: User, finance: list[User], bank: BankServer
) -> None:
    checkout(order, "good")

    run = order.actions.cancel_order.run(user=ada)
    for person in finance[:2]:
        approve(run, by=person)
    work()

    order.refresh_from_db()
    assert run.refresh().status == RunStatus.SUCCEEDED
    assert order.status == Order.Status.CANCELLED
    assert order.payment.status == Payment.Status.REFUNDED
    assert stocks() == {"tea": 10, "mug": 2}
    assert charges(bank) == ["refunded"]


def test_a_cancellation_without_the_bank_leaves_the_order_paid(
    order: Order, ada: User, finance: list[User], bank: BankServer
) -> None:
    checkout(order, "good")
    bank.stop()

    run = order.actions.cancel_order.run(user=ada)
    for person in finance[:2]:
        approve(run, by=person)
    work()

    order.refresh_from_db()
    assert run.refresh().status == RunStatus.COMPENSATED
    assert order.status == Order.Status.PAID
    assert order.payment.status == Payment.Status.PAID
    assert stocks() == {"tea": 7, "mug": 1}


# --- over HTTP -----------------------------------------------------------------------------------


@pytest.fixture
def clerk() -> User:
    clerk = User.objects.create_user("clerk")
    names = ["view_order", "ship_order", "restock_product"]
    clerk.user_permissions.set(Permission.objects.filter(codename__in=names))
    return clerk


def post(client: Client, path: str, body: dict[str, Any]) -> Any:
    return client.post(path, body, content_type="application/json")


def test_an_order_is_placed_and_paid_over_http(client: Client, ada: User, tea: Product) -> None:
    client.force_login(ada)

    placed = post(client, "/api/orders/", {"lines": [{"sku": "tea", "quantity": 2}]})
    paid = post(client, f"/api/orders/{placed.json()['id']}/checkout/", {"card": "good"})
    work()

    assert placed.status_code == 201
    assert paid.status_code == 202
    run = client.get(paid["Location"]).json()
    assert run["status"] == "succeeded"
    assert client.get(f"/api/orders/{placed.json()['id']}/").json()["status"] == "paid"


def test_what_fails_at_once_says_why_over_http(client: Client, order: Order, ada: User) -> None:
    Product.objects.update(stock=0)
    client.force_login(ada)

    answer = post(client, f"/api/orders/{order.pk}/checkout/", {"card": "good"})

    assert answer.status_code == 409
    body = answer.json()
    assert (body["code"], body["failed_step"]) == ("out_of_stock", "reserve")
    assert body["compensated_steps"] == ["hold"]


def test_the_clerk_ships_a_paid_order(client: Client, order: Order, clerk: User) -> None:
    checkout(order, "good")
    client.force_login(clerk)

    answer = post(client, f"/api/orders/{order.pk}/ship/", {"carrier": "bike", "tracking_code": "B7"})

    assert answer.status_code == 200
    order.refresh_from_db()
    assert order.status == Order.Status.SHIPPED
    assert str(order.shipment) == "Bike courier B7"


def test_an_unpaid_order_is_not_shipped(client: Client, order: Order, clerk: User) -> None:
    client.force_login(clerk)

    answer = post(client, f"/api/orders/{order.pk}/ship/", {})

    assert answer.status_code == 409
    assert answer.json()["code"] == "order_not_paid"
    assert not Shipment.objects.exists()


@pytest.mark.parametrize("action", ["ship", "archive"])
def test_a_customer_may_not_do_the_work_of_the_staff(
    client: Client, order: Order, ada: User, action: str
) -> None:
    client.force_login(ada)

    assert post(client, f"/api/orders/{order.pk}/{action}/", {}).status_code == 403
    assert not Run.objects.exists()


def test_the_orders_of_others_are_not_there_over_http(client: Client, order: Order) -> None:
    client.force_login(User.objects.create_user("eve"))

    assert post(client, f"/api/orders/{order.pk}/checkout/", {"card": "good"}).status_code == 404


def test_goods_are_restocked_by_their_sku(client: Client, tea: Product, clerk: User) -> None:
    client.force_login(clerk)

    done = post(client, "/api/products/restock/", {"sku": "tea", "quantity": 5})
    unknown = post(client, "/api/products/restock/", {"sku": "coffee", "quantity": 5})
    nonsense = post(client, "/api/products/restock/", {"sku": "tea", "quantity": 0})

    assert (done.status_code, unknown.status_code, nonsense.status_code) == (200, 404, 400)
    assert stocks() == {"tea": 15}


def test_an_order_is_archived_without_a_workflow_class(order: Order) -> None:
    boss = User.objects.create_superuser("boss")

    run = order.actions.archive.run(user=boss)

    order.refresh_from_db()
    assert run.success
    assert order.status == Order.Status.ARCHIVED
