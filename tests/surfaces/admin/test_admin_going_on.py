"""Retrying from a chosen step, and resuming: offered where they make a difference, asked first, done by POST."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from django.contrib.auth.models import User
from django.test import Client

from flowstate.models import Compensation, EventKind, Run, RunStatus, StepStatus
from flowstate.models.clock import host_now
from tests.surfaces.admin.conftest import MakeRun, texts
from tests.zoo.models import Feed

pytestmark = pytest.mark.django_db(transaction=True)

FAILED: dict[str, Any] = {
    "wet": {"compensation": Compensation.NONE},
    "wait": {"status": StepStatus.FAILED, "depends_on": ["wet"], "kind": "external"},
}


def url(run: Run, page: str) -> str:
    return f"/barn/flowstate/run/{run.pk}/{page}/"


def offered(client: Client, run: Run) -> set[str]:
    page = client.get(url(run, "change")).content.decode()
    return {name for name in ("retry", "retry-from", "resume") if url(run, name) in page}


@pytest.fixture
def failed(make_run: MakeRun, oats: Feed) -> Run:
    """A run of `Dry` whose first step is done, and cannot be undone."""
    return make_run(
        RunStatus.FAILED,
        on=oats,
        workflow="tests.surfaces.admin.barn.Dry",
        action="zoo.feed.dry",
        failed_step="wait",
        error={"detail": "x", "code": "x"},
        steps=FAILED,
    )


@pytest.fixture
def waiting(make_run: MakeRun, oats: Feed) -> Run:
    """A run of `Dry` whose second step is tried again in an hour."""
    later = {"status": StepStatus.READY, "wake_at": host_now() + timedelta(hours=1), "background": True}
    return make_run(
        RunStatus.RUNNING,
        on=oats,
        workflow="tests.surfaces.admin.barn.Dry",
        action="zoo.feed.dry",
        steps={"wet": {}, "wait": FAILED["wait"] | later},
    )


def test_a_run_may_begin_again_at_a_step_that_is_done(desk: Client, failed: Run) -> None:
    assert offered(desk, failed) == {"retry", "retry-from"}

    page = desk.get(url(failed, "retry-from")).content.decode()

    assert 'value="Retry from wet"' in page
    assert "wet: does wet, wait again" in page
    assert "A new run does the step and all that depend on it again" in page


def test_the_new_run_does_the_step_again_and_the_history_says_who_chose(
    desk: Client, failed: Run, oats: Feed
) -> None:
    response = desk.post(url(failed, "retry-from"), {"step": "wet"})

    new = Run.objects.get(retry_of=failed)
    oats.refresh_from_db()
    assert response.headers["Location"] == url(new, "change")
    assert oats.stock == 8
    event = new.events.get(kind=EventKind.RETRY_REQUESTED)
    assert (event.actor_label, event.step) == ("root", "wet")


def test_where_what_was_done_stands_no_step_is_offered(desk: Client, make_run: MakeRun) -> None:
    stands = {"wet": {"compensation": Compensation.PENDING}, "wait": FAILED["wait"]}
    run = make_run(RunStatus.FAILED, steps=stands)

    assert offered(desk, run) == {"retry"}
    assert "what its steps did stands" in desk.get(url(run, "retry-from")).content.decode()


@pytest.mark.parametrize("step", ["", "nothing", "wait\x00"])
def test_a_step_that_is_not_there_is_an_error_in_words(desk: Client, failed: Run, step: str) -> None:
    response = desk.post(url(failed, "retry-from"), {"step": step}, follow=True)

    assert response.status_code == 200
    assert step == "wait\x00" or "has no step" in texts(response)[0]


def test_an_attempt_that_waits_can_begin_now(desk: Client, waiting: Run) -> None:
    assert offered(desk, waiting) == {"resume"}
    assert 'value="Resume this run"' in desk.get(url(waiting, "resume")).content.decode()

    desk.post(url(waiting, "resume"))

    step = waiting.refresh().step_runs.get(name="wait")
    assert step.wake_at is not None
    assert step.wake_at <= host_now() + timedelta(seconds=1)
    assert waiting.events.get(kind=EventKind.RETRY_REQUESTED).actor_label == "root"


def test_a_run_that_nobody_looks_at_can_be_resumed(desk: Client, make_run: MakeRun) -> None:
    run = make_run(RunStatus.RUNNING)
    assert offered(desk, run) == set()

    Run.objects.filter(pk=run.pk).update(wake_at=host_now() - timedelta(minutes=1))

    assert offered(desk, run) == {"resume"}


@pytest.mark.parametrize("page", ["retry-from", "resume"])
def test_looking_changes_nothing_and_who_may_not_operate_is_refused(
    client: Client, failed: Run, waiting: Run, keeper: User, dump: Callable[[], list[Any]], page: str
) -> None:
    """S7, S8"""
    client.force_login(keeper)
    before = dump()

    for run in (failed, waiting):
        assert client.get(url(run, page)).status_code == 403
        assert client.post(url(run, page), {"step": "wet"}).status_code == 403

    assert dump() == before
