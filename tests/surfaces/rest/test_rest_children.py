"""Child runs over HTTP: parents and children name each other, and who sees one sees the other."""

from __future__ import annotations

import pytest

from django.contrib.auth.models import User
from rest_framework.test import APIClient

from flowstate import SYSTEM, Action, allow_any
from flowstate.actions.bound import BoundAction
from flowstate.models import Run
from flowstate.testing import carry_due
from tests.kiosk import returns
from tests.kiosk.families import Order
from tests.kiosk.models import Product, Sale

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.surfaces.rest.urls")]


@pytest.fixture
def run(ada: User) -> Run:
    returns.forget()
    sale = Sale.objects.create(product=Product.objects.create(name="tea"))
    return BoundAction("order", Action(Order, rules=[allow_any]), Sale, sale).run(user=ada)


def test_a_run_names_its_children_and_a_child_its_parent(adas: APIClient, run: Run) -> None:
    carry_due()

    above = adas.get(f"/api/runs/{run.pk}/").json()
    child = next(step["child"] for step in above["steps"] if step["name"] == "ship")
    below = adas.get(f"/api/runs/{child}/").json()

    assert (above["parent"], above["parent_step"]) == (None, "")
    assert (below["parent"], below["parent_step"], below["status"]) == (str(run.pk), "ship", "succeeded")


def test_the_run_that_undoes_a_child_names_it(adas: APIClient, run: Run) -> None:
    returns.errors["thank"] = [OSError("no")]
    carry_due()

    above = adas.get(f"/api/runs/{run.pk}/").json()
    step = next(step for step in above["steps"] if step["name"] == "ship")
    undoing = adas.get(f"/api/runs/{step['undone_by']}/").json()

    assert above["status"] == "compensated"
    assert (undoing["undo_of"], undoing["parent"]) == (step["child"], str(run.pk))


def test_who_may_not_see_the_parent_does_not_see_the_child(bob: User, run: Run) -> None:
    """S3."""
    client = APIClient()
    client.force_login(bob)
    child = Run.objects.get(parent=run)

    assert client.get(f"/api/runs/{child.pk}/").status_code == 404
    assert client.post(f"/api/runs/{child.pk}/cancel/").status_code == 404


def test_a_child_is_retried_with_its_parent_only(adas: APIClient, run: Run) -> None:
    run.cancel(SYSTEM)
    carry_due()
    child = Run.objects.get(parent=run)

    response = adas.post(f"/api/runs/{child.pk}/retry/")

    assert response.status_code == 409
    assert str(run.pk) in response.json()["detail"]
