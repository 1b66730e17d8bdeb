"""Functions in the admin: the run's page, and a function whose code has changed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from django.test import Client

from flowstate import SYSTEM
from flowstate.engine.carry.messages import carry_run
from flowstate.models import Run
from tests.kiosk import functions, returns
from tests.kiosk.functions import buy, pause

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    returns.forget()
    functions.turns.clear()
    yield
    returns.forget()
    functions.turns.clear()


def page_of(client: Client, run: Run) -> str:
    response = client.get(f"/barn/flowstate/run/{run.pk}/change/")
    assert response.status_code == 200
    return response.content.decode()


def test_the_page_of_a_run_shows_its_steps_without_calling_the_function(desk: Client) -> None:
    run = pause.run(user=SYSTEM)
    before = returns.diary.lines.copy()
    functions.turns["pay"] = "another"

    page = page_of(desk, run)

    assert "sleep" in page
    assert "function" in page
    assert returns.diary.lines == before


def test_the_page_says_why_a_run_does_not_go_on(desk: Client) -> None:
    """Whoever opens it sees what is recorded and what the code comes to instead."""
    run = buy.enqueue(user=SYSTEM)
    returns.within["ship"] = [lambda: functions.turns.update(pay="pay_by_card")]
    carry_run(str(run.pk), queue="flowstate")

    page = page_of(desk, run)

    assert "has recorded the step pay (external)" in page
    assert "comes to pay_by_card (external)" in page
    assert "a person" in page
