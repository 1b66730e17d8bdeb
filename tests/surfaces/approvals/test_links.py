"""Links to approvals: for one person, for a time, and without effect until that person says so."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from pytest_django import Settings
from time_machine import travel

from django.contrib.auth.models import User
from django.core import mail, signing
from django.core.checks import Error
from django.db import connection
from django.test import Client
from django.utils import timezone

from flowstate.checks.settings import check_settings
from flowstate.links import approval_link
from flowstate.links.tokens import SALT
from flowstate.models import Approval
from flowstate.testing import carry_due, move_clock
from tests.kiosk.consents import DAY, HOUR, Asked, Escalating, Filled, Opaque, TwoOfThree
from tests.kiosk.crew import asked, buyers, lines, person, told
from tests.kiosk.models import Sale
from tests.kiosk.stall import OnSale

pytestmark = pytest.mark.django_db(transaction=True)


def browser_of(user: User, **options: Any) -> Client:
    client = Client(REMOTE_ADDR="10.1.2.3", **options)
    client.force_login(user)
    return client


def say(user: User, approval: Approval, decision: str, comment: str = "", **fields: str) -> Any:
    given = {
        "flowstate-decision": decision,
        "flowstate-comment": comment,
        "flowstate-digest": approval.digest,
        **fields,
    }
    return browser_of(user).post(approval_link(approval, user), given)


# --- links -----------------------------------------------------------------------------------------


def test_opening_a_link_decides_nothing(approval: Approval, boss: User) -> None:
    """S22: whoever opens it, a scanner of mails too."""
    link = approval_link(approval, boss)

    scanner = Client().get(link)
    Client().head(link)
    page = browser_of(boss).get(link)

    assert (scanner.status_code, scanner["Location"]) == (302, f"/login/?next={quote(link)}")
    assert "<dd>3</dd>" in page.content.decode()
    assert "no-store" in page["Cache-Control"]
    assert approval.refresh().pending
    assert told(approval.run) == ["requested", "viewed"]


def test_who_got_the_link_approves_there(approval: Approval, boss: User) -> None:
    """S22: POST decides. P45."""
    answer = say(boss, approval, "approve", "Fine.")
    carry_due()

    assert "It is approved." in answer.content.decode()
    assert lines() == ["ship 3"]
    (vote,) = approval.refresh().counting_votes
    assert (vote.comment, vote.source) == ("Fine.", "link, 10.1.2.3")


def test_a_rejection_needs_its_reason_here_too(approval: Approval, boss: User) -> None:
    """P48."""
    assert say(boss, approval, "reject").status_code == 400
    assert approval.refresh().pending

    assert say(boss, approval, "reject", "Too many.").status_code == 200
    assert approval.refresh().status == "rejected"


def test_a_post_that_says_nothing_decides_nothing(approval: Approval, boss: User) -> None:
    assert say(boss, approval, "").status_code == 200
    assert approval.refresh().pending


def test_somebody_else_cannot_use_the_link(approval: Approval, boss: User) -> None:
    """S22: not even somebody who may decide it."""
    cora = person("cora", permission="change_sale")
    link = approval_link(approval, boss)
    given = {"flowstate-decision": "approve", "flowstate-digest": approval.digest}

    answers = [browser_of(cora).get(link), browser_of(cora).post(link, given)]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert "made for somebody else" in answers[0].content.decode()
    assert "<dd>" not in answers[0].content.decode()
    assert Client().post(link, given).status_code == 302
    assert approval.refresh().pending


def test_a_link_gives_no_right_to_decide(approval: Approval, user: User, stranger: User) -> None:
    """S5, S22: who may not decide it may not by a link either, nor see what it is about."""
    for other in (user, stranger):
        page = browser_of(other).get(approval_link(approval, other)).content.decode()
        assert "<dd>" not in page
        assert say(other, approval, "approve").status_code == 403

    assert approval.refresh().pending


def test_a_link_is_good_for_a_time(approval: Approval, boss: User, settings: Settings) -> None:
    """S22: expiring."""
    settings.FLOWSTATE = {"APPROVAL_LINK_LIFETIME": HOUR}
    link = approval_link(approval, boss)
    client = browser_of(boss)

    with travel(timezone.now().timestamp() + 2 * HOUR, tick=False):
        answer = client.post(link, {"flowstate-decision": "approve"})

    assert answer.status_code == 410
    assert approval.refresh().pending


@pytest.mark.parametrize("change", ["another salt", "altered", "cut", "nonsense"])
def test_a_token_that_was_not_made_here_leads_nowhere(approval: Approval, boss: User, change: str) -> None:
    """S22: signed, with a salt of our own."""
    made = signing.dumps([approval.pk, str(boss.pk)], salt="theirs" if change == "another salt" else SALT)
    token = {"altered": f"A{made[1:]}", "cut": made[:-1], "nonsense": "nonsense"}.get(change, made)

    assert browser_of(boss).get(f"/approvals/{token}/").status_code == 404
    assert browser_of(boss).post(f"/approvals/{token}/", {"flowstate-decision": "approve"}).status_code == 404
    assert approval.refresh().pending


def test_a_vote_by_a_link_needs_the_token_of_the_page(approval: Approval, boss: User) -> None:
    """S7: CSRF."""
    client = browser_of(boss, enforce_csrf_checks=True)

    answer = client.post(approval_link(approval, boss), {"flowstate-decision": "approve"})

    assert answer.status_code == 403
    assert approval.refresh().pending


def test_a_change_shows_old_and_new_and_asks_again(approval: Approval, boss: User) -> None:
    Sale.objects.update(quantity=5)

    answer = say(boss, approval, "approve", "Fine.")

    assert answer.status_code == 409
    assert "<del>3</del> <ins>5</ins>" in answer.content.decode()
    assert say(boss, approval, "approve", "From the page of before.").status_code == 409
    assert approval.refresh().pending
    assert say(boss, approval, "approve").status_code == 200


def test_a_refusal_is_committed_also_where_requests_are_transactions(
    approval: Approval, boss: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)

    assert say(boss, approval, "reject").status_code == 400

    assert told(approval.run) == ["requested", "refused", "viewed"]


def test_what_is_over_says_so(approval: Approval, boss: User) -> None:
    """P47."""
    with move_clock(seconds=8 * DAY):
        assert say(boss, approval, "approve").status_code == 410

    page = browser_of(boss).get(approval_link(approval.refresh(), boss)).content.decode()
    assert "It is expired by now." in page


def test_the_form_of_the_step_is_on_the_page(on_sale: OnSale, user: User) -> None:
    (bob,) = buyers("bob")
    approval = asked(on_sale, Filled, user)
    assert 'name="limit"' in browser_of(bob).get(approval_link(approval, bob)).content.decode()

    wrong = say(bob, approval, "approve", limit="much")
    done = say(bob, approval, "approve", limit="12.50")

    assert (wrong.status_code, "A valid number is required." in wrong.content.decode()) == (400, True)
    assert done.status_code == 200
    assert str(approval.refresh().counting_votes[0].form["limit"]) == "12.50"


# --- mails -----------------------------------------------------------------------------------------


@pytest.fixture
def mailed(settings: Settings) -> None:
    settings.FLOWSTATE = {"APPROVAL_MAIL": "https://shop.example.org/"}


def with_address(*people: User) -> None:
    for one in people:
        User.objects.filter(pk=one.pk).update(email=f"{one.username}@example.org")


def recipients() -> list[str]:
    return sorted(message.to[0] for message in mail.outbox)


def test_nobody_gets_a_mail_unless_the_project_says_so(on_sale: OnSale, user: User, boss: User) -> None:
    with_address(boss)

    asked(on_sale, Asked, user)

    assert mail.outbox == []


@pytest.mark.usefixtures("mailed")
def test_who_may_decide_gets_a_mail_with_a_link_of_their_own(on_sale: OnSale, user: User, boss: User) -> None:
    with_address(boss, user, person("eve"))

    approval = asked(on_sale, Asked, user)

    (message,) = mail.outbox
    assert message.to == ["bea@example.org"]
    assert message.subject == f"ada asks: Trial: sale {approval.run.object_id}"
    assert "Quantity: 3\nProduct: tea\n" in str(message.body)
    (link,) = [line for line in str(message.body).splitlines() if line.startswith("https://")]
    path = link.removeprefix("https://shop.example.org")
    assert browser_of(boss).get(path).status_code == 200
    assert browser_of(person("eve")).get(path).status_code == 403
    assert approval.refresh().pending


@pytest.mark.usefixtures("mailed")
def test_those_who_are_asked_by_name_or_as_a_group_get_one_each(on_sale: OnSale, user: User) -> None:
    with_address(*buyers("bob", "cem", "dan"))
    User.objects.filter(username="dan").update(is_active=False)

    asked(on_sale, TwoOfThree, user)
    assert recipients() == ["bob@example.org", "cem@example.org"]

    asked(on_sale, Filled, user)
    assert recipients() == ["bob@example.org"] * 2 + ["cem@example.org"] * 2


@pytest.mark.usefixtures("mailed")
def test_a_reminder_says_that_it_is_one(on_sale: OnSale, user: User) -> None:
    with_address(user)
    asked(on_sale, Escalating, user)
    mail.outbox.clear()

    with move_clock(seconds=DAY - 5 * HOUR):
        carry_due()

    (message,) = mail.outbox
    assert message.subject.startswith("Reminder: ada asks: Trial: sale ")


@pytest.mark.usefixtures("mailed")
def test_a_rule_that_may_be_for_everybody_writes_to_nobody(on_sale: OnSale, user: User, boss: User) -> None:
    with_address(boss)
    Sale.objects.update(note="b")

    asked(on_sale, Opaque, user)

    assert mail.outbox == []


@pytest.mark.usefixtures("mailed")
def test_a_mail_that_cannot_be_sent_stops_nothing(
    on_sale: OnSale, user: User, boss: User, settings: Settings
) -> None:
    with_address(boss)
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9

    assert asked(on_sale, Asked, user).pending


@pytest.mark.parametrize("site", ["shop.example.org", 7])
def test_an_address_that_is_none_is_found_by_the_check(settings: Settings, site: object) -> None:
    settings.FLOWSTATE = {"APPROVAL_MAIL": site}

    (error,) = check_settings()

    assert isinstance(error, Error)
    assert "APPROVAL_MAIL" in error.msg
