"""A price that is changed, called off, and changed by somebody else in between."""

from __future__ import annotations

from decimal import Decimal

import pytest

from django.contrib.auth.models import User
from django.core import mail

from example_shop.management.commands.demo import disagree
from example_shop.models import Customer, Product
from flowstate.models import Run, RunStatus
from flowstate.testing import carry_due, move_clock

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def lamp() -> Product:
    return Product.objects.create(sku="lamp", name="Reading lamp", price=Decimal("129.00"))


@pytest.fixture
def admin() -> User:
    return User.objects.create_superuser("admin")


def reprice(lamp: Product, admin: User) -> Run:
    run = lamp.actions.reprice.run(user=admin, input={"price": "99.00"})
    lamp.refresh_from_db()
    return run


def test_the_price_changes_at_once_and_customers_are_told_an_hour_later(lamp: Product, admin: User) -> None:
    for name, email in (("ada", "ada@example.org"), ("bob", "")):
        Customer.objects.create(user=User.objects.create_user(name, email=email), name=name)

    run = reprice(lamp, admin)
    carry_due()
    told_too_early = len(mail.outbox)
    with move_clock(seconds=3601):
        carry_due()

    assert (lamp.price, told_too_early) == (Decimal("99.00"), 0)
    assert run.refresh().status == RunStatus.SUCCEEDED
    assert [message.to for message in mail.outbox] == [["ada@example.org"]]


def test_called_off_before_the_price_is_as_it_was_and_nobody_hears_of_it(lamp: Product, admin: User) -> None:
    run = reprice(lamp, admin)

    run.cancel(admin)
    with move_clock(seconds=3601):
        carry_due()

    lamp.refresh_from_db()
    assert (run.status, lamp.price, mail.outbox) == (RunStatus.CANCELLED, Decimal("129.00"), [])


def test_the_run_that_the_demo_begins_with_can_be_moved_on_in_each_way(lamp: Product, admin: User) -> None:
    prices = {}
    for way in ("force", "waive", "retry"):
        Product.objects.update(price=Decimal("129.00"))
        disagree()
        run = Run.objects.attention().get()
        match way:
            case "force":
                run.force(admin, "change")
            case "waive":
                run.waive(admin, "change", "The new price is right.")
            case _:
                Product.objects.update(price=Decimal("99.00"))
                run.retry(admin)
        lamp.refresh_from_db()
        prices[way] = (run.refresh().status, lamp.price)

    assert prices == {
        "force": (RunStatus.CANCELLED, Decimal("129.00")),
        "waive": (RunStatus.CANCELLED, Decimal("119.00")),
        "retry": (RunStatus.CANCELLED, Decimal("129.00")),
    }
