"""An action on several rows: who is refused is said before, what came of each afterwards."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from django.contrib.auth.models import User
from django.test import Client

from flowstate.models import Run
from flowstate.testing import carry_due
from tests.surfaces.admin.barn import XSS
from tests.surfaces.admin.conftest import staff, texts
from tests.zoo.models import Feed

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/barn/zoo/feed/"


@pytest.fixture
def bins(db: None) -> list[Feed]:
    return [Feed.objects.create(name=f"bin {number}", stock=number) for number in range(3)]


def select(client: Client, action: str, *rows: Feed, **more: str) -> Any:
    keys = [str(row.pk) for row in rows]
    return client.post(LIST, {"action": f"flowstate_{action}", "_selected_action": keys, **more}, follow=True)


def hidden(response: Any) -> dict[str, Any]:
    """Return what the form sends along."""
    page = response.content.decode()
    key = re.search(r'name="idempotency_key" value="([^"]+)"', page)
    rows = re.findall(r'name="rows" value="([^"]+)"', page)
    return {"rows": rows, "idempotency_key": key[1] if key else ""}


def test_a_selection_is_asked_about_with_the_form_of_the_input(
    desk: Client, bins: list[Feed], dump: Callable[[], list[Any]]
) -> None:
    before = dump()

    response = select(desk, "refill", *bins)

    page = response.content.decode()
    assert [line.row for line in response.context["able"]] == bins[::-1]
    assert 'name="input-amount"' in page
    assert 'value="Refill: 3 rows"' in page
    assert dump()[0] == before[0]


def test_it_is_started_on_each_row_and_every_run_is_linked(
    desk: Client, bins: list[Feed], root: User
) -> None:
    form = hidden(select(desk, "refill", *bins))

    response = desk.post(f"{LIST}actions/refill/selected/", form | {"input-amount": "5"})

    runs = list(Run.objects.order_by("pk"))
    page = response.content.decode()
    assert [(run.input, run.requested_by) for run in runs] == [({"amount": 5}, root)] * 3
    assert all(f"/barn/flowstate/run/{run.pk}/change/" in page for run in runs)
    carry_due()
    assert [row.stock for row in Feed.objects.order_by("name")] == [5, 6, 7]


def test_a_form_that_is_sent_twice_starts_one_run_on_each_row(desk: Client, bins: list[Feed]) -> None:
    form = hidden(select(desk, "refill", *bins)) | {"input-amount": "5"}

    desk.post(f"{LIST}actions/refill/selected/", form)
    again = desk.post(f"{LIST}actions/refill/selected/", form)

    assert Run.objects.count() == 3
    assert "started before by this form" in again.content.decode()


def test_what_is_wrong_with_the_input_stands_beside_its_field_and_nothing_is_started(
    desk: Client, bins: list[Feed]
) -> None:
    form = hidden(select(desk, "refill", *bins))

    page = desk.post(f"{LIST}actions/refill/selected/", form | {"input-amount": "500"}).content.decode()

    assert "Ensure this value is less than or equal to 100." in page
    assert hidden(desk.post(f"{LIST}actions/refill/selected/", form | {"input-amount": "x"})) == form
    assert not Run.objects.exists()


def test_a_row_on_which_a_run_is_at_it_is_refused_and_the_others_are_started(
    desk: Client, bins: list[Feed], root: User
) -> None:
    bins[1].doings.dry.run(user=root)  # type: ignore[attr-defined]
    form = hidden(select(desk, "dry", *bins))

    response = desk.post(f"{LIST}actions/dry/selected/", form)

    assert [line.row for line in response.context["refused"]] == [bins[1]]
    assert "another run holds this row until it ends" in response.context["refused"][0].refused
    assert len(response.context["able"]) == 2


def test_rows_for_which_the_rules_deny_are_refused_before(client: Client, bins: list[Feed]) -> None:
    client.force_login(staff("onlooker", "zoo.view_feed"))

    asked = select(client, "refill", *bins)
    done = client.post(
        f"{LIST}actions/refill/selected/", {"rows": [row.pk for row in bins], "input-amount": 1}
    )

    for response in (asked, done):
        assert [line.refused for line in response.context["refused"]] == [
            "You may not do this with this row now."
        ] * 3
    assert not Run.objects.exists()


def test_who_may_not_see_the_rows_cannot_start_anything_on_them(
    client: Client, bins: list[Feed], guest: User
) -> None:
    """S1, S8"""
    client.force_login(guest)

    response = client.post(f"{LIST}actions/weigh/selected/", {"rows": [bins[0].pk]})

    assert response.status_code == 403
    assert not Run.objects.exists()


def test_only_actions_of_rows_are_offered_on_a_selection(desk: Client, bins: list[Feed]) -> None:
    offered = re.findall(r'<option value="flowstate_(\w+)"', desk.get(LIST).content.decode())

    assert "refill" in offered
    assert "deliver" not in offered
    assert desk.post(f"{LIST}actions/deliver/selected/", {"rows": [bins[0].pk]}).status_code == 404


def test_nonsense_in_the_form_is_no_error(desk: Client, bins: list[Feed]) -> None:
    response = desk.post(f"{LIST}actions/weigh/selected/", {"rows": ["x", "\x00", "999999"]}, follow=True)

    assert texts(response) == ["None of these rows is there, for you at least."]


def test_a_form_without_its_token_is_refused(root: User, bins: list[Feed]) -> None:
    """S7"""
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(root)

    assert strict.post(f"{LIST}actions/weigh/selected/", {"rows": [bins[0].pk]}).status_code == 403


def test_names_of_rows_are_no_markup(desk: Client, bins: list[Feed], monkeypatch: pytest.MonkeyPatch) -> None:
    """S11"""
    monkeypatch.setattr(Feed, "__str__", lambda _row: XSS)

    page = select(desk, "weigh", *bins).content.decode()

    assert "<img src=x" not in page
    assert "&lt;img src=x" in page


@pytest.mark.parametrize("count", [1, 50])
def test_asking_takes_the_same_queries_for_one_row_and_for_fifty(
    desk: Client, django_assert_num_queries: DjangoAssertNumQueries, count: int
) -> None:
    rows = [Feed.objects.create(name=f"bin {number}") for number in range(count)]
    select(desk, "refill", *rows)

    with django_assert_num_queries(5):  # session, user, the two counts of the list, rows
        select(desk, "refill", *rows)


def test_a_hundred_rows_are_the_most(desk: Client, db: None) -> None:
    rows = [Feed.objects.create(name=f"bin {number}") for number in range(101)]

    response = select(desk, "refill", rows[0], select_across="1")

    assert texts(response) == ["At most 100 rows at once: select fewer of them."]


# --- buttons while a run is at it ----------------------------------------------------------------


def test_instead_of_a_button_that_would_be_refused_the_run_is_linked_that_holds_the_row(
    desk: Client, oats: Feed, root: User
) -> None:
    run = oats.doings.dry.run(user=root)  # type: ignore[attr-defined]

    page = desk.get(f"{LIST}{oats.pk}/change/").content.decode()

    assert (
        f'<a class="flowstate-held" href="/barn/flowstate/run/{run.pk}/change/">Dry: a run is at it</a>'
        in page
    )
    assert f"{LIST}{oats.pk}/actions/dry/" not in page
    assert f"{LIST}{oats.pk}/actions/refill/" in page


def test_a_run_that_one_may_not_see_holds_the_row_without_a_link(
    client: Client, oats: Feed, root: User
) -> None:
    """S3"""
    run = oats.doings.dry.run(user=root)  # type: ignore[attr-defined]
    Run.objects.filter(pk=run.pk).update(content_type=None)
    client.force_login(staff("keeper", "zoo.view_feed", "zoo.change_feed"))

    page = client.get(f"{LIST}{oats.pk}/change/").content.decode()

    assert '<span class="flowstate-held">Dry: a run is at it</span>' in page
    assert str(run.pk) not in page
