"""The verbs of runs: each moves a row once, and only from where it expects it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from django.contrib.auth.models import AnonymousUser, Permission, User

from flowstate import SYSTEM
from flowstate.models import Run, RunStatus, StepStatus, WaitingFor
from flowstate.models.clock import FAR_FUTURE, DbNow, db_now
from flowstate.models.identifiers import new_run_id
from flowstate.models.statuses import ENDED, LIVE
from tests.journal.rows import ENDED_AT, a_run, a_step
from tests.kiosk.models import Sale

pytestmark = pytest.mark.django_db

runs = Run.objects

VERBS: dict[str, tuple[RunStatus, Callable[[Run], bool], RunStatus]] = {
    "begin_undoing": (
        RunStatus.RUNNING,
        lambda run: runs.begin_undoing(run.pk, wake_in=9, error={"code": "x"}, step="a"),
        RunStatus.COMPENSATING,
    ),
    "need_attention": (
        RunStatus.COMPENSATING,
        lambda run: runs.need_attention(run.pk, was=RunStatus.COMPENSATING),
        RunStatus.ATTENTION,
    ),
    "need attention of a loser": (
        RunStatus.RUNNING,
        lambda run: runs.need_attention(run.pk, was=RunStatus.RUNNING),
        RunStatus.ATTENTION,
    ),
    "resume undoing": (
        RunStatus.ATTENTION,
        lambda run: runs.resume(run.pk, status=RunStatus.COMPENSATING, wake_in=9),
        RunStatus.COMPENSATING,
    ),
    "resume what goes on": (
        RunStatus.ATTENTION,
        lambda run: runs.resume(run.pk, status=RunStatus.RUNNING, wake_in=9),
        RunStatus.RUNNING,
    ),
    "end well": (
        RunStatus.RUNNING,
        lambda run: runs.end(run.pk, was=RunStatus.RUNNING, status=RunStatus.SUCCEEDED, at=ENDED_AT, value=1),
        RunStatus.SUCCEEDED,
    ),
    "end undone": (
        RunStatus.COMPENSATING,
        lambda run: runs.end(run.pk, was=RunStatus.COMPENSATING, status=RunStatus.COMPENSATED, at=ENDED_AT),
        RunStatus.COMPENSATED,
    ),
}


def fresh(run: Run) -> Run:
    return runs.get(pk=run.pk)


def columns(run: Run) -> dict[str, Any]:
    return dict(runs.filter(pk=run.pk).values().get())


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_wins_once_and_loses_the_second_time(verb: str) -> None:
    """I8."""
    was, move, becomes = VERBS[verb]
    run = a_run(was)

    first, after = move(run), columns(run)
    second = move(run)

    assert (first, second) == (True, False)
    assert after["status"] == becomes
    assert columns(run) == after


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("status", RunStatus)
def test_a_verb_moves_a_run_from_nowhere_else(verb: str, status: RunStatus) -> None:
    was, move, _becomes = VERBS[verb]
    run = a_run(status)
    before = columns(run)

    assert move(run) == (status == was)

    assert (columns(run) == before) == (status != was)


def test_no_verb_leaves_an_end() -> None:
    for status in ENDED:
        run = a_run(status)
        before = columns(run)

        moved = [move(run) for _was, move, _becomes in VERBS.values()]
        moved += [
            runs.lower_wake_up(run.pk),
            runs.set_wake_up(run.pk, DbNow(), WaitingFor.TIME),
            runs.raise_wake_up(run.pk, lease=9),
            runs.request_cancel(run.pk, user_id=None, label="x"),
        ]

        assert not any(moved)
        assert columns(run) == before


def test_ending_frees_the_exclusive_key_and_the_alarm() -> None:
    """I9, I11."""
    run = a_run(exclusive_key="e", idempotency_key="i")

    runs.end(run.pk, was=RunStatus.RUNNING, status=RunStatus.SUCCEEDED, at=ENDED_AT, value={"a": 1})

    run = fresh(run)
    assert (run.exclusive_key, run.wake_at, run.waiting_for) == (None, None, "")
    assert (run.idempotency_key, run.ended_at, run.value) == ("i", ENDED_AT, {"a": 1})


def test_who_cancels_first_stays() -> None:
    run = a_run()

    first = runs.request_cancel(run.pk, user_id=None, label="one")
    second = runs.request_cancel(run.pk, user_id=None, label="two")

    assert (first, second) == (True, False)
    assert fresh(run).cancelled_by_label == "one"


def test_a_branch_may_only_lower_the_wake_up() -> None:
    run = a_run(wake_at=DbNow(60))

    raised, lowered, again = (
        runs.lower_wake_up(run.pk, delay=120),
        runs.lower_wake_up(run.pk, delay=10),
        runs.lower_wake_up(run.pk, delay=30),
    )

    assert (raised, lowered, again) == (False, True, False)
    wake_at = fresh(run).wake_at
    assert wake_at is not None
    assert wake_at - db_now("default") < timedelta(seconds=11)


def test_what_only_a_person_can_move_is_due_never() -> None:
    run = a_run(RunStatus.COMPENSATING)

    runs.need_attention(run.pk, was=RunStatus.COMPENSATING)

    assert fresh(run).wake_at == FAR_FUTURE
    assert not runs.due().exists()


def test_due_runs_come_longest_waiting_first() -> None:
    """I12."""
    second, first, _later = a_run(wake_at=DbNow(-5)), a_run(wake_at=DbNow(-50)), a_run(wake_at=DbNow(50))
    a_run(RunStatus.FAILED)

    assert list(runs.due()) == [first, second]


def test_live_and_ended_are_all_there_is() -> None:
    for status in RunStatus:
        a_run(status)

    assert {run.status for run in runs.live()} == set(LIVE)
    assert {run.status for run in runs.ended()} == set(ENDED)
    assert {run.status for run in runs.attention()} == {"attention"}
    assert runs.live().count() + runs.ended().count() == len(RunStatus)


def test_ids_made_later_sort_later() -> None:
    ids = [new_run_id() for _number in range(1000)]

    assert ids == sorted(ids)
    assert len(set(ids)) == 1000
    assert {one.version for one in ids} == {7}


def test_a_run_is_seen_by_who_asked_for_it_and_who_may_view_its_row(sale: Sale, user: User) -> None:
    mine = sale.actions.touch.run(user=user)
    stranger, viewer, auditor, gone = (
        User.objects.create_user(name) for name in ("bob", "eve", "max", "kim")
    )
    viewer.user_permissions.add(Permission.objects.get(codename="view_sale"))
    auditor.user_permissions.add(Permission.objects.get(codename="view_run"))
    other = a_run()
    User.objects.filter(pk=gone.pk).update(is_active=False)
    gone.refresh_from_db()

    assert list(runs.visible_to(user)) == [mine]
    assert list(runs.visible_to(viewer)) == [mine]
    assert set(runs.visible_to(auditor)) == {mine, other}
    for nobody in (stranger, AnonymousUser(), None, gone):
        assert list(runs.visible_to(nobody)) == []
    assert set(runs.visible_to(SYSTEM)) == {mine, other}


def test_progress_counts_what_has_settled() -> None:
    run = a_run()
    for status in (StepStatus.DONE, StepStatus.RUNNING, StepStatus.BLOCKED):
        a_step(run, status)

    assert run.progress == 33
    assert a_run().progress == 100
