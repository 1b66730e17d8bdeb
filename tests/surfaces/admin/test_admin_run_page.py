"""The page of a run: what it tells, that nothing in it is markup, and that it changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django_celery_results.models import TaskResult
from pytest_django import DjangoAssertNumQueries

from django.contrib.auth.models import Permission, User
from django.test import Client

from flowstate.models import Compensation, EventKind, Run, RunEvent, RunStatus, StepStatus
from flowstate.models.clock import host_now
from tests.surfaces.admin.barn import XSS
from tests.surfaces.admin.conftest import MakeRun
from tests.zoo.models import Feed

ERROR = {"code": "burst", "detail": "The bag burst.", "class": "barn.Burst", "step": "close", "status": 422}


def page_of(client: Client, run: Run) -> str:
    response = client.get(f"/barn/flowstate/run/{run.pk}/change/")
    assert response.status_code == 200
    return response.content.decode()


def test_the_page_tells_who_asked_for_what_on_which_row(desk: Client, make_run: MakeRun, oats: Feed) -> None:
    run = make_run(on=oats, input_json={"amount": 5}, value_json={"$decimal": "1.50"})

    page = page_of(desk, run)

    assert f'<a href="/barn/zoo/feed/{oats.pk}/change/">{oats}</a>' in page
    assert "keeper" in page
    assert "&quot;amount&quot;: 5" in page
    assert "&quot;1.50&quot;" in page
    assert str(run.pk) in page


def test_each_step_shows_its_attempts_result_data_error_and_undo_record(
    desk: Client, make_run: MakeRun
) -> None:
    run = make_run(
        RunStatus.ATTENTION,
        failed_step="close",
        error=ERROR,
        steps={
            "add": {
                "result_json": {"pk": 11},
                "data_json": {"colour": "red"},
                "undo": {
                    "changed": [
                        {"model": "zoo.feed", "key": "1", "fields": {"stock": {"before": "was-seven"}}}
                    ]
                },
                "compensation": Compensation.FAILED,
                "compensation_failures": 3,
                "compensation_error": {
                    "detail": "Somebody else changed stock.",
                    "fields": {"stock": "now-nine"},
                },
            },
            "close": {"status": StepStatus.FAILED, "attempt": 4, "failures": 3, "lost": 1, "error": ERROR},
            "label": {"status": StepStatus.SKIPPED, "reason": "no label needed", "attempt": 0},
        },
    )

    page = page_of(desk, run)

    for text in ("&quot;pk&quot;: 11", "colour", "was-seven", "Somebody else changed stock.", "now-nine"):
        assert text in page
    assert "4 (3 failed, 1 lost)" in page
    assert "undo failed</span> 3 failed" in page
    assert "Failed at step close" in page
    assert "The bag burst." in page
    assert "no label needed" in page


@pytest.mark.parametrize(
    ("status", "step", "shown"),
    [
        (RunStatus.RUNNING, StepStatus.DONE, True),
        (RunStatus.RUNNING, StepStatus.READY, False),
        (RunStatus.ATTENTION, StepStatus.UNKNOWN, True),
        (RunStatus.SUCCEEDED, StepStatus.DONE, False),
        (RunStatus.FAILED, StepStatus.FAILED, False),
    ],
)
def test_only_what_was_done_in_a_live_run_can_be_undone(
    desk: Client, make_run: MakeRun, status: RunStatus, step: StepStatus, shown: bool
) -> None:
    run = make_run(status, steps={"add": {"status": step, "compensation": Compensation.PENDING}})

    assert ("can be undone" in page_of(desk, run)) is shown


def test_the_history_tells_what_happened_when_and_by_whom(desk: Client, make_run: MakeRun) -> None:
    at = host_now()
    run = make_run(RunStatus.RUNNING, started_at=at - timedelta(1), steps={"add": {"ended_at": at}})
    RunEvent.objects.create(
        run=run, kind=EventKind.CANCEL_REQUESTED, actor_label="warden", at=at, data={"detail": "spoilt"}
    )

    response = desk.get(f"/barn/flowstate/run/{run.pk}/change/")

    lines = [(line.entry.step, line.what, line.entry.who) for line in response.context["history"]]
    assert lines == [("", "run started", "keeper"), ("add", "done", ""), ("", "cancel requested", "warden")]
    assert "spoilt" in response.content.decode()


def test_a_retry_and_the_run_it_goes_on_from_are_linked(desk: Client, make_run: MakeRun) -> None:
    old = make_run(RunStatus.FAILED)
    new = make_run(retry_of=old)

    assert f"/barn/flowstate/run/{new.pk}/change/" in page_of(desk, old)
    assert f"/barn/flowstate/run/{old.pk}/change/" in page_of(desk, new)


def test_a_child_its_parent_and_the_run_that_undoes_it_are_linked(desk: Client, make_run: MakeRun) -> None:
    child = make_run()
    undoing = make_run(undo_of_id=child.pk)
    parent = make_run(steps={"add": {"child_id": child.pk, "undone_by_id": undoing.pk}})
    Run.objects.filter(pk__in=[child.pk, undoing.pk]).update(parent=parent, parent_step="add")

    above, below, back = (page_of(desk, run.refresh()) for run in (parent, child, undoing))

    assert f"/barn/flowstate/run/{child.pk}/change/" in above
    assert f"/barn/flowstate/run/{undoing.pk}/change/" in above
    assert f"/barn/flowstate/run/{parent.pk}/change/" in below
    assert "step add" in below
    assert f"/barn/flowstate/run/{child.pk}/change/" in back


def test_a_child_is_not_offered_for_retry_without_its_parent(desk: Client, make_run: MakeRun) -> None:
    alone, child = make_run(RunStatus.FAILED), make_run(RunStatus.FAILED)
    Run.objects.filter(pk=child.pk).update(parent=alone, parent_step="add")

    assert "/retry/" in page_of(desk, alone)
    assert "/retry/" not in page_of(desk, child.refresh())


def test_the_stored_result_of_celery_is_linked_where_there_is_one(desk: Client, make_run: MakeRun) -> None:
    stored = TaskResult.objects.create(task_id="task-1")
    run = make_run(steps={"add": {"celery_task_id": "task-1"}, "close": {"celery_task_id": "task-2"}})

    page = page_of(desk, run)

    assert f"/barn/django_celery_results/taskresult/{stored.pk}/change/" in page
    assert "<code>task-2</code>" in page


def test_celerys_result_is_not_linked_for_who_may_not_see_it(
    client: Client, make_run: MakeRun, guest: User
) -> None:
    TaskResult.objects.create(task_id="task-1")
    run = make_run(requested_by=guest, steps={"add": {"celery_task_id": "task-1"}})
    client.force_login(guest)

    assert "/taskresult/" not in page_of(client, run)


def test_a_row_that_is_gone_is_named_by_its_key(desk: Client, make_run: MakeRun, oats: Feed) -> None:
    run, pk = make_run(on=oats), oats.pk
    oats.delete()

    assert f"feed {pk} (gone)" in page_of(desk, run)


def test_a_row_is_named_by_its_key_for_who_may_not_see_it(
    client: Client, make_run: MakeRun, guest: User
) -> None:
    hidden = Feed.objects.create(name="Hidden")
    run = make_run(on=hidden, requested_by=guest)
    client.force_login(guest)

    page = page_of(client, run)

    assert f"feed {hidden.pk}" in page
    assert str(hidden) not in page


def test_a_traceback_is_for_who_may_change_runs(client: Client, make_run: MakeRun, guest: User) -> None:
    run = make_run(RunStatus.FAILED, requested_by=guest, error=ERROR, traceback="File secret.py, line 1")
    client.force_login(guest)
    before = page_of(client, run)

    guest.user_permissions.add(Permission.objects.get(codename="change_run"))
    after = page_of(client, run)

    assert "The bag burst." in before
    assert "secret.py" not in before
    assert "secret.py" in after


def test_nothing_that_came_from_outside_is_markup(desk: Client, make_run: MakeRun) -> None:
    """S11"""
    hostile = {"detail": XSS, "code": XSS, "class": XSS, "fields": {XSS: XSS}}
    run = make_run(
        RunStatus.ATTENTION,
        action=XSS,
        workflow=XSS,
        requested_by_label=XSS,
        cancelled_by_label=XSS,
        cancelled_at=host_now(),
        object_id=XSS,
        input_json={XSS: XSS},
        value_json=XSS,
        initial_data_json={XSS: XSS},
        error=hostile,
        traceback=XSS,
        failed_step=XSS,
        steps={
            XSS: {
                "kind": "update",
                "status": StepStatus.DONE,
                "reason": XSS,
                "result_json": XSS,
                "data_json": {XSS: XSS},
                "undo": {XSS: [XSS]},
                "error": hostile,
                "compensation": Compensation.FAILED,
                "compensation_error": hostile,
                "celery_task_id": XSS,
                "queue": XSS,
                "depends_on": [XSS],
            }
        },
    )
    RunEvent.objects.create(
        run=run, kind=EventKind.ATTEMPT_FAILED, step=XSS, actor_label=XSS, at=host_now(), data={"detail": XSS}
    )

    for url in ("", f"{run.pk}/change/", f"{run.pk}/retry/", f"{run.pk}/cancel/"):
        page = desk.get(f"/barn/flowstate/run/{url}").content.decode()
        assert "<img src=x" not in page
        assert "&lt;img src=x onerror=alert(1)&gt;&lt;/script&gt;" in page


def test_a_value_longer_than_one_can_read_is_shortened(desk: Client, make_run: MakeRun) -> None:
    run = make_run(value_json="x" * 30_000)

    page = page_of(desk, run)

    assert "shortened, 30002 characters in all" in page
    assert len(page) < 60_000


@pytest.mark.parametrize("steps", [1, 40])
def test_the_page_takes_the_same_queries_for_one_step_and_for_forty(
    desk: Client,
    make_run: MakeRun,
    oats: Feed,
    django_assert_num_queries: DjangoAssertNumQueries,
    steps: int,
) -> None:
    lines = {f"step{number}": {"celery_task_id": f"task-{number}"} for number in range(steps)}
    run = make_run(on=oats, steps=lines)
    page_of(desk, run)

    with django_assert_num_queries(7):  # session, user, run, steps, events, Celery's results, row
        page_of(desk, run)


# --- who may see it, and that it stays as it is --------------------------------------------------


def test_a_run_one_may_not_see_is_not_there(
    client: Client, make_run: MakeRun, guest: User, keeper: User, oats: Feed
) -> None:
    """S3"""
    run = make_run(on=oats)
    status = {}

    for user in (guest, keeper):
        client.force_login(user)
        status[user.username] = [
            client.get(f"/barn/flowstate/run/{pk}/{page}/").status_code
            for pk in (run.pk, uuid4())
            for page in ("change", "cancel", "retry")
        ]

    assert status["guest"] == [404] * 6
    assert status["keeper"] == [200, 403, 403, 404, 404, 404]


def test_what_is_no_id_is_not_found(desk: Client) -> None:
    assert desk.get("/barn/flowstate/run/nonsense/change/").status_code == 404


def test_getting_any_page_changes_nothing(
    desk: Client, make_run: MakeRun, oats: Feed, dump: Callable[[], list[Any]]
) -> None:
    """S7"""
    runs = [make_run(status, on=oats) for status in RunStatus]
    desk.get("/barn/")
    before = dump()

    for run in runs:
        for page in ("change", "cancel", "retry", "history", "delete"):
            desk.get(f"/barn/flowstate/run/{run.pk}/{page}/")
    for page in ("", "add/"):
        desk.get(f"/barn/flowstate/run/{page}")

    assert dump() == before


def test_runs_cannot_be_added_changed_or_deleted_even_by_root(
    desk: Client, make_run: MakeRun, dump: Callable[[], list[Any]]
) -> None:
    """S20"""
    run = make_run()
    before = dump()

    status = [
        desk.post(f"/barn/flowstate/run/{page}", {"status": "failed", "post": "yes"}).status_code
        for page in ("add/", f"{run.pk}/change/", f"{run.pk}/delete/")
    ]

    assert status == [403, 403, 403]
    assert dump() == before
