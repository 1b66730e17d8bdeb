"""What operators look for in the list of runs, and the numbers above it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from pytest_django import DjangoAssertNumQueries

from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.test import Client

from flowstate.admin.run_list import window
from flowstate.models import Run, RunStatus, StepRun
from flowstate.models.clock import host_now
from tests.surfaces.admin.conftest import MakeRun
from tests.zoo.models import Feed

LIST = "/barn/flowstate/run/"


def shown(client: Client, query: str) -> list[Run]:
    return list(client.get(f"{LIST}?{query}").context["cl"].result_list)


def numbers(client: Client) -> dict[str, str]:
    return {number.label: number.text for number in client.get(LIST).context["flowstate_numbers"]}


@pytest.fixture
def family(make_run: MakeRun) -> tuple[Run, Run, Run]:
    """A run above a run above one in attention."""
    child = make_run(RunStatus.ATTENTION, waiting_for="person")
    middle = make_run(RunStatus.RUNNING, waiting_for="person", steps={"call": {"kind": "workflow"}})
    above = make_run(RunStatus.RUNNING, waiting_for="person", steps={"call": {"kind": "workflow"}})
    StepRun.objects.filter(run=middle).update(child=child)
    StepRun.objects.filter(run=above).update(child=middle)
    return above, middle, child


@pytest.fixture
def crowd(make_run: MakeRun, family: Any, root: User) -> None:
    for _ in range(20):
        make_run(RunStatus.FAILED, requested_by=root)


def test_the_runs_above_one_in_attention_are_listed_with_it(
    desk: Client, make_run: MakeRun, family: tuple[Run, Run, Run]
) -> None:
    make_run(RunStatus.RUNNING)

    assert shown(desk, "status__exact=attention") == list(family)
    assert numbers(desk)["needs attention"] == "3"


def test_a_run_that_is_due_and_that_nobody_looks_at_is_stuck(desk: Client, make_run: MakeRun) -> None:
    late, soon = make_run(RunStatus.RUNNING), make_run(RunStatus.RUNNING)
    make_run(RunStatus.RUNNING)
    Run.objects.filter(pk=late.pk).update(wake_at=host_now() - timedelta(minutes=5))
    Run.objects.filter(pk=soon.pk).update(wake_at=host_now() - timedelta(seconds=5))

    assert shown(desk, "status__exact=stuck") == [late]
    assert numbers(desk)["Oldest waiting for a worker"].startswith("5 min ")


def test_live_runs_are_found_however_old_they_are(
    desk: Client, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "LONGEST_LOOK", 2)
    old = make_run(RunStatus.RUNNING, waiting_for="time")
    for _ in range(5):
        make_run()

    for standing in ("running", "waiting"):
        assert shown(desk, f"status__exact={standing}") == [old]


def test_what_has_failed_today_is_listed_and_counted(desk: Client, make_run: MakeRun) -> None:
    failed, undone = make_run(RunStatus.FAILED), make_run(RunStatus.COMPENSATED)
    make_run(RunStatus.CANCELLED)
    before = make_run(RunStatus.FAILED)
    Run.objects.filter(pk=before.pk).update(ended_at=host_now() - timedelta(days=2))

    assert shown(desk, "status__exact=failed_today") == [undone, failed]
    assert numbers(desk)["failed today"] == "2"


def test_the_numbers_are_of_the_runs_that_one_may_see(
    client: Client, make_run: MakeRun, guest: User, root: User
) -> None:
    """S3"""
    for user in (guest, root):
        make_run(RunStatus.RUNNING, requested_by=user, waiting_for="event", action="")
        make_run(RunStatus.FAILED, requested_by=user, action="")
        make_run(RunStatus.ATTENTION, requested_by=user, action="")
    client.force_login(guest)

    assert numbers(client) == {
        "running": "1",
        "waiting": "1",
        "needs attention": "1",
        "failed today": "1",
        "Oldest waiting for a worker": "none",
    }


@pytest.fixture
def various(make_run: MakeRun, oats: Feed, root: User, keeper: User) -> dict[str, Run]:
    return {
        "feed": make_run(on=oats, requested_by=keeper),
        "mine": make_run(requested_by=root),
        "nightly": make_run(
            action="",
            workflow="shop.workflows.NightlyImport",
            by_system=True,
            started_at=host_now() - timedelta(days=3),
        ),
    }


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("workflow=shop.workflows.NightlyImport", ["nightly"]),
        ("model=zoo.feed", ["feed"]),
        ("model=-", ["nightly", "mine"]),
        ("model=no.such", []),
        ("user=me", ["mine"]),
        ("user={keeper}", ["feed"]),
        ("user=program", ["nightly"]),
        ("user=nobody", []),
        ("started=hour", ["mine", "feed"]),
        ("started=week", ["nightly", "mine", "feed"]),
        ("status__exact=no-such", []),
    ],
)
def test_runs_are_found_by_workflow_kind_of_row_user_and_time(
    desk: Client, various: dict[str, Run], keeper: User, query: str, found: list[str]
) -> None:
    assert shown(desk, query.format(keeper=keeper.pk)) == [various[name] for name in found]


def test_a_run_is_found_by_the_key_that_a_step_has_sent(desk: Client, make_run: MakeRun) -> None:
    run, _other = make_run(), make_run()

    assert shown(desk, f"q={run.pk}:charge:undo") == [run]


def test_runs_on_a_row_are_found_however_old_they_are(
    desk: Client, make_run: MakeRun, oats: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "LONGEST_LOOK", 2)
    run = make_run(on=oats)
    for _ in range(5):
        make_run()
    kind = ContentType.objects.get_for_model(Feed)

    assert shown(desk, f"q={oats.pk}") == [run]
    assert shown(desk, f"content_type={kind.pk}&object_id={oats.pk}") == [run]


@pytest.mark.parametrize("query", ["q=%00", "q=%27%22", "upto=nonsense", "user=%00", "status__exact=%00"])
def test_nonsense_in_the_address_is_no_error(desk: Client, make_run: MakeRun, query: str) -> None:
    make_run()

    assert desk.get(f"{LIST}?{query}").status_code == 200


def test_the_chosen_filter_is_shown_though_it_is_none_of_the_choices(desk: Client, make_run: MakeRun) -> None:
    make_run(workflow="gone.Workflow", action="")

    page = desk.get(f"{LIST}?workflow=gone.Workflow").content.decode()

    assert "gone.Workflow</a>" in page


@pytest.mark.parametrize(
    ("query", "queries"),
    [("status__exact=attention", 10), ("status__exact=failed", 10), ("user=me", 9), ("q=Refill", 11)],
)
def test_a_filter_takes_the_same_queries_whatever_it_finds(
    desk: Client,
    crowd: None,
    django_assert_num_queries: DjangoAssertNumQueries,
    query: str,
    queries: int,
) -> None:
    desk.get(f"{LIST}?{query}")  # content types are read once in a process

    with django_assert_num_queries(queries):
        desk.get(f"{LIST}?{query}")


def test_an_id_that_is_made_up_finds_nothing(desk: Client, make_run: MakeRun) -> None:
    make_run()

    assert shown(desk, f"q={UUID(int=7)}") == []
