"""The kiosk, a buyer and a boss, and what they are asked."""

from __future__ import annotations

import pytest

from django.contrib.auth.models import User

from flowstate.models import Approval
from tests.kiosk.consents import Asked
from tests.kiosk.crew import asked, person
from tests.kiosk.returns import forget
from tests.kiosk.stall import OnSale, clock, on_sale, sale, user

__all__ = ["clock", "on_sale", "sale", "user"]


@pytest.fixture(autouse=True)
def nothing_was_done_before() -> None:
    """Begin with an empty diary of what steps did."""
    forget()


@pytest.fixture
def boss(db: None) -> User:
    """May decide about sales."""
    return person("bea", permission="change_sale")


@pytest.fixture
def stranger(db: None) -> User:
    """May decide nothing, and see nothing."""
    return person("eve")


@pytest.fixture
def approval(on_sale: OnSale, user: User) -> Approval:
    """What a run of ada's asks those who may change sales."""
    return asked(on_sale, Asked, user)
