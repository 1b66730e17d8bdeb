"""What waits for me: a page examines as much beside a hundred thousand pending approvals as beside a thousand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django.plugin import DjangoDbBlocker

from django.contrib.auth.models import Group, User
from django.db import connection

from flowstate.engine.approvals.inbox import PAGE, InboxPage, inbox_of
from flowstate.models import Approval, InboxEntry, Run, StepRun
from tests.flushing import _empty, _made
from tests.growth import filling
from tests.growth.plans import Plan, watched
from tests.growth.test_growth import grown, scanned

pytestmark = [pytest.mark.only_postgres, pytest.mark.django_db]

FEW, MANY = 1_000, 100_000
TABLES = {model._meta.db_table for model in (Run, StepRun, Approval, InboxEntry)}


@pytest.fixture(scope="module")
def pages(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[dict[int, tuple[InboxPage, list[Plan]]]]:
    """The first page of a buyer, and what it asks for, beside so many approvals."""
    with django_db_blocker.unblock():
        try:
            buyer = User.objects.create_user("bob")
            buyer.groups.add(Group.objects.create(name="buyers"))
            yield {count: _page_beside(count, buyer) for count in (FEW, MANY)}
        finally:
            filling.empty()
            _empty(connection, _made["default"])


def _page_beside(count: int, buyer: User) -> tuple[InboxPage, list[Plan]]:
    filling.empty()
    filling.fill_waiting(count)
    filling.analyze()
    with watched() as watch:
        page = inbox_of(buyer)
    return page, watch.plans


def test_a_page_is_full_and_says_that_there_is_more(
    pages: dict[int, tuple[InboxPage, list[Plan]]],
) -> None:
    for page, _plans in pages.values():
        assert (len(page.approvals), page.count_text) == (PAGE, "50+")


def test_a_hundred_thousand_pending_approvals_cost_a_page_nothing(
    pages: dict[int, tuple[InboxPage, list[Plan]]],
) -> None:
    """Half of them are for the one who looks, the others for others."""
    few, many = pages[FEW][1], pages[MANY][1]

    assert [plan.words for plan in few] == [plan.words for plan in many]
    assert scanned(many, TABLES) == []
    assert grown(few, many) == []
    of_entries = [plan for plan in many if "inboxentry" in plan.sql]
    assert [plan.examined for plan in of_entries] == [PAGE + 1]
