"""The page of a run keeps up with it: it looks again while the run is live, and never after."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries, Settings

from django.contrib.auth.models import User
from django.test import Client

from flowstate.models import EventKind, Run, RunEvent, RunStatus, StepRun, StepStatus
from flowstate.models.clock import host_now
from flowstate.models.statuses import ENDED, LIVE
from tests.surfaces.admin.conftest import MakeRun


def page_of(client: Client, run: Run, query: str = "") -> str:
    return client.get(f"/barn/flowstate/run/{run.pk}/change/{query}").content.decode()


def looked_at(page: str) -> str:
    """Return where a page looks again; empty if it does not."""
    found = re.search(r'hx-get="([^"]+)" hx-trigger="every 2s"', page)
    return found[1] if found else ""


@pytest.mark.parametrize("status", [*LIVE, *ENDED])
def test_a_page_looks_again_as_long_as_the_run_is_live(
    desk: Client, make_run: MakeRun, status: RunStatus
) -> None:
    page = page_of(desk, make_run(status))

    assert bool(looked_at(page)) is (status in LIVE)
    assert ("htmx-2.min.js" in page) is (status in LIVE)
    assert ('http-equiv="refresh"' in page) is (status in LIVE)


def test_nothing_new_is_no_content(
    desk: Client, make_run: MakeRun, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    url = looked_at(page_of(desk, make_run(RunStatus.RUNNING, steps={"add": {}, "close": {}})))

    with django_assert_num_queries(5):  # session, user, run, steps, history
        answer = desk.get(url)

    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize(
    "change",
    [
        lambda run: StepRun.objects.filter(run=run).update(status=StepStatus.WAITING),
        lambda run: StepRun.objects.filter(run=run).update(failures=1),
        lambda run: StepRun.objects.filter(run=run).update(compensation="pending"),
        lambda run: Run.objects.filter(pk=run.pk).update(waiting_for="time"),
        lambda run: RunEvent.objects.create(run=run, kind=EventKind.LEASE_LOST, at=host_now()),
    ],
    ids=["status", "failures", "compensation", "waiting", "history"],
)
def test_whatever_has_moved_is_shown_and_looked_at_again(
    desk: Client, make_run: MakeRun, change: Any
) -> None:
    run = make_run(RunStatus.RUNNING)
    url = looked_at(page_of(desk, run))

    change(run)
    answer = desk.get(url)

    assert answer.status_code == 200
    assert 'id="flowstate-live"' in answer.content.decode()
    assert "<html" not in answer.content.decode()
    assert looked_at(answer.content.decode()) not in ("", url)


def test_the_last_look_is_at_the_end(desk: Client, make_run: MakeRun) -> None:
    run = make_run(RunStatus.RUNNING)
    url = looked_at(page_of(desk, run))

    Run.objects.filter(pk=run.pk).update(status=RunStatus.SUCCEEDED, ended_at=host_now(), wake_at=None)
    answer = desk.get(url).content.decode()

    assert 'data-told="Status: succeeded"' in answer
    assert looked_at(answer) == ""


def test_a_reader_may_have_the_page_stay_as_it_is(desk: Client, make_run: MakeRun) -> None:
    run = make_run(RunStatus.RUNNING)

    assert 'href="?still"' in page_of(desk, run)
    still = page_of(desk, run, "?still")
    assert looked_at(still) == ""
    assert 'http-equiv="refresh"' not in still


def test_without_the_files_of_htmx_the_page_reloads_as_a_whole(
    desk: Client, make_run: MakeRun, settings: Settings
) -> None:
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "django_htmx"]

    page = page_of(desk, make_run(RunStatus.RUNNING))

    assert "htmx" not in page
    assert '<meta http-equiv="refresh" content="5">' in page


def test_who_may_not_see_a_run_cannot_look_at_it_either(
    client: Client, make_run: MakeRun, guest: User
) -> None:
    """S3"""
    run = make_run(RunStatus.RUNNING)
    url = f"/barn/flowstate/run/{run.pk}/live/"

    assert client.get(url).headers["Location"].startswith("/barn/login/")
    client.force_login(guest)
    assert client.get(url).status_code == 404


def test_a_page_has_no_script_and_no_style_of_its_own_in_it(desk: Client, make_run: MakeRun) -> None:
    page = page_of(desk, make_run(RunStatus.RUNNING))

    assert re.findall(r"<script(?![^>]*\bsrc=)[^>]*>|<style|\sstyle=|\son[a-z]+=", page) == []
