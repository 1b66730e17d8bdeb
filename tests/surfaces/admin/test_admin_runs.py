"""The list of runs: what it shows, to whom, and at what cost."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from django.contrib.auth.models import User
from django.test import Client

from flowstate.admin.run_list import window
from flowstate.models import Run, RunStatus, StepStatus
from flowstate.models.clock import host_now
from tests.surfaces.admin.conftest import MakeRun
from tests.zoo.models import Feed

LIST = "/barn/flowstate/run/"


def shown(response: Any) -> list[Run]:
    return list(response.context["cl"].result_list)


def test_a_line_tells_what_ran_on_what_how_far_for_whom_and_how_long(
    desk: Client, make_run: MakeRun, oats: Feed
) -> None:
    run = make_run(
        RunStatus.COMPENSATED,
        on=oats,
        started_at=host_now() - timedelta(seconds=90),
        steps={
            "add": {},
            "close": {"status": StepStatus.FAILED, "failures": 1},
            "label": {"status": StepStatus.BLOCKED},
        },
    )

    page = desk.get(LIST).content.decode()

    assert f"<code>{run.pk.hex[-8:]}</code>" in page
    assert '<span title="zoo.feed.refill">refill</span>' in page
    assert '<span aria-hidden="true">↺</span> undone</span>' in page
    assert 'aria-label="2 of 3 steps have settled"' in page
    assert f'<a href="/barn/zoo/feed/{oats.pk}/change/">feed {oats.pk}</a>' in page
    assert "keeper" in page
    assert "took 1 min 30 s" in page
    assert ">1 min ago</time>" in page
    assert "attempts: 3 (1 failed)" in page


def test_a_run_that_waits_says_for_what(desk: Client, make_run: MakeRun) -> None:
    make_run(RunStatus.RUNNING, waiting_for="time")

    page = desk.get(LIST).content.decode()

    assert ">waits for a time<" in page
    assert "took" not in page


def test_the_newest_run_comes_first(desk: Client, make_run: MakeRun) -> None:
    old, new = make_run(), make_run()

    assert shown(desk.get(LIST)) == [new, old]


@pytest.mark.parametrize("runs", [1, 50])
def test_a_page_takes_the_same_queries_for_one_run_and_for_fifty(
    desk: Client,
    make_run: MakeRun,
    oats: Feed,
    django_assert_num_queries: DjangoAssertNumQueries,
    runs: int,
) -> None:
    for _ in range(runs):
        make_run(on=oats, steps={"add": {}, "close": {}})
    desk.get(LIST)  # content types are read once in a process

    with django_assert_num_queries(10):  # session, user, four for the numbers, window, count, runs, steps
        response = desk.get(LIST)

    assert len(shown(response)) == runs


def test_so_many_runs_are_looked_through_and_the_page_leads_on_to_older_ones(
    desk: Client, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "LONGEST_LOOK", 3)
    oldest, older, *latest = [make_run(RunStatus.FAILED) for _ in range(5)]

    response = desk.get(f"{LIST}?status__exact=failed")
    older_url = response.context["cl"].older_url
    further = desk.get(LIST + older_url)

    assert shown(response) == latest[::-1]
    assert "among the runs looked through" in response.content.decode()
    assert f"upto={older.pk}" in older_url
    assert shown(further) == [older, oldest]
    assert "status__exact=failed" in older_url
    assert further.context["cl"].older_url == ""


def test_few_rows_are_counted_exactly(desk: Client, make_run: MakeRun) -> None:
    make_run()
    make_run()

    assert "2 runs" in desk.get(LIST).content.decode()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status__exact=failed", ["failed"]),
        ("action=zoo.feed.jam", ["jam"]),
        ("action=-", ["nightly"]),
        ("q=NightlyImport", ["nightly"]),
        ("q=feed.jam", ["jam"]),
        ("q=4711", ["row"]),
        ("q=471", []),
    ],
)
def test_runs_are_found_by_status_action_workflow_and_row(
    desk: Client, make_run: MakeRun, query: str, found: list[str]
) -> None:
    runs = {
        "failed": make_run(RunStatus.FAILED),
        "jam": make_run(action="zoo.feed.jam"),
        "nightly": make_run(action="", workflow="shop.workflows.NightlyImport"),
        "row": make_run(object_id="4711"),
    }

    assert shown(desk.get(f"{LIST}?{query}")) == [runs[name] for name in found]


def test_a_run_is_found_by_its_id_and_by_the_end_of_it(desk: Client, make_run: MakeRun) -> None:
    run, _other = make_run(), make_run()

    for part in (str(run.pk), run.pk.hex, run.pk.hex[-8:], run.pk.hex[-8:].upper()):
        assert shown(desk.get(LIST, {"q": part})) == [run]


def test_nothing_can_be_sorted_counted_or_deleted_in_bulk(desk: Client, make_run: MakeRun) -> None:
    run = make_run()

    page = desk.get(f"{LIST}?_facets=True&o=1&all=").content.decode()
    desk.post(LIST, {"action": "delete_selected", "_selected_action": [str(run.pk)], "post": "yes"})

    assert "delete_selected" not in page
    assert "Show counts" not in page
    assert 'class="sortable' not in page
    assert Run.objects.filter(pk=run.pk).exists()


# --- who sees what -------------------------------------------------------------------------------


def test_staff_see_their_own_runs_and_those_on_rows_they_may_view(
    client: Client, make_run: MakeRun, oats: Feed, keeper: User, guest: User, root: User
) -> None:
    on_feed = make_run(on=oats, requested_by=root)
    of_guest = make_run(action="", requested_by=guest)
    of_nobody = make_run(action="")
    seen = {}

    for user in (root, keeper, guest):
        client.force_login(user)
        seen[user.username] = shown(client.get(LIST))

    assert seen == {"root": [of_nobody, of_guest, on_feed], "keeper": [on_feed], "guest": [of_guest]}


@pytest.mark.parametrize("query", ["q={pk}", "status__exact=succeeded", "id__exact={pk}", "object_id=1"])
def test_no_filter_and_no_search_shows_what_one_may_not_see(
    client: Client, make_run: MakeRun, guest: User, query: str
) -> None:
    run = make_run(object_id="1")
    client.force_login(guest)

    assert shown(client.get(f"{LIST}?{query.format(pk=run.pk)}", follow=True)) == []


def test_the_index_names_runs_to_those_who_may_see_more_than_their_own(
    client: Client, keeper: User, guest: User
) -> None:
    named = {}

    for user in (keeper, guest):
        client.force_login(user)
        named[user.username] = LIST in client.get("/barn/").content.decode()

    assert named == {"keeper": True, "guest": False}


def test_who_is_not_of_the_staff_is_asked_to_log_in(client: Client, make_run: MakeRun) -> None:
    run = make_run()
    client.force_login(User.objects.create_user("customer"))

    for page in ("", f"{run.pk}/change/", f"{run.pk}/cancel/", f"{run.pk}/retry/"):
        assert client.get(LIST + page).headers["Location"].startswith("/barn/login/")
        assert client.post(LIST + page).headers["Location"].startswith("/barn/login/")
