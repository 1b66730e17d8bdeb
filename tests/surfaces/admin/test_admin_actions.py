"""A model's own admin: buttons for what one may do, the form, what became of it, this row's runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from pytest_django import DjangoAssertNumQueries, Settings

from django.contrib.auth.models import User
from django.db import connections
from django.test import Client

from flowstate.models import Run, RunStatus
from tests.surfaces.admin.barn import XSS, FeedAdmin, site
from tests.surfaces.admin.conftest import MakeRun, staff, texts
from tests.zoo.models import Bird, Feed


def url(oats: Feed, action: str) -> str:
    return f"/barn/zoo/feed/{oats.pk}/actions/{action}/"


def row_page(client: Client, oats: Feed) -> Any:
    return client.get(f"/barn/zoo/feed/{oats.pk}/change/")


def buttons(response: Any) -> list[str]:
    return [button["label"] for button in response.context["flowstate_buttons"]]


def send(client: Client, oats: Feed, action: str, **form: Any) -> Any:
    return client.post(url(oats, action), form, follow=True)


# --- buttons -------------------------------------------------------------------------------------


def test_a_row_has_buttons_for_what_this_user_may_do_with_it(
    client: Client, oats: Feed, keeper: User
) -> None:
    onlooker, seen = staff("onlooker", "zoo.view_feed"), {}

    for user in (keeper, onlooker):
        client.force_login(user)
        seen[user.username] = buttons(row_page(client, oats))

    assert seen == {
        "keeper": ["Refill", "Overfill", "Jam", "Dry", "Divide", "Refuse", "Weigh"],
        "onlooker": ["Weigh"],
    }


def test_a_button_leads_to_its_page_and_says_what_it_does(desk: Client, oats: Feed) -> None:
    page = row_page(desk, oats).content.decode()

    assert f'href="{url(oats, "overfill")}" title="More than fits">Overfill</a>' in page
    assert 'title="Put something into the bin."' in page


def test_the_list_has_buttons_for_the_actions_of_the_collection(
    client: Client, oats: Feed, keeper: User
) -> None:
    onlooker, seen = staff("onlooker", "zoo.view_feed"), {}

    for user in (keeper, onlooker):
        client.force_login(user)
        seen[user.username] = buttons(client.get("/barn/zoo/feed/"))

    assert seen == {"keeper": ["Deliver"], "onlooker": []}


def test_the_pages_keep_the_buttons_and_fields_they_had(desk: Client, oats: Feed) -> None:
    page = row_page(desk, oats).content.decode()
    listing = desk.get("/barn/zoo/feed/").content.decode()
    adding = desk.get("/barn/zoo/feed/add/")

    assert 'class="historylink"' in page
    assert 'name="_save"' in page
    assert 'class="addlink"' in listing
    assert "flowstate_buttons" not in adding.context


def test_a_template_of_the_project_is_kept_around(
    desk: Client, oats: Feed, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    own = '{% extends "admin/change_form.html" %}{% block content %}OWN {{ block.super }}{% endblock %}'
    loaders = [
        ("django.template.loaders.locmem.Loader", {"own.html": own}),
        "django.template.loaders.app_directories.Loader",
    ]
    [engine] = settings.TEMPLATES
    settings.TEMPLATES = [{**engine, "APP_DIRS": False, "OPTIONS": {**engine["OPTIONS"], "loaders": loaders}}]
    monkeypatch.setattr(FeedAdmin, "change_form_template", "own.html", raising=False)

    page = row_page(desk, oats).content.decode()

    assert "OWN" in page
    assert url(oats, "refill") in page


def test_deleting_the_selected_still_asks_first(desk: Client, oats: Feed) -> None:
    page = desk.post("/barn/zoo/feed/", {"action": "delete_selected", "_selected_action": [oats.pk]})

    assert "Are you sure" in page.content.decode()


def test_a_popup_has_neither_buttons_nor_runs(desk: Client, oats: Feed) -> None:
    page = desk.get(f"/barn/zoo/feed/{oats.pk}/change/?_popup=1").content.decode()

    assert "flowstate" not in page


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

    assert client.get(url(oats, "weigh")).status_code == 403
    assert client.post(url(oats, "weigh")).status_code == 403


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


# --- this row's runs -----------------------------------------------------------------------------


def test_a_row_lists_its_latest_runs_and_no_others(desk: Client, make_run: MakeRun, oats: Feed) -> None:
    mine = [make_run(on=oats) for _ in range(12)]
    make_run(on=Feed.objects.create(name="Hay"))

    response = row_page(desk, oats)

    assert [line["run"] for line in response.context["flowstate_runs"]] == mine[:1:-1]
    every = response.context["flowstate_runs_url"]
    assert list(desk.get(every).context["cl"].queryset) == mine[::-1]


def test_a_row_without_runs_says_so(desk: Client, oats: Feed) -> None:
    assert "No action has been run on this row." in row_page(desk, oats).content.decode()


def test_a_child_lists_the_runs_of_its_parents_actions(desk: Client, make_run: MakeRun) -> None:
    bird = Bird.objects.create(name="Tit")
    run = make_run(on=bird)

    response = desk.get(f"/barn/zoo/bird/{bird.pk}/change/")

    assert [line["run"] for line in response.context["flowstate_runs"]] == [run]


def test_a_page_of_a_row_takes_two_queries_more_than_without_runs(
    desk: Client, make_run: MakeRun, oats: Feed, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(10):
        make_run(on=oats, steps={"add": {}, "close": {}})
    row_page(desk, oats)

    with django_assert_num_queries(5):  # session, user, row, runs, steps
        row_page(desk, oats)


def test_the_mixin_works_on_a_site_that_has_no_pages_for_runs(
    desk: Client, oats: Feed, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(on=oats)
    registry: dict[Any, Any] = site._registry
    monkeypatch.delitem(registry, Run)

    page = row_page(desk, oats)
    response = send(desk, oats, "weigh")

    assert "All runs of this row" not in page.content.decode()
    assert response.redirect_chain == [(f"/barn/zoo/feed/{oats.pk}/change/", 302)]
