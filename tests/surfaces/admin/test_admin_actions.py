"""Starting an action in the admin: the form, what was wrong with it, what became of it, and who may."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from django.utils.html import escape

from flowstate.models import Run, RunStatus
from tests.surfaces.admin.barn import XSS, FeedAdmin
from tests.surfaces.admin.conftest import staff, texts
from tests.zoo.models import Feed


def url(oats: Feed, action: str) -> str:
    return f"/barn/zoo/feed/{oats.pk}/actions/{action}/"


def send(client: Client, oats: Feed, action: str, **form: Any) -> Any:
    return client.post(url(oats, action), form, follow=True)


# --- starting ------------------------------------------------------------------------------------


def test_the_form_shows_the_fields_of_the_serializer(desk: Client, oats: Feed) -> None:
    page = desk.get(url(oats, "refill")).content.decode()

    assert 'name="input-amount"' in page
    assert "In kilograms." in page
    assert 'name="input-note"' in page
    assert 'value="Refill"' in page


def test_an_action_without_input_is_only_asked_about(desk: Client, oats: Feed) -> None:
    page = desk.get(url(oats, "weigh")).content.decode()

    assert 'name="input-' not in page
    assert 'value="Weigh"' in page


def test_sending_the_form_runs_the_action_and_goes_to_its_run(desk: Client, oats: Feed, root: User) -> None:
    response = send(desk, oats, "refill", **{"input-amount": "3"})

    run = Run.objects.get()
    oats.refresh_from_db()
    assert (run.status, run.input, run.requested_by) == (RunStatus.SUCCEEDED, {"amount": 3}, root)
    assert oats.stock == 10
    assert response.redirect_chain == [(f"/barn/flowstate/run/{run.pk}/change/", 302)]
    assert texts(response) == ["Refill succeeded."]


def test_an_action_of_the_collection_runs_without_a_row(desk: Client, db: None) -> None:
    response = desk.post("/barn/zoo/feed/actions/deliver/", {"input-name": "Hay"}, follow=True)

    assert Feed.objects.filter(name="Hay").exists()
    assert texts(response) == ["Deliver succeeded."]


def test_a_failure_is_told_with_its_step_and_that_it_was_undone(desk: Client, oats: Feed) -> None:
    response = send(desk, oats, "overfill")

    oats.refresh_from_db()
    page = response.content.decode()
    assert oats.stock == 7
    assert texts(response) == [
        f"Overfill failed at step close: The bag burst {XSS} What had been done was undone."
    ]
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page


def test_a_run_that_goes_on_says_so(desk: Client, oats: Feed) -> None:
    assert texts(send(desk, oats, "dry")) == ["Dry has begun and goes on in the background."]


def test_what_needs_a_person_says_so(desk: Client, db: None) -> None:
    response = send(desk, Feed.objects.create(name="jammed"), "jam")

    assert texts(response) == ["Jam could not be undone completely: a person must act."]


def test_an_error_nobody_foresaw_is_told_and_recorded(desk: Client, oats: Feed) -> None:
    response = send(desk, oats, "divide")

    assert texts(response) == [
        "Divide failed at step divide: integer division or modulo by zero Nothing was undone."
    ]
    assert "ZeroDivisionError" in response.content.decode()


@pytest.mark.parametrize(
    ("form", "where", "text"),
    [
        ({}, "amount", "This field is required."),
        ({"input-amount": "500"}, "amount", "Ensure this value is less than or equal to 100."),
        ({"input-amount": "many"}, "amount", "A valid integer is required."),
        ({"input-amount": "1", "input-note": "x" * 101}, "note", "no more than 100 characters"),
        ({"input-amount": "1", "input-note": "nonsense"}, "__all__", "That makes no sense."),
    ],
    ids=["missing", "too much", "no number", "too long", "together"],
)
def test_what_is_wrong_with_the_input_stands_beside_its_field(
    desk: Client, oats: Feed, form: dict[str, str], where: str, text: str
) -> None:
    response = send(desk, oats, "refill", **form)

    assert text in response.context["form"].errors[where][0]
    assert not Run.objects.exists()
    for value in form.values():
        assert value in response.content.decode()


def test_a_form_sent_twice_starts_one_run(desk: Client, oats: Feed) -> None:
    key = desk.get(url(oats, "refill")).context["key"]
    form = {"input-amount": "3", "idempotency_key": key}

    send(desk, oats, "refill", **form)
    response = send(desk, oats, "refill", **form)

    assert Run.objects.count() == 1
    assert texts(response) == ["This form was sent before; this is the run it started. Refill succeeded."]


def test_a_form_sent_again_with_other_input_is_refused_with_reasons(desk: Client, oats: Feed) -> None:
    key = str(uuid4())
    send(desk, oats, "refill", **{"input-amount": "3", "idempotency_key": key})

    response = send(desk, oats, "refill", **{"input-amount": "4", "idempotency_key": key})

    assert "was started with other input" in texts(response)[0]
    assert response.context["key"] != key
    assert Run.objects.count() == 1


def test_what_is_running_already_is_linked(desk: Client, oats: Feed, root: User) -> None:
    running = oats.doings["dry"].run(user=root)  # type: ignore[attr-defined]

    response = send(desk, oats, "dry")

    assert Run.objects.count() == 1
    assert "another run holds this row" in texts(response)[0]
    assert f'<a href="/barn/flowstate/run/{running.pk}/change/">' in response.content.decode()


def test_a_refusal_of_the_workflow_is_told_on_the_form(desk: Client, oats: Feed) -> None:
    response = send(desk, oats, "refuse")

    assert texts(response) == ["refuse did not start: its should_run said no."]
    assert not Run.objects.exists()


def test_no_parameter_decides_where_one_is_led(desk: Client, oats: Feed) -> None:
    """S13"""
    elsewhere = {"next": "//evil.example", "redirect": "https://evil.example", "_continue": "//evil.example"}

    response = desk.post(f"{url(oats, 'weigh')}?next=//evil.example", elsewhere)

    assert response.headers["Location"] == f"/barn/flowstate/run/{Run.objects.get().pk}/change/"


def test_no_page_needs_a_script_or_a_style_of_its_own(desk: Client, oats: Feed) -> None:
    send(desk, oats, "overfill")
    run = f"/barn/flowstate/run/{Run.objects.get().pk}/"
    forbidden = re.compile(
        r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:|(?:src|href)=.(?:https?:)?//"
    )

    for path in (
        url(oats, "refill"),
        "/barn/zoo/feed/",
        f"/barn/zoo/feed/{oats.pk}/change/",
        f"{run}change/",
        f"{run}retry/",
        "/barn/flowstate/run/",
    ):
        page = desk.get(path).content.decode().replace(escape(XSS), "")
        assert forbidden.findall(page) == []


# --- who may -------------------------------------------------------------------------------------


def test_the_rules_decide_on_the_page_and_on_sending(
    client: Client, oats: Feed, dump: Callable[[], Any]
) -> None:
    client.force_login(staff("onlooker", "zoo.view_feed"))
    before = dump()

    for action in ("refill", "burn"):
        assert client.get(url(oats, action)).status_code == 403
        assert client.post(url(oats, action), {"input-amount": "1"}).status_code == 403
    assert client.post("/barn/zoo/feed/actions/deliver/", {"input-name": "Hay"}).status_code == 403
    assert dump() == before


def test_rules_alone_are_not_enough_without_seeing_the_row(client: Client, oats: Feed, guest: User) -> None:
    client.force_login(guest)

    for path in (url(oats, "weigh"), "/barn/zoo/feed/actions/deliver/"):
        assert client.get(path).status_code == 403
        assert client.post(path).status_code == 403


def test_a_row_that_the_admin_hides_has_no_actions(
    desk: Client, oats: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FeedAdmin, "get_queryset", lambda self, request: Feed.objects.none())

    assert desk.post(url(oats, "weigh")).status_code == 404


@pytest.mark.parametrize(
    "path",
    ["1/actions/nonsense/", "999/actions/weigh/", "actions/weigh/", "1/actions/deliver/", "x/actions/weigh/"],
)
def test_what_is_not_there_is_not_found(desk: Client, db: None, path: str) -> None:
    Feed.objects.create(pk=1, name="Oats")

    assert desk.get(f"/barn/zoo/feed/{path}").status_code == 404
    assert desk.post(f"/barn/zoo/feed/{path}").status_code == 404


def test_getting_the_forms_changes_nothing(desk: Client, oats: Feed, dump: Callable[[], Any]) -> None:
    """S7"""
    before = dump()

    for action in ("refill", "overfill", "weigh"):
        desk.get(url(oats, action), {"input-amount": "3"})
        assert desk.put(url(oats, action)).status_code == 405
    desk.get("/barn/zoo/feed/actions/deliver/?input-name=Hay")

    assert dump() == before


def test_a_form_from_elsewhere_is_refused(oats: Feed, root: User, dump: Callable[[], Any]) -> None:
    """S7"""
    client = Client(enforce_csrf_checks=True)
    client.force_login(root)
    before = dump()

    assert client.post(url(oats, "weigh")).status_code == 403
    assert dump() == before


@pytest.mark.django_db(transaction=True)
def test_external_steps_run_although_requests_are_atomic(
    desk: Client, oats: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)

    response = send(desk, oats, "divide")

    assert Run.objects.get().status == RunStatus.FAILED
    assert "failed at step divide" in texts(response)[0]
