"""Runs over HTTP: who sees which, how many queries that takes, and who may cancel and retry them."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from pytest_django import DjangoAssertNumQueries

from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from example_shop.models import Order
from flowstate.models import Run, RunStatus, StepRun
from tests.surfaces.rest.conftest import logged_in, permission
from tests.surfaces.rest.test_rest_actions import PAY, post

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.surfaces.rest.urls")]


def start(client: APIClient, order: Order, name: str = "pay-later") -> str:
    run_id: str = post(client, f"orders/{order.pk}/{name}", PAY if "pay" in name else None).json()["id"]
    return run_id


def ids(response: Any) -> list[str]:
    return [run["id"] for run in response.json()["results"]]


@pytest.fixture
def run_id(adas: APIClient, order: Order) -> str:
    """A live run of ada's, the charge of which is left to a worker."""
    return start(adas, order)


@pytest.fixture
def broken(adas: APIClient, order: Order) -> str:
    """A run of ada's that needs a person."""
    run_id: str = post(adas, f"orders/{order.pk}/stick").json()["run"]
    return run_id


# --- who sees what -------------------------------------------------------------------------------


def test_a_run_is_seen_by_who_asked_for_it(adas: APIClient, run_id: str) -> None:
    assert ids(adas.get("/api/runs/")) == [run_id]
    assert adas.get(f"/api/runs/{run_id}/").status_code == 200


def test_a_run_is_seen_by_who_may_view_its_rows_or_all_runs(clerk: User, operator: User, run_id: str) -> None:
    for user in (clerk, operator):
        assert ids(logged_in(user).get("/api/runs/")) == [run_id]
        assert logged_in(user).get(f"/api/runs/{run_id}/").status_code == 200


def test_everybody_else_finds_nothing_whatever_they_ask(api: APIClient, bob: User, run_id: str) -> None:
    """S3."""
    for client in (api, logged_in(bob)):
        assert ids(client.get("/api/runs/")) == []
        assert ids(client.get("/api/runs/", {"action": "shop.order.pay_later", "status": "running"})) == []
        assert client.get(f"/api/runs/{run_id}/").status_code == 404
        assert post(client, f"runs/{run_id}/cancel").status_code == 404
        assert post(client, f"runs/{run_id}/retry").status_code == 404
        assert client.get(f"/api/runs/{run_id}/diagram/").status_code == 404
        assert client.get(f"/api/runs/{run_id}/").json() == client.get(f"/api/runs/{uuid4()}/").json()
    assert Run.objects.get().status == RunStatus.RUNNING


@pytest.mark.parametrize("run_id", ["1", "x", "%00", "00000000-0000-0000-0000-000000000000"])
def test_a_run_that_is_not_there_is_not_found(adas: APIClient, run_id: str) -> None:
    response = adas.get(f"/api/runs/{run_id}/")

    assert response.status_code == 404
    assert response.json()["code"] == "not_found"


def test_the_diagram_of_a_run_is_sent_as_json_or_bare(adas: APIClient, run_id: str) -> None:
    drawn = Run.objects.get(pk=run_id).to_mermaid()

    as_json = adas.get(f"/api/runs/{run_id}/diagram/")
    bare = adas.get(f"/api/runs/{run_id}/diagram/", headers={"accept": "text/vnd.mermaid"})

    assert drawn.startswith("flowchart TD\n")
    assert as_json.json() == {"mermaid": drawn}
    assert bare.headers["content-type"] == "text/vnd.mermaid; charset=utf-8"
    assert bare.content.decode() == drawn
    assert adas.get(f"/api/runs/{run_id}/diagram/?format=mermaid").content == bare.content


def test_who_asks_for_a_bare_diagram_and_may_not_see_it_is_told_in_a_comment(
    api: APIClient, run_id: str
) -> None:
    response = api.get(f"/api/runs/{run_id}/diagram/?format=mermaid")

    assert response.status_code == 404
    assert response.content.decode() == "%% No Run matches the given query.\n"


def test_a_diagram_takes_as_many_queries_as_the_run(adas: APIClient, run_id: str) -> None:
    with CaptureQueriesContext(connection) as of_run:
        adas.get(f"/api/runs/{run_id}/")
    with CaptureQueriesContext(connection) as of_diagram:
        adas.get(f"/api/runs/{run_id}/diagram/")

    assert len(of_diagram) == len(of_run)


def test_runs_are_not_written_but_by_their_verbs(adas: APIClient, run_id: str) -> None:
    """S7."""
    url = f"/api/runs/{run_id}/"

    assert adas.post("/api/runs/", {}, format="json").status_code == 405
    for method in (adas.put, adas.patch, adas.delete):
        assert method(url, {}, format="json").status_code == 405
    for verb in ("cancel", "retry"):
        assert adas.get(f"{url}{verb}/").status_code == 405
    assert Run.objects.get().status == RunStatus.RUNNING


# --- what is shown -------------------------------------------------------------------------------


def test_the_detail_tells_the_story_of_each_step(adas: APIClient, order: Order) -> None:
    run_id = post(adas, f"orders/{order.pk}/pay", {**PAY, "card": "empty"}).json()["run"]

    body = adas.get(f"/api/runs/{run_id}/").json()

    assert (body["status"], body["finished"], body["success"]) == ("compensated", True, False)
    assert body["error"] == {"code": "out_of_stock", "detail": "There is not enough in stock."}
    assert (body["failed_step"], body["compensated_steps"]) == ("charge", ["reserve"])
    told = [(step["name"], step["status"], step["compensation"], step["attempts"]) for step in body["steps"]]
    assert told == [
        ("reserve", "done", "done", 1),
        ("charge", "failed", "none", 1),
        ("mark_paid", "cancelled", "pending", 0),
    ]
    assert body["steps"][1]["error"] == {"code": "out_of_stock", "detail": "There is not enough in stock."}
    assert body["steps"][2]["depends_on"] == ["charge"]


def test_what_is_only_for_the_engine_is_not_shown(operator: User, adas: APIClient, order: Order) -> None:
    run_id = post(adas, f"orders/{order.pk}/pay", {**PAY, "card": "bug"}).json()["run"]
    run = Run.objects.get()

    body = logged_in(operator).get(f"/api/runs/{run_id}/").json()

    hidden = {"undo", "key", "celery_task_id", "traceback", "idempotency_key", "input_hash", "exclusive_key"}
    assert not hidden & set(body)
    assert not any(hidden & set(step) for step in body["steps"])
    assert set(body["error"]) == {"code", "detail"}
    assert "hunter2" in run.traceback


def test_a_row_of_the_journal_that_was_tampered_with_is_shown_as_it_is(adas: APIClient, run_id: str) -> None:
    """S15."""
    odd = {"$pickle": "gASVCg=="}
    StepRun.objects.filter(run_id=run_id).update(result_json=odd)
    Run.objects.filter(pk=run_id).update(error={"code": None, "class": "os.system", "detail": "id"})

    body = adas.get(f"/api/runs/{run_id}/").json()

    assert body["steps"][0]["result"] == odd
    assert body["error"]["code"] == "step_failed"


def test_a_run_of_an_action_that_the_code_no_longer_has_is_shown(adas: APIClient, order: Order) -> None:
    run_id = start(adas, order, "pay")
    Run.objects.update(action="shop.order.gone", workflow="gone.Workflow")

    body = adas.get(f"/api/runs/{run_id}/").json()

    assert (body["action"], body["value"]["amount"]) == ("shop.order.gone", "17.80")


# --- lists ---------------------------------------------------------------------------------------


@pytest.fixture
def many(ada: User, order: Order) -> list[str]:
    """Fifty-three runs of ada's with their steps, newest first."""
    client = logged_in(ada)
    first = Run.objects.get(pk=post(client, f"orders/{order.pk}/pay", PAY).json()["id"])
    made = [str(first.pk)]
    steps = list(StepRun.objects.filter(run=first))
    for _number in range(52):
        run = Run.objects.get(pk=first.pk)
        run.pk = Run._meta.pk.get_default()
        run.save(force_insert=True)
        for step in steps:
            step.pk, step.run = None, run
        StepRun.objects.bulk_create(steps)
        made.append(str(run.pk))
    return made[::-1]


def test_a_list_of_fifty_takes_as_many_queries_as_a_list_of_one(
    ada: User, many: list[str], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    client = logged_in(ada)
    client.get("/api/runs/")  # content types are read once for each process

    with CaptureQueriesContext(connection) as one:
        assert len(ids(client.get("/api/runs/", {"page_size": 1}))) == 1
    with django_assert_num_queries(len(one)):
        assert len(ids(client.get("/api/runs/"))) == 50


def test_a_list_of_runs_takes_six_queries(
    ada: User, many: list[str], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    client = logged_in(ada)
    client.get("/api/runs/")

    with django_assert_num_queries(6):  # session, user, permissions twice, runs, steps
        client.get("/api/runs/")


def test_a_detail_takes_as_many_queries_as_the_list(
    ada: User, many: list[str], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    client = logged_in(ada)
    client.get("/api/runs/")

    with django_assert_num_queries(6):
        client.get(f"/api/runs/{many[0]}/")


def test_pages_go_on_where_the_last_one_ended(adas: APIClient, many: list[str]) -> None:
    first = adas.get("/api/runs/")
    second = adas.get(first.json()["next"])

    assert ids(first) + ids(second) == many
    assert first.json()["previous"] is None
    assert second.json()["next"] is None


def test_new_runs_do_not_move_the_pages(adas: APIClient, order: Order, many: list[str]) -> None:
    following = adas.get("/api/runs/", {"page_size": 10}).json()["next"]
    start(adas, order)

    assert ids(adas.get(following)) == many[10:20]


@pytest.mark.parametrize("cursor", ["cD14", "cD0wMDA", "bz14JnA9MQ==", "gICA", "cD0lMDA=", "cj0xJnA9YWJj"])
def test_a_cursor_that_was_not_made_here_is_not_found(adas: APIClient, run_id: str, cursor: str) -> None:
    response = adas.get("/api/runs/", {"cursor": cursor})

    assert response.status_code == 404
    assert response.json()["code"] == "not_found"


def test_a_list_is_narrowed_by_status_action_and_workflow(adas: APIClient, order: Order) -> None:
    done, live = start(adas, order, "pay"), start(adas, order)

    def found(**query: str) -> list[str]:
        return ids(adas.get("/api/runs/", query))

    assert found() == [live, done]
    assert found(status="succeeded") == [done]
    assert found(action="shop.order.pay_later") == [live]
    assert found(workflow="tests.surfaces.rest.workflows.Pay") == [done]
    assert found(status="running", action="shop.order.pay") == []
    assert found(status="", action="") == [live, done]


@pytest.mark.parametrize("query", [{"status": "unheard-of"}, {"action": "a\x00b"}, {"workflow": "x" * 256}])
def test_a_filter_that_cannot_be_is_refused(adas: APIClient, run_id: str, query: dict[str, str]) -> None:
    response = adas.get("/api/runs/", query)

    assert response.status_code == 400
    assert response.json()["code"] == "invalid_input"
    assert list(response.json()["errors"]) == list(query)


@pytest.mark.parametrize("query", ["requested_by__password__startswith=m", "_connector=OR", "run=1"])
def test_no_other_parameter_reaches_the_database(adas: APIClient, run_id: str, query: str) -> None:
    """S3, S10."""
    assert ids(adas.get(f"/api/runs/?{query}")) == [run_id]


# --- cancel and retry ----------------------------------------------------------------------------


def test_who_asked_for_a_run_may_cancel_it(adas: APIClient, run_id: str, order: Order) -> None:
    response = post(adas, f"runs/{run_id}/cancel", {"reason": "changed my mind"})

    assert response.status_code == 200
    assert response.json()["status"] == "cancelled"
    assert response.json()["compensated_steps"] == ["note"]
    order.refresh_from_db()
    assert order.status == Order.Status.OPEN
    assert Run.objects.get().cancelled_by_label == "ada"


def test_who_may_only_look_may_not_cancel(clerk: User, run_id: str) -> None:
    """S3."""
    for verb in ("cancel", "retry"):
        response = post(logged_in(clerk), f"runs/{run_id}/{verb}")

        assert response.status_code == 403
        assert response.json()["code"] == "permission_denied"
    assert Run.objects.get().status == RunStatus.RUNNING


def test_who_may_operate_runs_may_cancel_those_of_others(operator: User, run_id: str) -> None:
    assert post(logged_in(operator), f"runs/{run_id}/cancel").status_code == 200
    assert Run.objects.get().cancelled_by_label == "operator"


def test_who_may_operate_but_not_see_finds_nothing(bob: User, run_id: str) -> None:
    bob.user_permissions.add(permission("flowstate", "operate_run"))

    assert post(logged_in(bob), f"runs/{run_id}/cancel").status_code == 404


def test_a_run_that_has_ended_cannot_be_cancelled(adas: APIClient, order: Order) -> None:
    run_id = start(adas, order, "pay")

    response = post(adas, f"runs/{run_id}/cancel")

    assert response.status_code == 409
    assert response.json()["code"] == "run_conflict"


@pytest.mark.parametrize(
    "data", [{"reason": "x" * 501}, {"reason": None}, {"reson": "typo"}, {"reason": "\x00"}]
)
def test_a_cancel_with_input_that_does_not_fit_changes_nothing(
    adas: APIClient, run_id: str, data: dict[str, object]
) -> None:
    response = post(adas, f"runs/{run_id}/cancel", data)

    assert response.status_code == 400
    assert list(response.json()["errors"]) == list(data)
    assert Run.objects.get().status == RunStatus.RUNNING


def test_a_run_can_be_cancelled_by_a_form(adas: APIClient, run_id: str) -> None:
    options = adas.options(f"/api/runs/{run_id}/cancel/").json()
    response = adas.post(f"/api/runs/{run_id}/cancel/", {"reason": "", "csrfmiddlewaretoken": "token"})

    assert list(options["actions"]["POST"]) == ["reason"]
    assert response.status_code == 200


def test_cancelling_needs_the_csrf_token(ada: User, run_id: str) -> None:
    """S7."""
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(ada)

    assert post(client, f"runs/{run_id}/cancel").status_code == 403
    assert Run.objects.get().status == RunStatus.RUNNING


def test_a_run_that_failed_is_retried_as_a_new_one(adas: APIClient, order: Order) -> None:
    old = post(adas, f"orders/{order.pk}/pay", {**PAY, "card": "empty"}).json()["run"]

    response = post(adas, f"runs/{old}/retry")

    new = Run.objects.exclude(pk=old).get()
    assert str(new.retry_of_id) == old
    assert response["Location"] == f"http://testserver/api/runs/{new.pk}/"
    assert adas.get(response["Location"]).json()["retry_of"] == old


def test_the_failed_undoing_of_a_run_is_retried_in_place(adas: APIClient, order: Order, broken: str) -> None:
    Order.objects.update(total="1.00")  # which lets the compensation succeed

    response = post(adas, f"runs/{broken}/retry")

    assert response["Location"] == f"http://testserver/api/runs/{broken}/"
    assert (response.status_code, response.json()["status"]) == (200, "compensated")
    assert Run.objects.count() == 1


def test_an_undoing_that_fails_again_still_needs_a_person(adas: APIClient, broken: str) -> None:
    response = post(adas, f"runs/{broken}/retry")

    assert response.status_code == 500
    assert response.json()["code"] == "needs_attention"


def test_a_run_that_ended_well_cannot_be_retried(adas: APIClient, order: Order) -> None:
    response = post(adas, f"runs/{start(adas, order, 'pay')}/retry")

    assert response.status_code == 409
    assert response.json()["code"] == "run_conflict"


def test_a_retry_takes_no_input(adas: APIClient, broken: str) -> None:
    assert post(adas, f"runs/{broken}/retry", {"from": "charge"}).status_code == 400
