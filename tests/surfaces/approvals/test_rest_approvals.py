"""Approvals over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from flowstate.engine.approvals.handing import delegate
from flowstate.models import Approval
from flowstate.testing import carry_due, move_clock
from tests.kiosk.consents import DAY, Asked, Computed, Filled, TwoOfThree
from tests.kiosk.crew import asked, buyers, lines, person, told
from tests.kiosk.models import Sale
from tests.kiosk.stall import OnSale

pytestmark = pytest.mark.django_db(transaction=True)

STATEMENTS_OF_A_LIST = 12
"""Session and user, what the inbox reads, and the votes of all of them."""


def client_of(user: User) -> APIClient:
    client = APIClient(REMOTE_ADDR="10.1.2.3")
    client.force_login(user)
    return client


def mine(user: User, query: str = "") -> Any:
    return client_of(user).get(f"/api/approvals/{query}").json()


def look(user: User, approval: Approval) -> Any:
    return client_of(user).get(f"/api/approvals/{approval.pk}/")


def say(user: User, approval: Approval, what: str, **body: Any) -> Any:
    return client_of(user).post(f"/api/approvals/{approval.pk}/{what}/", body, format="json")


def source_of_last(approval: Approval) -> Any:
    last = approval.run.events.exclude(data={}).order_by("pk").last()
    return last and last.data.get("source")


# --- list and detail -------------------------------------------------------------------------------


def test_the_list_holds_what_i_may_decide_and_nothing_else(
    on_sale: OnSale, approval: Approval, user: User, boss: User, stranger: User
) -> None:
    buyers("bob")
    asked(on_sale, Filled, user)

    answer = mine(boss)

    assert [item["id"] for item in answer["results"]] == [approval.pk]
    assert answer["next"] is None
    assert mine(user)["results"] == mine(stranger)["results"] == []
    assert APIClient().get("/api/approvals/").json()["results"] == []


def test_one_approval_says_what_it_is_about(approval: Approval, user: User, boss: User, sale: Sale) -> None:
    """P44: key, what is shown, and the run."""
    body = look(boss, approval).json()

    assert body["shown"] == [
        {"name": "quantity", "label": "Quantity", "text": "3", "value": 3},
        {"name": "product__name", "label": "Product", "text": "tea", "value": "tea"},
    ]
    assert (body["run"], body["step"], body["requested_by"]) == (str(approval.run_id), "review", "ada")
    assert body["entity"] == {"model": "kiosk.sale", "pk": str(sale.pk)}
    assert (body["status"], body["quorum"], body["votes"]) == ("pending", 1, [])
    assert (body["digest"], body["may_decide"], body["form"]) == (approval.digest, True, None)
    assert look(user, approval).json()["may_decide"] is False


def test_a_list_of_many_costs_as_many_queries_as_one(
    on_sale: OnSale, user: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    bob, cem, dan = buyers("bob", "cem", "dan")
    for number in range(9):
        one = asked(on_sale, TwoOfThree, user)
        if number % 2:
            one.approve(cem)
    client = client_of(bob)
    client.get("/api/approvals/")  # content types are read once

    with django_assert_num_queries(STATEMENTS_OF_A_LIST):
        assert len(client.get("/api/approvals/").json()["results"]) == 9
    assert len(mine(cem)["results"]) == 5
    assert len(mine(dan)["results"]) == 9


def test_pages_follow_each_other_without_a_gap(on_sale: OnSale, user: User, boss: User) -> None:
    keys = [asked(on_sale, Asked, user).pk for _ in range(5)]
    client = client_of(boss)

    seen, url = [], "/api/approvals/?page_size=2"
    while url:
        page = client.get(url).json()
        seen += [item["id"] for item in page["results"]]
        url = page["next"]

    assert seen == keys


@pytest.mark.parametrize("query", ["after=x", "after=-1", f"after={2**70}", "page_size=all"])
def test_a_position_that_is_none_is_not_there(boss: User, query: str) -> None:
    assert client_of(boss).get(f"/api/approvals/?{query}").status_code == 404


def test_the_form_of_the_step_is_described(on_sale: OnSale, user: User) -> None:
    (bob,) = buyers("bob")

    form = look(bob, asked(on_sale, Filled, user)).json()["form"]

    assert (form["limit"]["type"], form["limit"]["required"], form["limit"]["label"]) == (
        "decimal",
        True,
        "Limit",
    )


def test_who_must_decide_may_look_at_the_run_and_do_nothing_with_it(
    approval: Approval, boss: User, stranger: User
) -> None:
    boss.user_permissions.set(boss.user_permissions.filter(codename="change_sale"))
    cem, path = person("cem", group="buyers"), f"/api/runs/{approval.run_id}/"

    assert client_of(boss).get(path).status_code == 200
    assert client_of(boss).post(f"{path}cancel/", {}, format="json").status_code == 403
    assert {client_of(other).get(path).status_code for other in (cem, stranger)} == {404}


# --- votes -----------------------------------------------------------------------------------------


def test_approving_lets_the_run_go_on(approval: Approval, boss: User) -> None:
    """P45."""
    answer = say(boss, approval, "approve", comment="Fine.", digest=approval.digest)

    assert answer.status_code == 200
    assert (answer.json()["status"], answer.json()["decided_by"]) == ("approved", "bea")
    assert [(vote["who"], vote["vote"], vote["comment"]) for vote in answer.json()["votes"]] == [
        ("bea", "approve", "Fine.")
    ]
    assert carry_due() == 1
    assert lines() == ["ship 3"]


def test_rejecting_undoes_the_run(approval: Approval, boss: User, sale: Sale) -> None:
    """P46."""
    answer = say(boss, approval, "reject", reason="Too many.")
    carry_due()

    assert (answer.status_code, answer.json()["status"]) == (200, "rejected")
    sale.refresh_from_db()
    assert sale.status == "open"


@pytest.mark.parametrize("reason", ["", "   ", None])
def test_a_rejection_without_a_reason_is_refused_and_it_stays_pending(
    approval: Approval, boss: User, reason: str | None
) -> None:
    """P48."""
    answer = say(boss, approval, "reject", **({} if reason is None else {"reason": reason}))

    assert (answer.status_code, answer.json()["code"]) == (400, "reason_missing")
    assert approval.refresh().pending
    assert told(approval.run) == ["requested", "refused"]


def test_the_form_is_validated_and_handed_on(on_sale: OnSale, user: User) -> None:
    (bob,) = buyers("bob")
    approval = asked(on_sale, Filled, user)

    missing = say(bob, approval, "approve")
    wrong = say(bob, approval, "approve", form={"limit": "much"})
    done = say(bob, approval, "approve", form={"limit": "12.50"})

    assert (missing.status_code, missing.json()["code"]) == (400, "invalid_input")
    assert "limit" in wrong.json()["errors"]
    assert (done.status_code, done.json()["status"]) == (200, "approved")
    assert str(approval.refresh().counting_votes[0].form["limit"]) == "12.50"


def test_a_field_that_is_none_is_refused(approval: Approval, boss: User) -> None:
    answer = say(boss, approval, "approve", coment="Fine.")

    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["coment"])
    assert approval.refresh().pending


def test_a_page_that_is_not_mine_is_not_there(approval: Approval, stranger: User) -> None:
    """S23: who may not even see it learns nothing from the status."""
    missing = Approval(pk=approval.pk + 1000)

    for what in ("approve", "reject", "reassign"):
        answers = [say(stranger, one, what, reason="No.", to="bea") for one in (approval, missing)]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert answers[0].json() == answers[1].json()
    assert look(stranger, approval).json() == look(stranger, missing).json()
    assert APIClient().get(f"/api/approvals/{approval.pk}/").status_code == 404
    assert told(approval.run) == ["requested"]


def test_who_asked_sees_it_and_may_not_decide_it(approval: Approval, user: User) -> None:
    """S5: four eyes, also for who may decide otherwise."""
    person("ada", permission="change_sale")

    answer = say(user, approval, "approve")

    assert answer.status_code == 403
    assert (answer.json()["code"], answer.json()["why"]) == ("approval_denied", "own_request")
    assert approval.refresh().pending


def test_a_superuser_who_asked_may_not_decide_either(on_sale: OnSale) -> None:
    """S5: a superuser does not pass four eyes."""
    root = person("root", superuser=True)
    approval = asked(on_sale, Asked, root)

    assert say(root, approval, "approve").json()["why"] == "own_request"


def test_a_permission_that_was_taken_away_meanwhile_is_gone(approval: Approval, boss: User) -> None:
    """S5: revoked between looking and voting."""
    client = client_of(boss)
    assert client.get(f"/api/approvals/{approval.pk}/").json()["may_decide"] is True

    boss.user_permissions.clear()

    assert client.post(f"/api/approvals/{approval.pk}/approve/", {}, format="json").status_code == 404
    assert approval.refresh().pending


def test_a_person_votes_once(on_sale: OnSale, user: User) -> None:
    """S6: the same person does not make up a quorum."""
    bob, _cem, _dan = buyers("bob", "cem", "dan")
    approval = asked(on_sale, TwoOfThree, user)

    first = say(bob, approval, "approve")
    second = say(bob, approval, "approve")

    assert (first.status_code, first.json()["status"]) == (200, "pending")
    assert (second.status_code, second.json()["code"]) == (409, "already_voted")
    assert len(approval.refresh().counting_votes) == 1


def test_what_is_decided_stays_decided(approval: Approval, boss: User) -> None:
    """I21."""
    other = person("cora", permission="change_sale")
    say(boss, approval, "approve")

    answer = say(other, approval, "reject", reason="No.")

    assert answer.status_code == 409
    assert (answer.json()["code"], answer.json()["outcome"]) == ("already_decided", "approved")


def test_what_has_expired_is_gone(approval: Approval, boss: User) -> None:
    """P47."""
    with move_clock(seconds=8 * DAY):
        answer = say(boss, approval, "approve")

    assert (answer.status_code, answer.json()["code"]) == (410, "approval_expired")
    assert approval.refresh().status == "expired"


def test_a_change_is_a_conflict_that_shows_old_and_new(approval: Approval, boss: User) -> None:
    seen = look(boss, approval).json()["digest"]
    Sale.objects.update(quantity=5)

    refused = say(boss, approval, "approve", digest=seen)

    body = refused.json()
    assert (refused.status_code, body["code"]) == (409, "approval_changed")
    assert [(old["text"], new["text"]) for old, new in zip(body["old"], body["new"], strict=True)] == [
        ("3", "5"),
        ("tea", "tea"),
    ]
    again = say(boss, approval, "approve", digest=seen)
    assert (again.status_code, again.json()["code"]) == (409, "approval_changed")
    assert say(boss, approval, "approve", digest=body["digest"]).status_code == 200


def test_a_row_that_is_gone_cannot_be_approved_but_rejected(on_sale: OnSale, user: User) -> None:
    (bob,) = buyers("bob")
    approval = asked(on_sale, Computed, user)
    Sale.objects.all().delete()

    gone = say(bob, approval, "approve")

    assert (gone.status_code, gone.json()["code"]) == (410, "entity_gone")
    assert say(bob, approval, "reject", reason="It is gone.").status_code == 200


# --- to somebody else ------------------------------------------------------------------------------


def test_a_decision_passes_to_somebody_else(approval: Approval, boss: User) -> None:
    cora = person("cora", permission="change_sale")

    answer = say(boss, approval, "reassign", to="cora", reason="On leave.")

    assert answer.status_code == 200
    assert told(approval.run) == ["requested", "reassigned"]
    assert mine(boss)["results"] == []
    assert len(mine(cora)["results"]) == 1


@pytest.mark.parametrize("to", ["nobody", "eve"])
def test_who_is_not_there_and_who_may_not_are_one_answer(
    approval: Approval, boss: User, stranger: User, to: str
) -> None:
    answer = say(boss, approval, "reassign", to=to)

    assert (answer.status_code, answer.json()["code"]) == (400, "reassignment_invalid")
    assert len(mine(boss)["results"]) == 1


def test_who_stands_in_decides_for_the_other(approval: Approval, boss: User, stranger: User) -> None:
    delegate(user=boss, to=stranger, until=timezone.now() + timedelta(days=1))

    answer = say(stranger, approval, "approve")

    assert answer.status_code == 200
    assert (answer.json()["votes"][0]["who"], answer.json()["votes"][0]["instead_of"]) == ("eve", "bea")


# --- the way in ------------------------------------------------------------------------------------


def test_the_history_says_from_where(approval: Approval, boss: User) -> None:
    look(boss, approval)
    assert source_of_last(approval) == "REST, 10.1.2.3"

    say(boss, approval, "reject")
    assert source_of_last(approval) == "REST, 10.1.2.3"

    say(boss, approval, "approve")
    assert approval.refresh().counting_votes[0].source == "REST, 10.1.2.3"
    assert told(approval.run) == ["requested", "viewed", "refused", "approved"]


def test_an_address_that_a_client_makes_up_is_not_believed(approval: Approval, boss: User) -> None:
    client = client_of(boss)

    client.post(
        f"/api/approvals/{approval.pk}/approve/", {}, format="json", headers={"X-Forwarded-For": "1.1.1.1"}
    )

    assert approval.refresh().counting_votes[0].source == "REST, 10.1.2.3"


def test_reading_decides_nothing(approval: Approval, boss: User) -> None:
    """S7: GET is for looking."""
    client = client_of(boss)
    for what in ("approve", "reject", "reassign"):
        assert client.get(f"/api/approvals/{approval.pk}/{what}/").status_code == 405

    assert approval.refresh().pending


def test_a_vote_by_a_session_needs_the_token_of_the_page(approval: Approval, boss: User) -> None:
    """S7: CSRF."""
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(boss)

    answer = client.post(f"/api/approvals/{approval.pk}/approve/", {}, format="json")

    assert answer.status_code == 403
    assert approval.refresh().pending


def test_a_vote_is_committed_also_where_requests_are_transactions(
    approval: Approval, boss: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)

    assert say(boss, approval, "reject").status_code == 400

    assert told(approval.run) == ["requested", "refused"]
