"""The security list of surfaces, S9, S10, S24 and S26, as far as it concerns REST."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from django.contrib.auth.models import User
from django.core.cache import cache
from rest_framework.test import APIClient
from rest_framework.throttling import UserRateThrottle

from example_shop.models import Order
from flowstate.models import Run
from flowstate.rest.runs import RunViewSet

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.surfaces.rest.urls")]

FITTING = {"card": "good", "quantity": 1}


class Once(UserRateThrottle):
    """One request a minute."""

    rate = "1/min"

    def allow_request(self, request: Any, view: Any) -> bool:
        self.scope = f"once-{view.basename}"
        return bool(super().allow_request(request, view))


@pytest.fixture(autouse=True)
def nothing_counted() -> None:
    cache.clear()


def paid(client: APIClient, order: Order, given: Any) -> Any:
    return client.post(f"/api/orders/{order.pk}/pay/", given, format="json")


@pytest.mark.parametrize(
    "name",
    [
        "_connector",
        "_negated",
        "card__startswith",
        "pk",
        "status",
        "customer__user__is_staff",
        "entity",
        "user",
    ],
)
def test_only_declared_fields_get_in(adas: APIClient, order: Order, name: str) -> None:
    """S9, S10."""
    answer = paid(adas, order, {**FITTING, name: "OR 1=1"})

    assert answer.status_code == 400
    assert name in str(answer.json())
    assert not Run.objects.exists()


@pytest.mark.parametrize("given", ["\x00", "x" * 300_000, [[[]]], {"$enum": ["os:system", "x"]}])
def test_what_the_journal_could_not_hold_is_refused_before_anything_is_done(
    adas: APIClient, order: Order, given: Any
) -> None:
    """S24."""
    answer = paid(adas, order, {**FITTING, "card": given})

    assert answer.status_code == 400
    assert not Run.objects.exists()


def test_actions_are_throttled_as_the_viewset_says(
    adas: APIClient, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S26."""
    from tests.surfaces.rest.urls import OrderViewSet  # noqa: PLC0415 - late: it is made of the actions

    monkeypatch.setattr(OrderViewSet, "throttle_classes", [Once])
    first, second = paid(adas, order, FITTING), paid(adas, order, FITTING)

    assert first.status_code != 429
    assert (second.status_code, second.json()["code"]) == (429, "throttled")
    assert 0 < int(second["Retry-After"]) <= 60


def test_operating_a_run_is_throttled_as_the_project_says(
    adas: APIClient, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S26."""
    monkeypatch.setattr(RunViewSet, "throttle_classes", [Once])

    answers = [adas.post(f"/api/runs/{uuid4()}/cancel/") for _time in range(2)]

    assert [answer.status_code for answer in answers] == [404, 429]
    assert int(answers[1]["Retry-After"]) > 0


@pytest.mark.parametrize("verb", ["cancel", "retry", "waive", "force"])
def test_verbs_change_nothing_by_get(operator: User, adas: APIClient, order: Order, verb: str) -> None:
    """S7."""
    paid(adas, order, FITTING)
    run = Run.objects.get()
    client = APIClient()
    client.force_login(operator)

    answer = client.get(f"/api/runs/{run.pk}/{verb}/")

    assert answer.status_code == 405
    assert Run.objects.values_list("status", flat=True).get() == run.status
