"""Waiving and forcing over HTTP what could not be undone."""

from __future__ import annotations

from typing import Any

import pytest

from django.contrib.auth.models import User
from rest_framework.test import APIClient

from example_shop.models import Order
from flowstate.models import Run
from tests.surfaces.rest.conftest import logged_in
from tests.surfaces.rest.test_rest_actions import post
from tests.surfaces.rest.test_rest_runs import start

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.surfaces.rest.urls")]


@pytest.fixture
def stuck(adas: APIClient, order: Order) -> str:
    """A run of ada's that was cancelled after somebody else had shipped the order."""
    run_id = start(adas, order)
    Order.objects.update(status=Order.Status.SHIPPED)
    assert post(adas, f"runs/{run_id}/cancel").status_code == 500
    return run_id


def test_an_operator_waives_a_step_with_a_reason(operator: User, stuck: str, order: Order) -> None:
    response = post(logged_in(operator), f"runs/{stuck}/waive", {"step": "note", "reason": "It was shipped."})

    assert response.status_code == 200
    assert response.json()["status"] == "cancelled"
    assert response.json()["steps"][0]["compensation"] == "waived"
    order.refresh_from_db()
    assert order.status == Order.Status.SHIPPED
    event = Run.objects.get().events.get(kind="undo_waived")
    assert (event.actor_label, event.data["detail"]) == ("operator", "It was shipped.")


def test_an_operator_forces_a_step(operator: User, stuck: str, order: Order) -> None:
    response = post(logged_in(operator), f"runs/{stuck}/force", {"step": "note"})

    assert response.status_code == 200
    assert (response.json()["status"], response.json()["compensated_steps"]) == ("cancelled", ["note"])
    order.refresh_from_db()
    assert order.status == Order.Status.OPEN


def test_what_cannot_be_forced_either_is_an_error(operator: User, stuck: str) -> None:
    Order.objects.all().delete()

    response = post(logged_in(operator), f"runs/{stuck}/force", {"step": "note"})

    assert response.status_code == 500
    assert response.json()["code"] == "needs_attention"
    assert Run.objects.get().status == "attention"


@pytest.mark.parametrize("verb", ["waive", "force"])
def test_who_asked_for_a_run_may_neither_waive_nor_force(adas: APIClient, stuck: str, verb: str) -> None:
    """S3."""
    response = post(adas, f"runs/{stuck}/{verb}", {"step": "note", "reason": "please"})

    assert response.status_code == 403
    assert Run.objects.get().status == "attention"


def test_everybody_else_finds_nothing(bob: User, stuck: str) -> None:
    assert post(logged_in(bob), f"runs/{stuck}/waive", {"step": "note", "reason": "x"}).status_code == 404


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        ({"step": "note"}, "reason"),
        ({"step": "note", "reason": " "}, "reason"),
        ({"reason": "x"}, "step"),
        ({"step": "note", "reason": "x" * 501}, "reason"),
        ({"step": "note", "reason": "x", "why": "y"}, "why"),
    ],
)
def test_waiving_with_input_that_does_not_fit_changes_nothing(
    operator: User, stuck: str, data: dict[str, Any], wrong: str
) -> None:
    response = post(logged_in(operator), f"runs/{stuck}/waive", data)

    assert response.status_code == 400
    assert list(response.json()["errors"]) == [wrong]
    assert Run.objects.get().status == "attention"


@pytest.mark.parametrize("verb", ["waive", "force"])
def test_another_step_or_another_status_is_a_conflict(operator: User, stuck: str, verb: str) -> None:
    client = logged_in(operator)

    other = post(client, f"runs/{stuck}/{verb}", {"step": "charge", "reason": "x"})
    post(client, f"runs/{stuck}/waive", {"step": "note", "reason": "x"})
    late = post(client, f"runs/{stuck}/{verb}", {"step": "note", "reason": "x"})

    assert [other.status_code, late.status_code] == [409, 409]
    assert {other.json()["code"], late.json()["code"]} == {"run_conflict"}
