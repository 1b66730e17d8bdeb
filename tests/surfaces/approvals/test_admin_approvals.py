"""Approvals in the admin: the inbox, the page of one, several at once, handing on, and the pages of runs and rows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from flowstate.engine.approvals.inbox import PAGE
from flowstate.models import Approval, ApprovalDelegate, Run, RunEvent, StepRun, Vote
from flowstate.testing import carry_due, move_clock
from tests.kiosk.consents import DAY, Asked, Filled, Opaque, TwoOfThree
from tests.kiosk.crew import asked, buyers, lines, person, told
from tests.kiosk.models import Sale
from tests.kiosk.stall import OnSale

pytestmark = pytest.mark.django_db(transaction=True)

INBOX = "/admin/flowstate/approval/"
STATEMENTS_OF_AN_INBOX = 14
"""Session, user and their permissions, what the inbox reads, and the votes of all of them."""


def desk_of(user: User, **options: Any) -> Client:
    User.objects.filter(pk=user.pk).update(is_staff=True)
    client = Client(REMOTE_ADDR="10.1.2.3", **options)
    client.force_login(user)
    return client


def page_of(approval: Approval, page: str = "change") -> str:
    return f"{INBOX}{approval.pk}/{page}/"


def messages_of(answer: Any) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


def send(user: User, approval: Approval, page: str, **fields: Any) -> Any:
    given = {"digest": approval.digest, **fields}
    return desk_of(user).post(page_of(approval, page), given, follow=True)


# --- the inbox -------------------------------------------------------------------------------------


def test_the_inbox_shows_what_waits_for_me_with_what_it_is_about(
    approval: Approval, boss: User, stranger: User
) -> None:
    mine, others = (desk_of(user).get(INBOX).content.decode() for user in (boss, stranger))

    assert f'data-approval="{approval.pk}"' in mine
    assert "ada asked" in mine
    assert "<dd>tea</dd>" in mine
    assert "expires in" in mine
    assert "data-approval" not in others
    assert "Nothing waits for you to decide." in others


def test_the_index_says_how_much_waits(approval: Approval, boss: User, stranger: User) -> None:
    assert "Waiting for me (1)" in desk_of(boss).get("/admin/").content.decode()
    assert "Waiting for me (" not in desk_of(stranger).get("/admin/").content.decode()


def test_where_a_rule_is_opaque_the_index_says_that_there_are_more(
    on_sale: OnSale, user: User, boss: User
) -> None:
    Sale.objects.update(note="b")
    for _ in range(PAGE + 1):
        asked(on_sale, Opaque, user)

    assert f"Waiting for me ({PAGE}+)" in desk_of(boss).get("/admin/").content.decode()
    first = desk_of(boss).get(INBOX).content.decode()
    assert "Further requests" in first
    last = Approval.objects.order_by("pk")[PAGE - 1]
    assert desk_of(boss).get(f"{INBOX}?after={last.pk}").content.decode().count("data-approval") == 1


def test_an_inbox_of_many_costs_as_many_queries_as_one(
    on_sale: OnSale, user: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    bob, cem, _dan = buyers("bob", "cem", "dan")
    for _ in range(7):
        asked(on_sale, TwoOfThree, user).approve(cem)
    client = desk_of(bob)
    client.get(INBOX)

    with django_assert_num_queries(STATEMENTS_OF_AN_INBOX):
        assert client.get(INBOX).content.decode().count("data-approval") == 7


def test_the_inbox_is_narrowed_down_to_what_expires_soon(approval: Approval, boss: User) -> None:
    client = desk_of(boss)
    assert "data-approval" not in client.get(f"{INBOX}?soon=1").content.decode()

    Approval.objects.update(expires_at=timezone.now() + timedelta(hours=2))

    assert "data-approval" in client.get(f"{INBOX}?soon=1").content.decode()
    assert "data-approval" not in client.get(f"{INBOX}?action=shop.order.pay").content.decode()


# --- one approval ----------------------------------------------------------------------------------


def test_the_page_shows_what_is_asked_and_both_ways_to_decide(approval: Approval, boss: User) -> None:
    """P44."""
    content = desk_of(boss).get(page_of(approval)).content.decode()

    assert "<dt>Quantity</dt><dd>3</dd>" in content
    assert f'name="digest" value="{approval.digest}"' in content
    assert 'aria-labelledby="flowstate-graph-title"' in content
    assert "flowstate-approve-heading" in content
    assert "flowstate-reject-heading" in content
    assert told(approval.run) == ["requested", "viewed"]


def test_approving_with_a_comment_lets_the_run_go_on(approval: Approval, boss: User) -> None:
    """P45."""
    answer = send(boss, approval, "approve", comment="Fine.")
    carry_due()

    assert answer.request["PATH_INFO"] == INBOX
    assert "approved" in messages_of(answer)[0]
    assert lines() == ["ship 3"]
    (vote,) = approval.refresh().counting_votes
    assert (vote.comment, vote.source) == ("Fine.", "admin, 10.1.2.3")


def test_rejecting_undoes_the_run(approval: Approval, boss: User, sale: Sale) -> None:
    """P46."""
    send(boss, approval, "reject", reason="Too many.")
    carry_due()

    sale.refresh_from_db()
    assert (approval.refresh().status, sale.status) == ("rejected", "open")


def test_a_rejection_without_a_reason_is_asked_for_it_again(approval: Approval, boss: User) -> None:
    """P48."""
    answer = send(boss, approval, "reject", reason=" ")

    assert answer.status_code == 400
    assert "Say why you reject it" in answer.content.decode()
    assert approval.refresh().pending


def test_a_change_shows_old_and_new_and_asks_again(approval: Approval, boss: User) -> None:
    """What was typed in stays; the digest is the new one."""
    Sale.objects.update(quantity=5)

    answer = send(boss, approval, "approve", comment="Fine.")

    content = answer.content.decode()
    assert answer.status_code == 409
    assert "<del>3</del>" in content
    assert "<ins>5</ins>" in content
    assert ">Fine.</textarea>" in content
    assert approval.digest not in content
    assert approval.refresh().pending
    assert approval.digest in content
    send(boss, approval, "approve")
    assert approval.refresh().status == "approved"


def test_the_form_of_the_step_is_filled_in_and_its_errors_stand_beside_it(
    on_sale: OnSale, user: User
) -> None:
    (bob,) = buyers("bob")
    approval = asked(on_sale, Filled, user)
    assert 'name="input-limit"' in desk_of(bob).get(page_of(approval)).content.decode()

    wrong = send(bob, approval, "approve", **{"input-limit": "much", "comment": "Well."})
    assert wrong.status_code == 400
    assert "A valid number is required." in wrong.content.decode()
    assert ">Well.</textarea>" in wrong.content.decode()

    send(bob, approval, "approve", **{"input-limit": "12.50"})
    assert str(approval.refresh().counting_votes[0].form["limit"]) == "12.50"


def test_who_asked_sees_it_without_buttons_and_is_told_why(approval: Approval, user: User) -> None:
    """S5."""
    content = desk_of(user).get(page_of(approval)).content.decode()

    assert "You have asked for this yourself" in content
    assert "flowstate-approve-heading" not in content
    answer = send(user, approval, "approve")
    assert approval.refresh().pending
    assert "may not decide" in messages_of(answer)[0]


def test_what_others_decide_is_not_there_for_me(approval: Approval, stranger: User) -> None:
    """S23."""
    client = desk_of(stranger)

    for page in ("change", "reassign"):
        assert client.get(page_of(approval, page)).status_code == 404
    for page in ("approve", "reject", "reassign"):
        assert client.post(page_of(approval, page), {"reason": "No."}).status_code == 404
    assert approval.refresh().pending
    assert told(approval.run) == ["requested"]


def test_who_is_no_staff_is_asked_to_log_in(approval: Approval, boss: User) -> None:
    client = Client()
    client.force_login(boss)

    for path in (INBOX, page_of(approval), f"{INBOX}bulk/", f"{INBOX}delegates/"):
        assert client.get(path).status_code == 302


def test_what_has_expired_says_so(approval: Approval, boss: User) -> None:
    """P47."""
    with move_clock(seconds=8 * DAY):
        answer = send(boss, approval, "approve")

    assert "too late" in messages_of(answer)[0]
    assert approval.refresh().status == "expired"


def test_a_second_vote_and_a_late_one_are_told(on_sale: OnSale, user: User) -> None:
    """S6."""
    bob, cem, dan = buyers("bob", "cem", "dan")
    approval = asked(on_sale, TwoOfThree, user)

    assert "1 of 2" in messages_of(send(bob, approval, "approve"))[0]
    assert "You have voted" in messages_of(send(bob, approval, "approve"))[0]
    send(cem, approval, "approve")
    assert "is decided" in messages_of(send(dan, approval, "reject", reason="No."))[0]
    assert len(approval.refresh().counting_votes) == 2


# --- only POST decides -----------------------------------------------------------------------------


def test_looking_at_all_pages_decides_nothing(approval: Approval, boss: User) -> None:
    """S7: every page by GET; the rows are as before, but for the line that says who has looked."""
    client = desk_of(boss)

    def dump() -> list[Any]:
        models: list[Any] = [Approval, Vote, Run, StepRun, ApprovalDelegate, Sale]
        rows = [list(model.objects.order_by("pk").values()) for model in models]
        return [*rows, list(RunEvent.objects.exclude(kind="approval_viewed").values())]

    before = dump()
    for path in ("", f"bulk/?pk={approval.pk}", "delegates/", "delegates/1/end/", f"{approval.pk}/change/"):
        client.get(f"{INBOX}{path}")
    for page in ("approve", "reject"):
        assert client.get(page_of(approval, page)).status_code == 405
    client.get(page_of(approval, "reassign"))

    assert dump() == before


@pytest.mark.parametrize("page", ["approve", "reject", "reassign"])
def test_a_vote_needs_the_token_of_the_page(approval: Approval, boss: User, page: str) -> None:
    """S7: CSRF."""
    client = desk_of(boss, enforce_csrf_checks=True)

    answer = client.post(page_of(approval, page), {"reason": "No.", "to": "ada"})

    assert answer.status_code == 403
    assert approval.refresh().pending


# --- several at once -------------------------------------------------------------------------------


def test_several_are_listed_first_and_approved_then(on_sale: OnSale, user: User, boss: User) -> None:
    both = [asked(on_sale, Asked, user) for _ in range(2)]
    client = desk_of(boss)
    keys = [approval.pk for approval in both]

    content = client.get(f"{INBOX}bulk/", {"pk": keys}).content.decode()
    assert all(f'name="digest-{approval.pk}" value="{approval.digest}"' in content for approval in both)
    assert "Approve 2 requests" in content

    digests = {f"digest-{approval.pk}": approval.digest for approval in both}
    answer = client.post(f"{INBOX}bulk/", {"pk": keys, "comment": "All fine.", **digests}, follow=True)

    assert messages_of(answer) == ["You have approved 2 requests."]
    assert {approval.refresh().status for approval in both} == {"approved"}


def test_of_several_what_has_changed_is_left(on_sale: OnSale, user: User, boss: User, sale: Sale) -> None:
    approval = asked(on_sale, Asked, user)
    Sale.objects.update(quantity=9)

    digest = {f"digest-{approval.pk}": approval.digest}
    # The second time the approval itself shows what there is, but not this page.
    for _ in range(2):
        answer = desk_of(boss).post(f"{INBOX}bulk/", {"pk": approval.pk, **digest}, follow=True)
        assert "has changed since it was shown" in messages_of(answer)[0]

    assert approval.refresh().pending


def test_of_several_only_mine_and_those_without_a_form_are_approved(
    on_sale: OnSale, user: User, approval: Approval
) -> None:
    (bob,) = buyers("bob")
    form = asked(on_sale, Filled, user)

    content = desk_of(bob).get(f"{INBOX}bulk/", {"pk": [form.pk, approval.pk]}).content.decode()
    desk_of(bob).post(f"{INBOX}bulk/", {"pk": [form.pk, approval.pk]})

    assert "Something must be filled in for these" in content
    assert f'name="digest-{approval.pk}"' not in content
    assert form.refresh().pending
    assert approval.refresh().pending


# --- to somebody else ------------------------------------------------------------------------------


def test_a_decision_is_handed_to_somebody_else(approval: Approval, boss: User, stranger: User) -> None:
    person("cora", permission="change_sale")

    refused = send(boss, approval, "reassign", to="eve")
    unknown = send(boss, approval, "reassign", to="nobody")
    send(boss, approval, "reassign", to="cora", reason="On leave.")

    assert "cannot be handed over" in refused.content.decode()
    assert "There is nobody of that name." in unknown.content.decode()
    assert not approval.may_decide(boss)
    assert told(approval.run, "reassigned") == ["reassigned"]


def test_somebody_stands_in_until_i_am_back(approval: Approval, boss: User, stranger: User) -> None:
    client = desk_of(boss)
    until = (timezone.now() + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M")

    answer = client.post(f"{INBOX}delegates/", {"to": "eve", "since": "", "until": until}, follow=True)
    assert "eve stands in for you." in messages_of(answer)
    assert "You decide for bea." in desk_of(stranger).get(page_of(approval)).content.decode()

    row = ApprovalDelegate.objects.get()
    client.post(f"{INBOX}delegates/{row.pk}/end/")
    assert not approval.may_decide(stranger)


def test_only_the_two_end_it(boss: User, stranger: User, user: User) -> None:
    until = timezone.now() + timedelta(days=3)
    row = ApprovalDelegate.objects.create(
        delegator=boss, delegate=stranger, since=timezone.now(), until=until
    )

    assert desk_of(user).post(f"{INBOX}delegates/{row.pk}/end/").status_code == 404
    assert ApprovalDelegate.objects.get().until == until


# --- pages of runs and rows ------------------------------------------------------------------------


def test_the_page_of_a_run_links_its_approvals(approval: Approval) -> None:
    root = person("root", superuser=True)

    content = desk_of(root).get(f"/admin/flowstate/run/{approval.run_id}/change/").content.decode()

    assert page_of(approval) in content


def test_who_must_decide_may_look_at_the_run(approval: Approval, boss: User, stranger: User) -> None:
    (bob,) = buyers("bob")
    path = f"/admin/flowstate/run/{approval.run_id}/"

    assert desk_of(boss).get(f"{path}change/").status_code == 200
    assert desk_of(boss).post(f"{path}cancel/").status_code == 403
    assert {desk_of(other).get(f"{path}change/").status_code for other in (bob, stranger)} == {404}
