"""The admin's list beside a hundred thousand runs: few queries, and no table read through."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django.plugin import DjangoDbBlocker

from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test import Client, override_settings

from flowstate.admin.run_list.window import LONGEST_LOOK
from flowstate.models import Run
from tests.flushing import _empty, _made
from tests.growth import filling
from tests.growth.plans import Plan, watched
from tests.growth.test_growth import FEW, MANY, scanned
from tests.kiosk.models import Sale

pytestmark = [pytest.mark.only_postgres, pytest.mark.django_db]

QUERIES = {
    "all": "",
    "the last page": "p=200",
    "a status": "status__exact=succeeded",
    "a status that is rare": "status__exact=cancelled",
    "attention": "status__exact=attention",
    "stuck": "status__exact=stuck",
    "waiting": "status__exact=waiting",
    "failed today": "status__exact=failed_today",
    "an action": "action=shop.order.checkout",
    "a workflow": "workflow=no.such.Workflow",
    "a kind of row": "model=kiosk.sale",
    "a user": "user=me",
    "a time": "started=week",
    "a row": "content_type={sale}&object_id=1000007",
    "the key of a row": "q=1000007",
    "an id": "q=01800000-0000-0000-0000-00000000000a",
    "the end of an id": "q=0000000a",
    "a name": "q=checkout",
}


@pytest.fixture(scope="module")
def looked(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[dict[str, dict[str, list[Plan]]]]:
    """The plans of every list beside many finished runs, and beside as many that wait."""
    with django_db_blocker.unblock(), override_settings(ROOT_URLCONF="tests.urls"):
        try:
            yield _look_at_all()
        finally:
            filling.empty()
            _empty(connection, _made["default"])


def _look_at_all() -> dict[str, dict[str, list[Plan]]]:
    root = User.objects.create_superuser("root")
    client = Client()
    client.force_login(root)
    kind = ContentType.objects.get_for_model(Sale).pk
    found: dict[str, dict[str, list[Plan]]] = {}
    for name, finished, waiting in (("many", MANY, 0), ("waiting", FEW, MANY)):
        filling.empty()
        filling.fill_finished(finished, requested_by=root.pk)
        filling.fill_waiting(waiting, requested_by=root.pk)
        filling.analyze()
        found[name] = {title: _look(client, query.format(sale=kind)) for title, query in QUERIES.items()}
    return found


def _look(client: Client, query: str) -> list[Plan]:
    address = f"/admin/flowstate/run/?{query}"
    client.get(address)  # what Django keeps beside the rows is filled
    with watched() as watch:
        answer: Any = client.get(address, follow=True)
    assert answer.status_code == 200
    return watch.plans


@pytest.mark.parametrize("title", QUERIES)
def test_a_list_takes_few_queries_and_reads_no_table_through_beside_many_runs(
    looked: dict[str, dict[str, list[Plan]]], title: str
) -> None:
    many, waiting = (looked[name][title] for name in ("many", "waiting"))

    # Beside the session, the user and the numbers: what leads to the runs, how many, which, and their steps.
    assert max(len(many), len(waiting)) <= 11
    assert scanned(many) == []
    assert scanned(waiting) == []


@pytest.mark.parametrize("title", QUERIES)
def test_no_query_of_a_list_examines_more_than_the_runs_that_are_looked_through(
    looked: dict[str, dict[str, list[Plan]]], title: str
) -> None:
    beyond = [
        (plan.words, plan.examined) for plan in looked["many"][title] if plan.examined > LONGEST_LOOK + 100
    ]

    assert beyond == []


def test_the_filled_runs_are_seen(looked: dict[str, dict[str, list[Plan]]]) -> None:
    assert Run.objects.count() == FEW + MANY
