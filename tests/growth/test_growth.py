"""Growth: beside many runs each statement examines as many rows as beside few, and reads no table through."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from pytest_django.plugin import DjangoDbBlocker

from django.db import connection
from django.test import override_settings

from flowstate.models import Run, StepRun
from tests.faults import post
from tests.flushing import _empty, _made
from tests.growth import filling
from tests.growth.plans import Plan
from tests.growth.scenes import Stage, look_for_work, play, scenes

pytestmark = [pytest.mark.only_postgres, pytest.mark.django_db]

FEW, MANY = 1_000, 100_000
SHORT, LONG = 10, 10_000
FILLED = {Run._meta.db_table, StepRun._meta.db_table}
JOURNAL = {model._meta.db_table for model in filling.JOURNAL}
"""Those that are filled beside waiting runs, too; of an empty table PostgreSQL asks no index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """The plans of every scene, beside so many runs."""

    few: dict[str, list[Plan]]
    many: dict[str, list[Plan]]
    """Finished ones."""
    waiting: dict[str, list[Plan]]
    """Live ones, which wait for a person or for next year."""
    queued: dict[int, list[Plan]]
    """What a drain asks while so many runs are queued, beside many finished ones."""


@pytest.fixture(scope="module")
def played(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Played]:
    with django_db_blocker.unblock(), override_settings(FLOWSTATE={"CARRIER": post.PATH}):
        try:
            yield _play_all()
        finally:
            filling.empty()
            _empty(connection, _made["default"])
            post.letters.clear()


def _play_all() -> Played:
    stage = Stage()
    play(stage)  # the caches that Django keeps beside the rows are filled
    few = _beside(stage, finished=FEW)
    waiting = _beside(stage, finished=FEW, waiting=MANY)
    many = _beside(stage, finished=MANY)
    queued = {count: _with_queued(count) for count in (SHORT, LONG)}
    return Played(few=few, many=many, waiting=waiting, queued=queued)


def _beside(stage: Stage, *, finished: int, waiting: int = 0) -> dict[str, list[Plan]]:
    filling.empty()
    filling.fill_finished(finished)
    filling.fill_waiting(waiting)
    filling.analyze()
    return play(stage)


def _with_queued(count: int) -> list[Plan]:
    filling.fill_queued(count)
    filling.analyze()
    return look_for_work()


def scanned(plans: list[Plan], tables: set[str] = FILLED) -> list[str]:
    """Return the statements that read one of these tables from one end to the other."""
    return [plan.words for plan in plans if tables.intersection(plan.scanned)]


def grown(few: list[Plan], many: list[Plan]) -> list[tuple[str, int, int]]:
    """Return the statements that examine more rows beside many runs, and how many."""
    pairs = zip(few, many, strict=True)
    return [(two.words, one.examined, two.examined) for one, two in pairs if two.examined > one.examined]


@pytest.mark.parametrize("scene", scenes())
def test_a_hundred_thousand_finished_runs_cost_nothing(played: Played, scene: str) -> None:
    few, many = played.few[scene], played.many[scene]

    assert few
    assert [plan.words for plan in few] == [plan.words for plan in many]
    assert scanned(many) == []
    assert grown(few, many) == []


@pytest.mark.parametrize("scene", scenes())
def test_a_hundred_thousand_runs_that_wait_cost_nothing(played: Played, scene: str) -> None:
    """C11, I30; matrix row 49, with ten times as many."""
    few, waiting = played.few[scene], played.waiting[scene]

    assert [plan.words for plan in few] == [plan.words for plan in waiting]
    assert scanned(waiting, JOURNAL) == []
    assert grown(few, waiting) == []


def test_a_long_queue_is_not_read_through_for_its_first_run(played: Played) -> None:
    *drain, sweep = played.queued[SHORT]
    *long_drain, long_sweep = played.queued[LONG]

    assert (sweep.examined, long_sweep.examined) == (10, 100)
    assert scanned(long_drain) == []
    assert grown(drain, long_drain) == []
