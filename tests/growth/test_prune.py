"""Growth of `flowstate_prune`: what it reads depends on what it deletes, not on what is kept."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from pytest_django.plugin import DjangoDbBlocker

from django.db import connection
from django.db.models import Q

from flowstate.engine.operate.prune import Pruning, delete_families
from flowstate.models import Run, StepRun
from flowstate.models.retention import retention_of
from tests.flushing import _empty, _made
from tests.growth import filling
from tests.growth.plans import Plan, watched

pytestmark = [pytest.mark.only_postgres, pytest.mark.django_db]

FEW, MANY = 2_000, 100_000
OVER = 50
"""Runs whose time is over, of those that are filled: one ends each second."""

FILLED = {Run._meta.db_table, StepRun._meta.db_table}


@pytest.fixture(scope="module")
def plans(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[tuple[list[Plan], list[Plan]]]:
    with django_db_blocker.unblock():
        try:
            yield _prune_beside(FEW), _prune_beside(MANY)
        finally:
            filling.empty()
            _empty(connection, _made["default"])


def _prune_beside(count: int) -> list[Plan]:
    filling.empty()
    filling.fill_finished(count)
    filling.analyze()
    now = filling.LONG_AGO + timedelta(days=1, seconds=OVER + 0.5)
    with watched() as watch:
        for families in Pruning(using="default", retention=retention_of(86400), chosen=Q(), now=now):
            assert delete_families(families, "default") == OVER
    assert Run.objects.count() == count - OVER
    return watch.plans


def test_no_table_is_read_through(plans: tuple[list[Plan], list[Plan]]) -> None:
    _few, many = plans

    assert [plan.words for plan in many if FILLED.intersection(plan.scanned)] == []


def test_a_hundred_thousand_runs_that_are_kept_cost_nothing(plans: tuple[list[Plan], list[Plan]]) -> None:
    few, many = plans

    assert [plan.words for plan in few] == [plan.words for plan in many]
    grown = [
        (two.words, one.examined, two.examined)
        for one, two in zip(few, many, strict=True)
        if two.examined > one.examined
    ]
    assert grown == []


def test_the_first_page_is_read_by_the_index_on_the_end(plans: tuple[list[Plan], list[Plan]]) -> None:
    _few, many = plans
    pages = [plan for plan in many if "ORDER BY" in plan.sql and "LIMIT" in plan.sql]

    used = {node["Index Name"] for plan in pages for node in plan.nodes if "Index Name" in node}
    assert used == {"flowstate_run_ended"}
