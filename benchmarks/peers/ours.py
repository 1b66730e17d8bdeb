"""flowstate, by its public API, in the caller's process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth import get_user_model

from benchmarks.shop.checkout import Facts
from benchmarks.shop.models import Order

USERNAME = "buyer"


def buyer() -> Any:
    """Return who asks for all runs."""
    return get_user_model()._default_manager.get_or_create(username=USERNAME)[0]


def order_of(facts: Facts) -> Order:
    """Return the order as a view would have read it."""
    order = Order(pk=facts.order_id, product_id=facts.product_id)
    order._state.adding, order._state.db = False, "default"
    return order


def _peer(action: str, status: str = "succeeded") -> Callable[[Facts], None]:
    user = buyer()

    def run(facts: Facts) -> None:
        done = getattr(order_of(facts).actions, action).run(user=user, input=facts.as_input())
        if done.status != status:
            message = f"{action} ended as {done.status}: {done.error}"
            raise AssertionError(message)

    return run


def atomic() -> Callable[[Facts], None]:
    """All in one transaction, any number of runs on an order."""
    return _peer("atomic")


def atomic_exclusive() -> Callable[[Facts], None]:
    """All in one transaction, one live run on an order: the default."""
    return _peer("atomic_exclusive")


def steps() -> Callable[[Facts], None]:
    """A commit per step, any number of runs on an order."""
    return _peer("steps")


def steps_exclusive() -> Callable[[Facts], None]:
    """A commit per step, one live run on an order: the default."""
    return _peer("steps_exclusive")


def entities() -> Callable[[Facts], None]:
    """A commit per step, by four entity steps."""
    return _peer("entities")


def failing() -> Callable[[Facts], None]:
    """The third step fails; the two before are undone by their own code."""
    return _peer("failing", "compensated")


def failing_entities() -> Callable[[Facts], None]:
    """The last step fails; the four before are undone by their derived inverses."""
    return _peer("failing_entities", "compensated")
