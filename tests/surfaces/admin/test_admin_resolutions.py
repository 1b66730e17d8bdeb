"""Waiving and forcing what could not be undone: shown first, done by POST, by who may operate all runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from django.contrib.auth.models import Permission, User
from django.test import Client

from flowstate.models import Run, RunStatus
from tests.surfaces.admin.barn import MEANWHILE
from tests.surfaces.admin.conftest import staff, texts
from tests.surfaces.admin.test_admin_operations import start, url
from tests.zoo.models import Feed


@pytest.fixture(autouse=True)
def meanwhile() -> Iterator[dict[str, Any]]:
    """What somebody else writes while the run is at work."""
    MEANWHILE.clear()
    MEANWHILE["name"] = "Theirs"
    yield MEANWHILE
    MEANWHILE.clear()


@pytest.fixture
def stuck(oats: Feed, root: User) -> Run:
    """A run that could not give the bin its name back."""
    run = start(oats, "rename", root)
    assert run.status == RunStatus.ATTENTION
    return run


def offered(client: Client, run: Run) -> list[str]:
    return [button["label"] for button in client.get(url(run, "change")).context["buttons"]]


def words(response: Any) -> str:
    page = response.content.decode()
    return " ".join(page[page.index('id="content-main"') :].split())


def test_a_run_in_attention_offers_all_three_ways_on(desk: Client, stuck: Run) -> None:
    assert offered(desk, stuck) == ["Retry", "Force", "Waive"]


def test_its_page_tells_which_column_holds_what_instead_of_what(desk: Client, stuck: Run) -> None:
    page = desk.get(url(stuck, "change"))

    [rename, _restock, _stir] = page.context["steps"]
    assert rename.undo_error.fields == [
        {"name": "name", "expected": "Mine", "found": "Theirs", "restore": "Oats"}
    ]
    assert "flowstate-fields" in page.content.decode()


def test_only_an_operator_may_waive_and_force_not_who_asked_for_the_run(
    client: Client, oats: Feed, keeper: User, dump: Callable[[], list[Any]]
) -> None:
    """S8"""
    run = start(oats, "rename", keeper)
    client.force_login(keeper)
    before = dump()

    assert offered(client, run) == ["Retry"]
    for page in ("waive", "force"):
        answers = [client.get(url(run, page)), client.post(url(run, page), {"step": "rename", "reason": "x"})]
        assert [answer.status_code for answer in answers] == [403, 403]
    assert dump() == before

    keeper.user_permissions.add(Permission.objects.get(codename="operate_run"))
    assert offered(client, run) == ["Retry", "Force", "Waive"]


def test_who_may_not_see_the_run_finds_nothing(client: Client, stuck: Run) -> None:
    client.force_login(staff("stranger", "flowstate.operate_run"))

    assert client.get(url(stuck, "force")).status_code == 404


@pytest.mark.parametrize("page", ["waive", "force", "retry"])
def test_the_page_shows_the_conflict_and_changes_nothing(
    desk: Client, stuck: Run, page: str, dump: Callable[[], list[Any]]
) -> None:
    before = dump()

    told = words(desk.get(url(stuck, page)))

    assert "was changed by somebody else since: name." in told
    for cell in ("name", "Theirs", "Mine", "Oats"):
        assert cell in told
    assert "restock" not in told
    assert dump() == before


def test_forcing_restores_over_the_foreign_value_and_says_so(desk: Client, stuck: Run, oats: Feed) -> None:
    response = desk.post(url(stuck, "force"), {"step": "rename", "reason": " agreed\x00 "}, follow=True)

    oats.refresh_from_db()
    assert (stuck.refresh().status, oats.name) == (RunStatus.COMPENSATED, "Oats")
    assert texts(response) == ["What could not be undone before is undone now."]
    event = stuck.events.get(kind="undo_forced")
    assert (event.actor_label, event.data["detail"]) == ("root", "agreed")
    assert "undo forced" in words(response)


def test_forcing_in_vain_says_why(desk: Client, stuck: Run, oats: Feed) -> None:
    Feed.objects.create(name="Oats")

    response = desk.post(url(stuck, "force"), {"step": "rename"}, follow=True)

    assert stuck.refresh().status == RunStatus.ATTENTION
    [text] = texts(response)
    assert text.startswith("rename could not be forced: ")


def test_waiving_keeps_the_row_and_the_reason(desk: Client, stuck: Run, oats: Feed) -> None:
    response = desk.post(url(stuck, "waive"), {"step": "rename", "reason": "Theirs is right."}, follow=True)

    oats.refresh_from_db()
    assert (stuck.refresh().status, oats.name) == (RunStatus.COMPENSATED, "Theirs")
    assert texts(response) == ["rename stays as it is. Nothing else is left to undo."]
    assert "Theirs is right." in words(response)
    assert "It stays as it is" in words(response)


def test_waiving_without_a_reason_asks_for_one(
    desk: Client, stuck: Run, dump: Callable[[], list[Any]]
) -> None:
    before = dump()

    response = desk.post(url(stuck, "waive"), {"step": "rename", "reason": " "})

    assert "Say why." in words(response)
    assert dump() == before


def test_of_several_steps_one_is_chosen_and_the_others_are_left(
    desk: Client, oats: Feed, root: User, meanwhile: dict[str, Any]
) -> None:
    meanwhile["stock"] = 99
    run = start(oats, "rename", root)

    asked = desk.get(url(run, "force"), {"step": "rename"})
    forced = desk.post(url(run, "force"), {"step": "rename"}, follow=True)
    waived = desk.post(url(run, "waive"), {"step": "restock", "reason": "sold"}, follow=True)

    assert asked.context["steps"] == ["restock", "rename"]
    assert 'value="rename" checked' in words(asked)
    assert texts(forced) == ["rename is undone. Left for a person: restock."]
    assert texts(waived) == ["restock stays as it is. Nothing else is left to undo."]
    assert run.refresh().status == RunStatus.COMPENSATED


def test_a_step_that_is_none_of_them_is_refused_in_words(
    desk: Client, stuck: Run, dump: Callable[[], list[Any]]
) -> None:
    before = dump()

    for page in ("waive", "force"):
        response = desk.post(url(stuck, page), {"step": "nonsense", "reason": "x"}, follow=True)
        assert "its undoing did not fail" in texts(response)[0]

    assert dump() == before


def test_code_of_ones_own_is_not_offered_to_be_forced(desk: Client, root: User, db: None) -> None:
    run = start(Feed.objects.create(name="jammed"), "jam", root)

    assert offered(desk, run) == ["Retry", "Waive"]
    assert "Nothing can be forced" in words(desk.get(url(run, "force")))


def test_where_nothing_failed_the_page_says_so(desk: Client, oats: Feed, root: User) -> None:
    run = start(oats, "dry", root)

    assert "Nothing can be waived" in words(desk.get(url(run, "waive")))
    assert "<form" not in words(desk.get(url(run, "waive")))


def test_a_run_whose_code_is_gone_can_still_be_waived(desk: Client, stuck: Run) -> None:
    Run.objects.update(workflow="barn.Gone", action="")

    asked = desk.get(url(stuck, "waive"))
    desk.post(url(stuck, "waive"), {"step": "rename", "reason": "The code is gone."})

    assert "No workflow is named" in words(asked)
    assert stuck.refresh().status == RunStatus.COMPENSATED


@pytest.mark.parametrize("page", ["waive", "force"])
def test_a_form_from_elsewhere_is_refused(
    stuck: Run, root: User, page: str, dump: Callable[[], list[Any]]
) -> None:
    """S7"""
    client = Client(enforce_csrf_checks=True)
    client.force_login(root)
    before = dump()

    assert client.post(url(stuck, page), {"step": "rename", "reason": "x"}).status_code == 403
    assert dump() == before


def test_what_somebody_else_wrote_is_shown_escaped(
    desk: Client, oats: Feed, root: User, meanwhile: dict[str, Any]
) -> None:
    """S9"""
    meanwhile["name"] = "<script>alert(1)</script>"
    run = start(oats, "rename", root)

    page = desk.get(url(run, "force")).content.decode()

    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_the_page_costs_a_constant_number_of_statements(
    desk: Client, stuck: Run, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    desk.get(url(stuck, "force"))

    # Session, user, the run, its steps, its history, the row's name; the run again, and the row.
    with django_assert_num_queries(8):
        desk.get(url(stuck, "force"))
