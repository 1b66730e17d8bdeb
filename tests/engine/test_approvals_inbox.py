"""What waits for me: found by an index where the rules are known, row by row where they are not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from django.contrib.auth.models import User
from django.utils import timezone

from flowstate.engine.approvals.handing import delegate
from flowstate.engine.approvals.inbox import inbox_of
from flowstate.models import Approval, ApprovalAudience, InboxEntry
from flowstate.testing import carry_due
from tests.kiosk.consents import DAY, HOUR, Asked, Escalating, Filled, Opaque, TwoOfThree
from tests.kiosk.crew import asked, buyers, person, sale_of
from tests.kiosk.models import Sale
from tests.kiosk.stall import OnSale

pytestmark = pytest.mark.django_db(transaction=True)

STATEMENTS_OF_A_PAGE = 11


def mine(user: User) -> list[int]:
    return [approval.pk for approval in inbox_of(user).approvals]


def test_everybody_sees_what_they_may_decide(on_sale: OnSale, user: User) -> None:
    bea, root = person("bea", permission="change_sale"), person("root", superuser=True)
    bob, cem = buyers("bob", "cem")
    by_permission, by_group = asked(on_sale, Asked, user).pk, asked(on_sale, Filled, user).pk
    by_name, by_field = asked(on_sale, TwoOfThree, user).pk, asked(on_sale, Escalating, user).pk

    assert mine(bea) == [by_permission]
    assert mine(root) == [by_permission]
    assert mine(bob) == mine(cem) == [by_group, by_name]
    assert mine(user) == [by_field]
    assert {row.key for row in ApprovalAudience.objects.all()} == {
        "permission kiosk.change_sale",
        "group buyers",
        f"user {bob.pk}",
        f"user {cem.pk}",
        f"user {user.pk}",
    }


def test_what_i_asked_for_and_what_i_have_voted_on_is_not_in_it(on_sale: OnSale, user: User) -> None:
    bob, cem = buyers("bob", "cem")
    asked(on_sale, Filled, bob)
    voted = asked(on_sale, TwoOfThree, user).approve(bob)

    assert mine(bob) == []
    assert voted.pk in mine(cem)


def test_a_rule_that_no_index_knows_is_asked_row_by_row(on_sale: OnSale, user: User, sale: Sale) -> None:
    Sale.objects.filter(pk=sale.pk).update(note="b")
    approval = asked(on_sale, Opaque, user)

    assert mine(person("bea")) == [approval.pk]
    assert mine(person("cem")) == []
    assert [entry.audience.key for entry in InboxEntry.objects.all()] == ["everybody"]


def test_permissions_of_other_backends_are_asked_row_by_row(
    on_sale: OnSale, user: User, settings: Any
) -> None:
    """One that may give a permission for a single row, which no index knows."""
    settings.AUTHENTICATION_BACKENDS = ["tests.engine.test_approvals_inbox.RowBackend"]
    approval = asked(on_sale, Asked, user)

    assert mine(person("bea")) == [approval.pk]
    assert mine(person("cem")) == []


class RowBackend:
    """Gives bea the permission for single rows only."""

    def has_perm(self, user: User, perm: str, obj: Any = None) -> bool:
        return user.username == "bea" and obj is not None


def test_who_stands_in_sees_what_waits_for_the_other(on_sale: OnSale, user: User) -> None:
    bea, sam = person("bea", permission="change_sale"), person("sam")
    approval = asked(on_sale, Asked, user)

    delegate(user=bea, to=sam, until=timezone.now() + timedelta(seconds=DAY))

    assert mine(sam) == [approval.pk]


def test_who_is_not_active_sees_nothing(on_sale: OnSale, user: User) -> None:
    bea = person("bea", permission="change_sale")
    asked(on_sale, Asked, user)
    User.objects.filter(pk=bea.pk).update(is_active=False)

    assert mine(bea) == []


def test_pages_go_on_where_the_one_before_ended(on_sale: OnSale, user: User) -> None:
    bea = person("bea", permission="change_sale")
    there = [asked(on_sale, Asked, user).pk for _number in range(5)]

    first = inbox_of(bea, limit=2)
    second = inbox_of(bea, limit=2, after=first.after or 0)
    third = inbox_of(bea, limit=2, after=second.after or 0)

    pages = [[approval.pk for approval in page.approvals] for page in (first, second, third)]
    assert pages == [there[:2], there[2:4], there[4:]]
    assert third.after is None
    assert (first.count_text, inbox_of(bea).count_text) == ("50+", "5")


def test_a_page_costs_the_same_however_much_is_on_it(
    on_sale: OnSale, user: User, django_assert_num_queries: Any
) -> None:
    bea = person("bea", permission="change_sale")
    asked(on_sale, Asked, user)
    with django_assert_num_queries(STATEMENTS_OF_A_PAGE):
        inbox_of(bea)

    for _number in range(5):
        asked(on_sale, Asked, user)
    with django_assert_num_queries(STATEMENTS_OF_A_PAGE):
        page = inbox_of(bea)
        assert [str(approval.run.requested_by) for approval in page.approvals] == ["ada"] * 6


def test_who_the_field_names_now_may_decide(on_sale: OnSale, user: User, sale: Sale) -> None:
    other = person("cem")
    approval = asked(on_sale, Escalating, user)

    Sale.objects.filter(pk=sale.pk).update(owner=other)

    assert approval.may_decide(other)
    assert not approval.may_decide(user)
    assert mine(user) == []


def test_who_the_field_names_anew_finds_it_once_people_are_reminded(
    on_sale: OnSale, user: User, sale: Sale, clock: Callable[[float], None]
) -> None:
    other = person("cem")
    approval = asked(on_sale, Escalating, user)
    Sale.objects.filter(pk=sale.pk).update(owner=other)
    assert mine(other) == []

    clock(DAY - HOUR)
    carry_due()

    assert mine(other) == [approval.pk]


def test_nothing_is_left_in_it_of_what_is_decided(on_sale: OnSale, user: User) -> None:
    bea = person("bea", permission="change_sale")
    approval = asked(on_sale, Asked, user)
    another = asked(on_sale, Asked, user)

    approval.approve(bea)

    assert mine(bea) == [another.pk]
    assert Approval.objects.pending().count() == InboxEntry.objects.count() == 1
    assert sale_of(user).pk
