"""What is answered when a run ended well, goes on, failed, or was started before."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

import pytest

from django.contrib.auth.models import User
from django.db import connections, transaction
from django.urls import resolve, set_script_prefix
from rest_framework.test import APIClient

from example_shop.models import Order, Product
from flowstate.models import Run, RunStatus
from tests.surfaces.rest.conftest import logged_in
from tests.surfaces.rest.test_rest_actions import PAY, post

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.surfaces.rest.urls")]


def pay(client: APIClient, order: Order, card: str = "good", **headers: str) -> Any:
    return post(client, f"orders/{order.pk}/pay", {**PAY, "card": card}, **headers)


def test_a_run_that_goes_on_is_accepted_with_its_place(adas: APIClient, order: Order) -> None:
    response = post(adas, f"orders/{order.pk}/pay-later", PAY)

    assert response.status_code == 202
    run = Run.objects.get()
    assert response["Location"] == f"http://testserver/api/runs/{run.pk}/"
    assert response.json()["status"] == "running"
    assert adas.get(response["Location"]).json()["id"] == str(run.pk)


@pytest.mark.urls("tests.surfaces.rest.bare_urls")
def test_without_urls_for_runs_there_is_no_place_to_name(adas: APIClient, order: Order) -> None:
    response = post(adas, f"orders/{order.pk}/pay-later", PAY)

    assert response.status_code == 202
    assert "Location" not in response


@pytest.mark.urls("tests.surfaces.rest.prefixed_urls")
def test_the_place_is_found_beside_the_view_that_was_asked(adas: APIClient, order: Order) -> None:
    response = adas.post(f"/v1/orders/{order.pk}/pay-later/", PAY, format="json")

    assert response["Location"] == f"http://testserver/v1/runs/{Run.objects.get().pk}/"


def test_the_place_is_right_under_a_script_prefix(adas: APIClient, order: Order) -> None:
    set_script_prefix("/shop/")  # as Django's WSGI handler does, which the test client goes around
    try:
        response = post(adas, f"orders/{order.pk}/pay-later", PAY)
    finally:
        set_script_prefix("/")

    assert response["Location"] == f"http://testserver/shop/api/runs/{Run.objects.get().pk}/"


def test_a_failed_run_says_what_failed_and_what_was_undone(
    adas: APIClient, order: Order, tea: Product
) -> None:
    """P41."""
    response = pay(adas, order, "empty")

    run = Run.objects.get()
    assert response.status_code == 409
    assert response.json() == {
        "code": "out_of_stock",
        "detail": "There is not enough in stock.",
        "failed_step": "charge",
        "compensated_steps": ["reserve"],
        "run": str(run.pk),
    }
    tea.refresh_from_db()
    assert (run.status, tea.stock) == (RunStatus.COMPENSATED, 10)


def test_an_error_that_the_action_maps_has_that_status(adas: APIClient, order: Order) -> None:
    """P42."""
    response = pay(adas, order, "declined")

    assert response.status_code == 402
    assert response.json()["code"] == "card_declined"
    assert response.json()["detail"] == "The card was declined."


def test_an_error_that_nobody_maps_shows_nothing_of_the_inside(adas: APIClient, order: Order) -> None:
    """P42."""
    response = pay(adas, order, "bug")

    assert response.status_code == 500
    assert response.json()["code"] == "step_failed"
    assert response.json()["detail"] == "The step charge failed."
    run = Run.objects.get()
    shown = response.content + adas.get(f"/api/runs/{run.pk}/").content + adas.get("/api/runs/").content
    assert b"hunter2" not in shown
    assert b"RuntimeError" not in shown


def test_a_run_that_needs_a_person_says_so(adas: APIClient, order: Order) -> None:
    response = post(adas, f"orders/{order.pk}/stick")

    run = Run.objects.get()
    assert run.status == RunStatus.ATTENTION
    assert response.status_code == 500
    assert response.json() == {
        "code": "needs_attention",
        "detail": "Undoing take did not succeed; a person must look at it.",
        "failed_step": "fail",
        "compensated_steps": [],
        "run": str(run.pk),
    }
    assert b"hunter2" not in adas.get(f"/api/runs/{run.pk}/").content


def test_a_refused_start_is_a_conflict(adas: APIClient, order: Order) -> None:
    response = post(adas, f"orders/{order.pk}/refuse")

    assert response.status_code == 409
    assert response.json()["code"] == "start_refused"
    assert not Run.objects.exists()


def test_a_second_live_run_is_refused_with_the_first_one(adas: APIClient, order: Order) -> None:
    first = post(adas, f"orders/{order.pk}/pay-later", PAY).json()["id"]

    response = post(adas, f"orders/{order.pk}/pay-later", PAY)

    assert response.status_code == 409
    assert (response.json()["code"], response.json()["run"]) == ("already_running", first)


def test_what_is_undone_by_the_caller_s_own_cancel_is_no_success(adas: APIClient, order: Order) -> None:
    run = post(adas, f"orders/{order.pk}/pay-later", PAY, **{"Idempotency-Key": "k"}).json()["id"]
    post(adas, f"runs/{run}/cancel")

    response = post(adas, f"orders/{order.pk}/pay-later", PAY, **{"Idempotency-Key": "k"})

    assert response.status_code == 409
    assert response.json()["code"] == "run_cancelled"


# --- the value -----------------------------------------------------------------------------------


def test_the_value_is_plain_json(adas: APIClient, order: Order) -> None:
    value = pay(adas, order).json()["value"]

    assert value == {"amount": "17.80", "at": "2026-01-02T00:00:00Z", "secret": "s3cr3t"}


def test_an_output_serializer_shapes_the_value(adas: APIClient, order: Order) -> None:
    """A7."""
    body = post(adas, f"orders/{order.pk}/receipt", PAY).json()

    assert set(body["value"]) == {"amount", "at"}
    assert datetime.fromisoformat(body["value"]["at"]) == datetime(2026, 1, 2, tzinfo=UTC)
    assert adas.get(f"/api/runs/{body['id']}/").json()["value"] == body["value"]


def test_an_output_that_cannot_be_shaped_does_not_make_a_failure_of_it(
    adas: APIClient, order: Order, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "flowstate.rest"):
        response = post(adas, f"orders/{order.pk}/broken-receipt", PAY)

    assert response.status_code == 200
    assert response.json()["value"] is None
    assert "broken_receipt" in caplog.text


def test_a_row_is_named_not_shown(adas: APIClient, order: Order) -> None:
    value = post(adas, f"orders/{order.pk}/return-row").json()["value"]

    assert value == [{"model": "shop.order", "pk": str(order.pk)}, "open"]


# --- the same start again ------------------------------------------------------------------------


@pytest.mark.parametrize(("card", "status"), [("good", 200), ("empty", 409), ("bug", 500)])
def test_the_same_key_gives_the_same_answer_back(
    adas: APIClient, order: Order, tea: Product, card: str, status: int
) -> None:
    first = pay(adas, order, card, **{"Idempotency-Key": "k1"})
    second = pay(adas, order, card, **{"Idempotency-Key": "k1"})

    assert (first.status_code, second.status_code) == (status, status)
    assert first.json() == second.json()
    assert "Idempotency-Replayed" not in first
    assert second["Idempotency-Replayed"] == "true"
    assert Run.objects.count() == 1


def test_a_replay_of_what_goes_on_is_accepted_again(adas: APIClient, order: Order) -> None:
    first = post(adas, f"orders/{order.pk}/pay-later", PAY, **{"Idempotency-Key": "k1"})
    second = post(adas, f"orders/{order.pk}/pay-later", PAY, **{"Idempotency-Key": "k1"})

    assert second.status_code == 202
    assert second["Location"] == first["Location"]
    assert second["Idempotency-Replayed"] == "true"


def test_the_same_key_with_other_input_is_refused(adas: APIClient, order: Order) -> None:
    pay(adas, order, "good", **{"Idempotency-Key": "k1"})

    response = pay(adas, order, "empty", **{"Idempotency-Key": "k1"})

    assert response.status_code == 422
    assert response.json()["code"] == "idempotency_key_reused"


def test_a_key_is_its_user_s_own(adas: APIClient, clerk: User, order: Order) -> None:
    """S4."""
    key = {"Idempotency-Key": "k1"}
    mine = post(adas, f"orders/{order.pk}/for-everybody", **key).json()["id"]

    response = post(logged_in(clerk), f"orders/{order.pk}/for-everybody", **key)

    assert response.json()["id"] != mine
    assert "Idempotency-Replayed" not in response


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
def test_a_key_that_cannot_be_one_is_refused(adas: APIClient, order: Order, key: str) -> None:
    response = pay(adas, order, **{"Idempotency-Key": key})

    assert response.status_code == 400
    assert response.json()["code"] == "idempotency_key_refused"


def test_an_anonymous_caller_s_key_belongs_to_the_session(api: APIClient, order: Order) -> None:
    """S4."""
    other = APIClient()
    for client in (api, other):
        client.session.save()
    key, path = {"Idempotency-Key": "k1"}, f"open-orders/{order.pk}/for-everybody"

    mine, again, others = post(api, path, **key), post(api, path, **key), post(other, path, **key)

    assert mine.json()["id"] == again.json()["id"] != others.json()["id"]
    assert "Idempotency-Replayed" in again
    assert "Idempotency-Replayed" not in others


@pytest.mark.parametrize("cookie", ["", "0123456789abcdef0123456789abcdef"])
@pytest.mark.parametrize("viewset", ["open-orders", "basic-orders"])
def test_an_anonymous_caller_without_a_session_cannot_use_a_key(
    api: APIClient, order: Order, viewset: str, cookie: str
) -> None:
    """S4: also not with a session that the caller made up."""
    if cookie:
        api.cookies["sessionid"] = cookie

    response = post(api, f"{viewset}/{order.pk}/for-everybody", **{"Idempotency-Key": "k1"})

    assert response.status_code == 400
    assert response.json()["code"] == "idempotency_key_refused"
    assert post(api, f"{viewset}/{order.pk}/for-everybody").status_code == 200


def test_who_may_not_do_it_hears_that_and_not_that_the_key_is_of_no_use(api: APIClient, order: Order) -> None:
    response = post(api, f"basic-orders/{order.pk}/pay", PAY, **{"Idempotency-Key": "k1"})

    assert response.status_code == 401


# --- transactions --------------------------------------------------------------------------------


def test_a_run_commits_by_itself_where_requests_are_transactions(
    adas: APIClient, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections["default"].settings_dict, "ATOMIC_REQUESTS", True)

    response = pay(adas, order, "empty")

    assert response.status_code == 409
    assert Run.objects.get().status == RunStatus.COMPENSATED


def test_only_the_routes_of_actions_and_runs_do_without_the_request_s_transaction() -> None:
    def left_alone(path: str) -> bool:
        return "default" in getattr(resolve(path).func, "_non_atomic_requests", set())

    assert left_alone("/api/orders/1/pay/")
    assert left_alone("/api/orders/count-orders/")
    assert left_alone("/api/runs/x/cancel/")
    assert not left_alone("/api/orders/")
    assert not left_alone("/api/orders/1/")


def test_a_caller_that_insists_on_a_transaction_is_told_why_not(
    adas: APIClient, order: Order, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "flowstate.rest"), transaction.atomic():
        response = pay(adas, order)

    assert response.status_code == 500
    assert response.json() == {"code": "inside_transaction", "detail": "The server could not do this."}
    assert "pay" in caplog.text


def test_every_answer_is_strict_json(adas: APIClient, order: Order) -> None:
    for response in (pay(adas, order), adas.get("/api/runs/")):
        assert json.loads(response.content, parse_constant=pytest.fail)
