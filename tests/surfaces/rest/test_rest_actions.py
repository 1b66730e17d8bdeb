"""Who may start an action over HTTP, with which input, and what is answered to everybody else."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from django.contrib.auth.models import User
from rest_framework.test import APIClient

from example_shop.models import Order, Product
from flowstate.models import Run
from tests.surfaces.rest.conftest import PASSWORD, logged_in, permission

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.surfaces.rest.urls")]

PAY = {"card": "good", "quantity": 2}


def post(client: APIClient, path: str, data: Any = None, **headers: Any) -> Any:
    return client.post(f"/api/{path}/", {} if data is None else data, format="json", headers=headers)


def test_a_detail_action_runs_on_the_row_of_the_url(adas: APIClient, order: Order) -> None:
    """P37."""
    response = post(adas, f"orders/{order.pk}/pay", PAY)

    assert response.status_code == 200
    body = response.json()
    assert (body["status"], body["success"], body["progress"]) == ("succeeded", True, 100)
    assert body["action"] == "shop.order.pay"
    assert body["entity"] == {"model": "shop.order", "pk": str(order.pk)}
    assert body["requested_by"] == "ada"
    order.refresh_from_db()
    assert order.status == Order.Status.PAID
    assert str(Run.objects.get().pk) == body["id"]


@pytest.mark.parametrize("name", ["pay", "forgotten", "staff-only"])
def test_a_row_that_is_not_there_is_not_found_rules_or_not(adas: APIClient, name: str) -> None:
    """P38."""
    response = post(adas, f"orders/4711/{name}", PAY)

    assert response.status_code == 404
    assert response.json()["code"] == "not_found"
    assert not Run.objects.exists()


@pytest.mark.parametrize("key", ["x", "0x1", "99999999999999999999999999", "%00"])
def test_a_key_that_cannot_be_one_is_not_found(adas: APIClient, key: str) -> None:
    assert post(adas, f"orders/{key}/pay", PAY).status_code == 404


@pytest.mark.parametrize("quantity", [0, "many", None, 1.5, [], {}])
def test_input_that_does_not_fit_is_refused_with_the_field_named(
    adas: APIClient, order: Order, quantity: object
) -> None:
    """P39."""
    response = post(adas, f"orders/{order.pk}/pay", {"card": "good", "quantity": quantity})

    assert response.status_code == 400
    body = response.json()
    assert body["code"] == "invalid_input"
    assert list(body["errors"]) == ["quantity"]
    assert "quantity" in body["detail"]
    assert not Run.objects.exists()


def test_missing_input_is_refused_with_every_field_named(adas: APIClient, order: Order) -> None:
    """P39."""
    response = post(adas, f"orders/{order.pk}/pay")

    assert response.status_code == 400
    assert set(response.json()["errors"]) == {"card", "quantity"}
    assert not Run.objects.exists()


@pytest.mark.parametrize("name", ["status", "customer_id", "pk", "is_staff", "_connector", "total__gte"])
def test_a_field_that_is_not_declared_is_refused(adas: APIClient, order: Order, name: str) -> None:
    """S9."""
    response = post(adas, f"orders/{order.pk}/pay", {**PAY, name: "1"})

    assert response.status_code == 400
    assert list(response.json()["errors"]) == [name]
    assert not Run.objects.exists()


def test_an_action_without_input_takes_none(adas: APIClient, order: Order) -> None:
    response = post(adas, f"orders/{order.pk}/for-everybody", {"total": "0"})

    assert response.status_code == 400
    assert list(response.json()["errors"]) == ["total"]


@pytest.mark.parametrize("data", ["[]", "null", '"text"', "1", "true", '[{"card": "good", "quantity": 2}]'])
def test_input_that_is_no_object_is_refused(adas: APIClient, order: Order, data: str) -> None:
    response = adas.post(f"/api/orders/{order.pk}/pay/", data, content_type="application/json")

    assert response.status_code == 400
    assert response.json()["code"] == "invalid_input"
    assert not Run.objects.exists()


def test_broken_json_is_answered_in_the_same_form(adas: APIClient, order: Order) -> None:
    response = adas.post(f"/api/orders/{order.pk}/pay/", "{", content_type="application/json")

    assert response.status_code == 400
    assert response.json()["code"] == "parse_error"


def test_an_empty_body_is_no_input(adas: APIClient, order: Order) -> None:
    response = adas.post(f"/api/orders/{order.pk}/for-everybody/", content_type="application/json")

    assert response.status_code == 200


def test_a_form_may_be_posted_too(adas: APIClient, order: Order, tea: Product) -> None:
    form = {**PAY, "csrfmiddlewaretoken": "token"}

    response = adas.post(f"/api/orders/{order.pk}/pay/", form, format="multipart")

    assert response.status_code == 200
    tea.refresh_from_db()
    assert tea.stock == 8


@pytest.mark.parametrize(
    ("who", "session", "basic"), [("nobody", 403, 401), ("bob", 403, 403), ("ada", 200, 200)]
)
def test_only_the_owner_passes_the_rule(
    who: str, session: int, basic: int, order: Order, ada: User, bob: User
) -> None:
    """P40."""
    by_session, by_password = APIClient(), APIClient()
    if who != "nobody":
        by_session.force_login({"ada": ada, "bob": bob}[who])
        credentials = base64.b64encode(f"{who}:{PASSWORD}".encode()).decode()
        by_password.credentials(HTTP_AUTHORIZATION=f"Basic {credentials}")

    first = post(by_session, f"open-orders/{order.pk}/pay", PAY)
    second = post(by_password, f"basic-orders/{order.pk}/pay", PAY)

    assert (first.status_code, second.status_code) == (session, basic)
    assert Run.objects.count() == (2 if who == "ada" else 0)
    if who == "nobody":
        assert second["WWW-Authenticate"].startswith("Basic")
        assert second.json()["code"] == "not_authenticated"
    if who == "bob":
        assert first.json() == {
            "code": "permission_denied",
            "detail": "You do not have permission to perform this action.",
        }


OUTSIDER = dict.fromkeys(("pay", "forgotten", "staff-only", "by-permission", "for-everybody"), 404)


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ("nobody", OUTSIDER),
        ("bob", OUTSIDER),
        (
            "ada",
            {"pay": 200, "forgotten": 403, "staff-only": 403, "by-permission": 403, "for-everybody": 200},
        ),
        (
            "clerk",
            {"pay": 403, "forgotten": 403, "staff-only": 200, "by-permission": 403, "for-everybody": 200},
        ),
        (
            "editor",
            {"pay": 403, "forgotten": 403, "staff-only": 403, "by-permission": 200, "for-everybody": 200},
        ),
        (
            "root",
            {"pay": 403, "forgotten": 403, "staff-only": 200, "by-permission": 200, "for-everybody": 200},
        ),
        ("left", OUTSIDER),
    ],
)
def test_who_may_not_see_the_row_gets_404_and_who_may_not_do_it_403(
    who: str, expected: dict[str, int], order: Order, request: pytest.FixtureRequest
) -> None:
    """S1."""
    client = APIClient()
    match who:
        case "nobody":
            pass
        case "editor":
            user = User.objects.create_user("editor")
            user.user_permissions.add(permission("shop", "view_order"), permission("shop", "change_order"))
            client.force_login(user)
        case "root":
            client.force_login(User.objects.create_superuser("root"))
        case "left":
            client.force_authenticate(User.objects.create_user("left", is_active=False))
        case _:
            client.force_login(request.getfixturevalue(who))

    statuses = {
        name: post(client, f"orders/{order.pk}/{name}", PAY if name == "pay" else None).status_code
        for name in expected
    }

    assert statuses == expected
    assert Run.objects.count() == list(expected.values()).count(200)


def test_the_permissions_of_the_viewset_come_before_the_rules(adas: APIClient, order: Order) -> None:
    """S1."""
    order.customer.name = "Locked"
    order.customer.save()

    assert post(adas, f"orders/{order.pk}/pay", PAY).status_code == 403
    assert not Run.objects.exists()


def test_who_may_not_do_it_is_not_told_what_the_input_lacks(order: Order, bob: User) -> None:
    response = post(logged_in(bob), f"open-orders/{order.pk}/pay", {"unknown": 1})

    assert response.status_code == 403


def test_a_collection_action_works_on_no_row(adas: APIClient, order: Order) -> None:
    response = post(adas, "orders/count-orders")

    assert response.status_code == 200
    assert (response.json()["value"], response.json()["entity"]) == (1, None)


def test_the_rules_of_a_collection_action_are_asked(adas: APIClient, clerk: User) -> None:
    assert post(adas, "orders/import-orders").status_code == 403
    assert post(logged_in(clerk), "orders/import-orders").status_code == 200


def test_underscores_are_dashes_in_the_url(adas: APIClient, order: Order) -> None:
    assert post(adas, f"orders/{order.pk}/pay_later", PAY).status_code == 404
    assert post(adas, f"orders/{order.pk}/pay-later", PAY).status_code == 202


def test_an_action_may_have_a_path_and_methods_of_its_own(adas: APIClient, order: Order) -> None:
    url = f"/api/orders/{order.pk}/for-everybody/"

    assert adas.put(url, {}, format="json").status_code == 200
    assert adas.get(url).status_code == 405
    assert adas.get(url).json()["code"] == "method_not_allowed"
    assert post(adas, f"orders/{order.pk}/for-all").status_code == 404


@pytest.mark.parametrize("name", ["pay", "pay-later", "staff-only"])
def test_reading_the_url_of_an_action_does_nothing(adas: APIClient, order: Order, name: str) -> None:
    """S7."""
    assert adas.get(f"/api/orders/{order.pk}/{name}/").status_code == 405
    assert adas.head(f"/api/orders/{order.pk}/{name}/").status_code == 405
    assert adas.options(f"/api/orders/{order.pk}/{name}/").status_code == 200
    assert not Run.objects.exists()


def test_an_action_by_get_takes_its_input_from_the_query(adas: APIClient, order: Order) -> None:
    """A3."""
    url = f"/api/orders/{order.pk}/read-total/"

    assert adas.get(url).json()["value"] == "17.80"
    assert adas.get(url, {"format": "json"}).status_code == 200
    assert adas.get(url, {"unknown": "1"}).status_code == 400


def test_a_session_needs_the_csrf_token(ada: User, order: Order) -> None:
    """S7."""
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(ada)

    response = post(client, f"orders/{order.pk}/pay", PAY)

    assert response.status_code == 403
    assert "CSRF" in response.json()["detail"]
    assert not Run.objects.exists()


def test_the_options_of_an_action_describe_its_input(adas: APIClient, order: Order) -> None:
    """A8."""
    body = adas.options(f"/api/orders/{order.pk}/pay/").json()

    assert body["description"] == "Pay for an order"
    assert set(body["actions"]["POST"]) == {"card", "quantity"}


def test_the_browsable_api_shows_the_form_of_the_action(adas: APIClient, order: Order) -> None:
    page = adas.get(f"/api/orders/{order.pk}/pay/", headers={"accept": "text/html"})

    assert page.status_code == 405
    assert 'name="card"' in page.content.decode()


@pytest.mark.parametrize(("data", "status"), [(PAY, 200), ({**PAY, "card": "empty"}, 409), ({}, 400)])
def test_the_browsable_api_shows_every_answer(
    adas: APIClient, order: Order, data: dict[str, object], status: int
) -> None:
    url = f"/api/orders/{order.pk}/pay/"

    page = adas.post(url, data, format="json", headers={"accept": "text/html"})

    assert page.status_code == status
    assert page["Content-Type"].startswith("text/html")


def test_the_rest_of_the_viewset_is_as_it_was(adas: APIClient, order: Order) -> None:
    assert adas.get("/api/orders/").json()[0]["id"] == order.pk
    assert adas.get(f"/api/orders/{order.pk}/").json()["status"] == "open"
    assert (
        adas.patch(f"/api/orders/{order.pk}/", {"lines": []}, format="json").json()["code"] == "invalid_input"
    )
