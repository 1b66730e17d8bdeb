"""Functions over HTTP: started, looked at while they wait, cancelled, and drawn."""

from __future__ import annotations

from typing import Any

import pytest

from django.contrib.auth.models import User
from rest_framework.test import APIClient

from flowstate import Action, allow_any
from flowstate.actions.bound import BoundAction
from flowstate.models import Run
from tests.kiosk import functions, returns
from tests.kiosk.calls import lines
from tests.kiosk.functions import buy, pause
from tests.kiosk.models import Product, Sale

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.surfaces.rest.urls")]


@pytest.fixture(autouse=True)
def forget() -> None:
    returns.forget()
    functions.turns.clear()


def run_of(workflow: Any, ada: User) -> Run:
    sale = Sale.objects.create(product=Product.objects.create(name="tea"))
    return BoundAction("order", Action(workflow, rules=[allow_any]), Sale, sale).run(user=ada)


def test_a_run_shows_the_steps_that_the_function_asked_for(adas: APIClient, ada: User) -> None:
    body = adas.get(f"/api/runs/{run_of(buy, ada).pk}/").json()

    assert [(step["name"], step["status"]) for step in body["steps"]] == [
        ("pay", "done"),
        ("pack", "done"),
        ("ship", "done"),
        ("function", "done"),
    ]
    assert (body["status"], body["value"], body["progress"]) == ("succeeded", 11, 100)


def test_a_run_that_sleeps_can_be_drawn_and_cancelled(adas: APIClient, ada: User) -> None:
    """The web process has the compensation called that another one's call declared."""
    run = run_of(pause, ada)

    waits = adas.get(f"/api/runs/{run.pk}/").json()
    drawn = adas.get(f"/api/runs/{run.pk}/diagram/").json()["mermaid"]
    cancelled = adas.post(f"/api/runs/{run.pk}/cancel/")

    assert (waits["waiting_for"], waits["progress"]) == ("time", 50)
    assert "sleep --> function" in drawn
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert lines() == ["one", "undo one"]


def test_an_action_that_is_a_function_is_posted_to(adas: APIClient, order: Any) -> None:
    response = adas.post(f"/api/orders/{order.pk}/parcels/", {"amount": 3}, format="json")
    refused = adas.post(f"/api/orders/{order.pk}/parcels/", {"amount": 0}, format="json")

    assert (response.status_code, response.json()["value"]) == (200, 4)
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_input")
