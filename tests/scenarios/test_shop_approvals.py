"""The shop asks people: a manager about large orders, two of finance about refunds."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from pytest_django import Settings

from django.contrib.auth.models import User
from django.test import Client

from example_shop.fake_bank import BankServer
from example_shop.management.commands.demo import ask_the_manager
from example_shop.models import Customer, Order, Payment, Product
from example_shop.seed import seed
from flowstate import ApprovalDenied
from flowstate.models import Run, RunStatus
from flowstate.testing import approve, carry_due, move_clock, reject

pytestmark = pytest.mark.django_db(transaction=True)

DAY = 24 * 60 * 60  # seconds


@pytest.fixture(autouse=True)
def bank(tmp_path: Path, settings: Settings) -> Iterator[BankServer]:
    server = BankServer(tmp_path / "bank.sqlite3")
    server.start()
    settings.BANK_URL, settings.BANK_TIMEOUT = server.url, 0.2
    settings.LOGIN_URL = "login"
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def people() -> None:
    """The people and goods of the demo."""
    seed()


def user(name: str) -> User:
    return User.objects.get(username=name)


def place(sku: str) -> Order:
    return Order.objects.place(Customer.objects.get(user__username="ada"), {Product.objects.get(sku=sku): 1})


def stock(sku: str) -> int:
    return Product.objects.get(sku=sku).stock


def pay(order: Order) -> Run:
    run = order.actions.checkout.run(user=user("ada"), input={"card": "good"})
    carry_due()
    return run.refresh()


def refund(order: Order) -> Run:
    run = order.actions.cancel_order.run(user=user("ada"))
    carry_due()
    return run.refresh()


def page(order: Order) -> str:
    client = Client()
    client.force_login(user("ada"))
    return client.get(f"/orders/{order.pk}/").content.decode()


def test_a_large_order_waits_for_a_manager_with_its_goods_reserved(bank: BankServer) -> None:
    """P44: what was done stands, nothing later runs, and the customer cannot decide it."""
    order = place("espresso")

    run = pay(order)

    assert (run.status, run.waiting_for) == (RunStatus.RUNNING, "person")
    assert stock("espresso") == 3
    assert bank.ledger.entries()["charges"] == []
    shown = {item["label"]: item["text"] for item in run.approvals.get().shown_texts}
    assert shown == {"Customer": "Ada", "Total": "1500.00", "Goods": "1 x Espresso machine"}
    assert "Waits for a manager: orders over €1,000 are looked at first" in page(order)
    with pytest.raises(ApprovalDenied):
        approve(run, by=user("ada"))


def test_a_large_order_that_the_manager_approves_is_paid(bank: BankServer) -> None:
    """P45."""
    order = place("espresso")

    run = approve(pay(order), by=user("manager"), comment="A good customer.")

    order.refresh_from_db()
    assert run.status == RunStatus.SUCCEEDED
    assert order.status == Order.Status.PAID
    assert [charge["amount"] for charge in bank.ledger.entries()["charges"]] == ["1500.00"]


def test_a_large_order_that_is_rejected_is_open_again_and_its_goods_are_back() -> None:
    """P46."""
    order = place("espresso")

    run = reject(pay(order), by=user("manager"), reason="Not to this address.")

    order.refresh_from_db()
    assert run.status == RunStatus.COMPENSATED
    assert order.status == Order.Status.OPEN
    assert stock("espresso") == 4
    content = page(order)
    assert "Why: It was not approved: Not to this address." in content
    assert "manager" not in content.split("Why:")[1].split("</p>")[0]


def test_nobody_is_asked_about_an_order_of_exactly_the_limit() -> None:
    Product.objects.filter(sku="espresso").update(price=Decimal("1000.00"))
    order = place("espresso")

    run = pay(order)

    assert run.status == RunStatus.SUCCEEDED
    assert not run.approvals.exists()
    assert "Not needed: the order is not over 1,000 euros" in page(order)


def test_a_refund_takes_two_of_finance(bank: BankServer) -> None:
    order = place("tea")
    pay(order)

    run = approve(refund(order), by=user("fay"))

    assert (run.status, stock("tea")) == (RunStatus.RUNNING, 39)
    assert bank.ledger.entries()["refunds"] == []
    assert "Waits for two of our finance people" in page(order)

    run = approve(run, by=user("flora"))

    order.refresh_from_db()
    assert run.status == RunStatus.SUCCEEDED
    assert (order.status, stock("tea")) == (Order.Status.CANCELLED, 40)
    assert order.payment.status == Payment.Status.REFUNDED
    assert len(bank.ledger.entries()["refunds"]) == 1


@pytest.mark.parametrize("how", ["a no", "a week"])
def test_a_refund_that_finance_does_not_agree_to_leaves_the_order_paid(how: str, bank: BankServer) -> None:
    order = place("tea")
    pay(order)
    run = refund(order)

    if how == "a no":
        reject(run, by=user("finn"), reason="It was delivered.")
    else:
        with move_clock(seconds=7 * DAY + 1):
            carry_due()

    order.refresh_from_db()
    assert run.refresh().status == RunStatus.COMPENSATED
    assert (order.status, stock("tea")) == (Order.Status.PAID, 39)
    assert bank.ledger.entries()["refunds"] == []
    why = "It was delivered." if how == "a no" else "Nobody has approved it within a week."
    assert why in page(order)


def test_the_demo_begins_with_one_order_that_waits_for_the_manager() -> None:
    ask_the_manager()

    approval = Run.objects.get().approvals.get()
    assert approval.pending
    assert approval.may_decide(user("manager"))
    assert not approval.may_decide(user("clerk"))
