"""A parcel on its way: two branches at once, a choice, an event from outside, and days that pass."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from pytest_django import Settings

from django.contrib.auth.models import Permission, User
from django.core import mail
from django.test import Client

from example_shop.management.commands.demo import send_off
from example_shop.models import Customer, Order, Product, Shipment
from flowstate import deliver_event
from flowstate.exceptions import StartRefused
from flowstate.models import Event, Run, RunStatus
from flowstate.rest import sign_event
from flowstate.testing import carry_due, move_clock

pytestmark = pytest.mark.django_db(transaction=True)

DAY = 24 * 60 * 60  # seconds
SECRET = "a secret of the parcel service"  # noqa: S105 - nothing here is secret


@pytest.fixture
def clerk() -> User:
    clerk = User.objects.create_user("clerk")
    clerk.user_permissions.add(Permission.objects.get(codename="ship_order"))
    return clerk


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada", email="ada@example.org")


@pytest.fixture
def order(ada: User) -> Order:
    tea = Product.objects.create(sku="tea", name="Green tea", price=Decimal("8.90"), stock=10)
    order = Order.objects.place(Customer.objects.create(user=ada, name="Ada"), {tea: 3})
    Order.objects.update(status=Order.Status.PAID)
    return order


def ship(order: Order, clerk: User, tracking_code: str) -> Run:
    """Ship the order, let workers work, and return the run that follows the parcel."""
    order.actions.ship.run(user=clerk, input={"tracking_code": tracking_code}).raise_for_status()
    carry_due()
    return Run.objects.with_steps().get(action="shop.order.deliver")


def steps(run: Run) -> dict[str, str]:
    return {row.name: str(row.status) for row in Run.objects.with_steps().get(pk=run.pk).steps}


def status(order: Order) -> str:
    order.refresh_from_db()
    return order.status


def test_the_customer_is_told_while_the_run_waits_for_the_parcel(order: Order, clerk: User) -> None:
    run = ship(order, clerk, "P-7")

    assert steps(run) == {
        "tell_customer": "done",
        "parcel": "done",
        "arrived": "waiting",
        "three_days": "skipped",
        "mark_delivered": "blocked",
    }
    assert run.waiting_for == "event"
    assert "Post P-7" in str(mail.outbox[0].body)


def test_the_order_is_delivered_when_its_parcel_arrives(order: Order, clerk: User) -> None:
    run = ship(order, clerk, "P-7")

    deliver_event("parcel.arrived", "P-8")
    carry_due()
    before = status(order)
    deliver_event("parcel.arrived", "P-7", {"place": "the door"})
    carry_due()

    assert (before, status(order)) == (Order.Status.SHIPPED, Order.Status.DELIVERED)
    assert run.refresh().status == RunStatus.SUCCEEDED
    assert run.results["arrived"] == {"place": "the door"}


def test_the_parcel_service_says_so_over_http(
    client: Client, order: Order, clerk: User, settings: Settings
) -> None:
    settings.FLOWSTATE = {"EVENT_SECRETS": {"parcel.arrived": SECRET}}
    ship(order, clerk, "P-7")
    body = json.dumps({"key": "P-7", "id": "message-1"}).encode()

    answer = client.post(
        "/api/events/parcel.arrived/", body, "application/json", headers=sign_event(body, SECRET)
    )
    carry_due()

    assert answer.status_code == 202
    assert status(order) == Order.Status.DELIVERED


def test_a_parcel_that_nobody_can_follow_counts_as_delivered_after_three_days(
    order: Order, clerk: User
) -> None:
    run = ship(order, clerk, "")

    with move_clock(seconds=3 * DAY - 60):
        carry_due()
        before = status(order)
    with move_clock(seconds=3 * DAY + 60):
        carry_due()

    assert (before, status(order)) == (Order.Status.SHIPPED, Order.Status.DELIVERED)
    assert (steps(run)["arrived"], steps(run)["three_days"]) == ("skipped", "done")


def test_of_a_parcel_that_does_not_arrive_the_staff_hears_and_may_wait_anew(
    order: Order, clerk: User
) -> None:
    run = ship(order, clerk, "P-7")

    with move_clock(seconds=14 * DAY + 60):
        carry_due()
    lost = (run.refresh().status, run.failed_step, status(order))
    again = run.retry(clerk)
    deliver_event("parcel.arrived", "P-7")
    carry_due()

    assert lost == (RunStatus.FAILED, "arrived", Order.Status.SHIPPED)
    assert again.refresh().status == RunStatus.SUCCEEDED
    assert status(order) == Order.Status.DELIVERED
    assert len(mail.outbox) == 1


def test_a_delivery_begins_with_its_shipment_or_not_at_all(order: Order, clerk: User) -> None:
    Shipment.objects.create(order=order)  # a second one is refused by the database

    run = order.actions.ship.run(user=clerk)

    assert run.status == RunStatus.FAILED
    assert status(order) == Order.Status.PAID
    assert not Run.objects.filter(action="shop.order.deliver").exists()


def test_nothing_is_followed_that_was_not_shipped(order: Order, clerk: User) -> None:
    with pytest.raises(StartRefused):
        order.actions.deliver.run(user=clerk)


def test_the_demo_begins_with_an_order_that_waits_for_its_parcel(order: Order, clerk: User) -> None:
    send_off(order)
    send_off(order)  # as at the second start

    run = Run.objects.get(action="shop.order.deliver")
    carry_due()
    assert (run.refresh().waiting_for, status(order)) == ("event", Order.Status.SHIPPED)


def test_the_demo_ships_nothing_that_is_not_paid(order: Order, clerk: User) -> None:
    Order.objects.update(status=Order.Status.OPEN)

    send_off(order)

    assert not Run.objects.exists()


# --- on the order's page -------------------------------------------------------------------------


def press(client: Client, order: Order, key: str = "k") -> int:
    return client.post(f"/orders/{order.pk}/arrived/", {"key": key}).status_code


def test_the_customer_says_that_the_parcel_has_arrived(
    client: Client, order: Order, ada: User, clerk: User
) -> None:
    ship(order, clerk, "P-7")
    client.force_login(ada)
    before = client.get(f"/orders/{order.pk}/").content.decode()

    pressed = press(client, order)
    pressed_again = press(client, order)  # a double click
    meanwhile = client.get(f"/orders/{order.pk}/").content.decode()
    carry_due()
    after = client.get(f"/orders/{order.pk}/").content.decode()

    assert (pressed, pressed_again, Event.objects.count()) == (302, 302, 1)
    assert "My parcel has arrived" in before
    assert 'data-step="arrived" data-state="waiting"' in before
    assert "data-live" not in before  # days may pass: nothing to look at every second
    assert "data-live" in meanwhile
    assert 'data-status="delivered"' in after
    assert "My parcel has arrived" not in after


def test_the_page_says_plainly_which_branch_was_not_needed(
    client: Client, order: Order, ada: User, clerk: User
) -> None:
    User.objects.filter(pk=ada.pk).update(email="")
    ship(order, clerk, "P-7")
    client.force_login(ada)

    content = client.get(f"/orders/{order.pk}/").content.decode()

    assert "Not needed: the customer has no e-mail address" in content
    assert 'data-step="three_days" data-state="skipped"' in content
    assert "branch:" not in content
    assert "when is false" not in content


def test_only_who_may_see_the_order_may_say_that_it_has_arrived(
    client: Client, order: Order, clerk: User
) -> None:
    run = ship(order, clerk, "P-7")
    client.force_login(User.objects.create_user("eve"))

    assert press(client, order) == 404
    carry_due()
    assert run.refresh().status == RunStatus.RUNNING


@pytest.mark.parametrize("tracking_code", [None, ""])
def test_nothing_can_arrive_that_cannot_be_followed(
    client: Client, order: Order, ada: User, clerk: User, tracking_code: str | None
) -> None:
    if tracking_code is not None:
        ship(order, clerk, tracking_code)
    client.force_login(ada)

    assert press(client, order) == 404
    assert "My parcel has arrived" not in client.get(f"/orders/{order.pk}/").content.decode()
