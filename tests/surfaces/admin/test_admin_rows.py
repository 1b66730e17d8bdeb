"""A model's own pages: buttons for what one may do with the row or the collection, and the row's runs."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries, Settings

from django.contrib.admin import ModelAdmin
from django.contrib.auth.models import User
from django.test import Client

from flowstate.admin import ActionsAdminMixin
from flowstate.exceptions import DeclarationInvalid
from flowstate.models import Run
from tests.surfaces.admin.barn import FeedAdmin, site
from tests.surfaces.admin.conftest import MakeRun, staff
from tests.zoo.models import Bird, Feed


def url(oats: Feed, action: str) -> str:
    return f"/barn/zoo/feed/{oats.pk}/actions/{action}/"


def row_page(client: Client, oats: Feed) -> Any:
    return client.get(f"/barn/zoo/feed/{oats.pk}/change/")


def buttons(response: Any) -> list[str]:
    return [button.label for button in response.context["flowstate_buttons"]]


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
        "keeper": ["Refill", "Overfill", "Jam", "Rename", "Dry", "Divide", "Refuse", "Weigh"],
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


def test_the_list_in_a_popup_has_no_buttons(desk: Client, db: None) -> None:
    assert buttons(desk.get("/barn/zoo/feed/?_popup=1")) == []


def test_the_mixin_behind_the_admin_class_is_refused() -> None:
    with pytest.raises(DeclarationInvalid, match="LateAdmin must name ActionsAdminMixin before ModelAdmin"):
        type("LateAdmin", (ModelAdmin, ActionsAdminMixin), {})


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


def test_a_child_offers_the_actions_of_its_parent_and_lists_their_runs(desk: Client) -> None:
    bird = Bird.objects.create(name="Tit")
    page = f"/barn/zoo/bird/{bird.pk}/"

    desk.post(f"{page}actions/pet/")
    response = desk.get(f"{page}change/")

    run = Run.objects.get()
    assert (run.action, run.object_id) == ("zoo.animal.pet", str(bird.animal_ptr_id))
    assert buttons(response) == ["Pet"]
    assert [line["run"] for line in response.context["flowstate_runs"]] == [run]
    assert list(desk.get(response.context["flowstate_runs_url"]).context["cl"].queryset) == [run]


def test_a_page_of_a_row_takes_seven_queries_more_than_without_runs(
    desk: Client, make_run: MakeRun, oats: Feed, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(10):
        make_run(on=oats, steps={"add": {}, "close": {}})
    row_page(desk, oats)

    # Session, user, row; what holds it; approvals; runs, their steps; what is written down of the row, the runs on it, their steps.
    with django_assert_num_queries(10):
        row_page(desk, oats)


# --- what steps did with it ----------------------------------------------------------------------


def test_a_row_lists_what_steps_did_with_it_and_whether_that_was_undone(
    desk: Client, oats: Feed, root: User
) -> None:
    kept = oats.doings["refill"].run(user=root, input={"amount": 5})  # type: ignore[attr-defined]
    oats.doings["overfill"].run(user=root)  # type: ignore[attr-defined]

    response = row_page(desk, oats)

    entries = [line["entry"] for line in response.context["flowstate_lineage"]]
    assert [(entry.step, entry.deed, entry.undone) for entry in entries] == [
        ("add", "changed", True),
        ("add", "changed", False),
    ]
    page = response.content.decode()
    page = page[page.index("flowstate-lineage-heading") :]
    assert "overfill.add" in page
    assert "undone since" in page
    assert f"/barn/flowstate/run/{kept.pk}/change/" in page


def test_a_row_lists_only_what_this_user_may_see(client: Client, oats: Feed, root: User, guest: User) -> None:
    oats.doings["refill"].run(user=root, input={"amount": 5})  # type: ignore[attr-defined]
    seen = {}

    for user in (
        root,
        staff("onlooker", "zoo.view_feed"),
        staff("other", "zoo.view_animal", "zoo.view_bird"),
    ):
        client.force_login(user)
        page = row_page(client, oats)
        seen[user.username] = len(page.context["flowstate_lineage"]) if page.status_code == 200 else None

    assert seen == {"root": 1, "onlooker": 1, "other": None}


def test_a_row_of_a_model_that_is_not_traced_has_no_such_list(
    desk: Client, oats: Feed, settings: Settings
) -> None:
    settings.FLOWSTATE = {"LINEAGE": "none"}

    response = row_page(desk, oats)

    assert response.context["flowstate_lineage"] is None
    assert "flowstate-lineage" not in response.content.decode()


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
