"""Fixtures: a sale to work on, an outside world that forgets between tests, and a clock that can be moved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from django.contrib.auth.models import User

from flowstate import Action, Workflow, allow_any
from flowstate.actions.bound import BoundAction
from flowstate.models.clock import _Shift, shift_clock
from flowstate.signals import run_event
from tests.kiosk.celery_app import app
from tests.kiosk.diary import Diary
from tests.kiosk.models import Product, Sale
from tests.kiosk.workflows import Bank, bank

OnSale = Callable[..., BoundAction]

app.set_current()  # what is published in a test goes to the broker in this process


@pytest.fixture(name="bank")
def fixture_bank() -> Iterator[Bank]:
    bank.reset()
    yield bank
    bank.reset()


@pytest.fixture
def diary() -> Diary:
    return Diary()


@pytest.fixture
def user(db: None) -> User:
    return User.objects.create_user("ada")


@pytest.fixture
def sale(user: User) -> Sale:
    product = Product.objects.create(name="tea", stock=10)
    return Sale.objects.create(owner=user, product=product, quantity=3)


@pytest.fixture
def on_sale(sale: Sale) -> OnSale:
    """Bind a workflow to the sale, as an action that everybody may do."""

    def bind(workflow: type[Workflow], **options: Any) -> BoundAction:
        action = Action(workflow, **{"rules": [allow_any], **options})
        return BoundAction("trial", action, Sale, sale)

    return bind


@pytest.fixture
def clock() -> Iterator[Callable[[float], None]]:
    """Move the clock that the journal is judged by."""
    yield shift_clock
    _Shift.seconds = 0.0


@pytest.fixture
def signals() -> Iterator[list[dict[str, Any]]]:
    """Collect what observers outside are told."""
    received: list[dict[str, Any]] = []

    def receive(**told: Any) -> None:
        received.append({name: told[name] for name in ("run_id", "kind", "step", "status")})

    run_event.connect(receive)
    yield received
    run_event.disconnect(receive)
