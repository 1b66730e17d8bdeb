"""Something done with several runs: it asks, does it one by one, and says what came of each."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client

from flowstate.models import Compensation, EventKind, Run, RunEvent, RunStatus
from flowstate.models.clock import host_now
from tests.surfaces.admin.conftest import MakeRun, texts
from tests.zoo.models import Feed

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/barn/flowstate/run/"


def select(client: Client, action: str, *runs: Run) -> Any:
    keys = [str(run.pk) for run in runs]
    return client.post(LIST, {"action": action, "_selected_action": keys}, follow=True)


def bulk(name: str, *runs: Run) -> str:
    return f"{LIST}bulk/{name}/?runs={','.join(run.pk.hex for run in runs)}"


@pytest.fixture
def jammed(oats: Feed, root: User, make_run: MakeRun) -> list[Run]:
    """Two runs whose undoing failed; that of the first can be done once its bin has another name."""
    Feed.objects.filter(pk=oats.pk).update(name="jammed")
    failed = {
        "compensation": Compensation.FAILED,
        "compensation_error": {},
        "compensation_ended_at": host_now(),
    }
    other = make_run(
        RunStatus.ATTENTION, on=oats, waiting_for="person", error={"detail": "x"}, steps={"add": failed}
    )
    return [oats.doings.jam.run(user=root), other]  # type: ignore[attr-defined]


def test_selected_runs_are_asked_about_and_those_that_do_not_fit_are_refused_with_the_reason(
    desk: Client, make_run: MakeRun, dump: Any
) -> None:
    failed, ended_well = make_run(RunStatus.FAILED), make_run()
    before = dump()

    response = select(desk, "bulk_retry", failed, ended_well)

    page = response.content.decode()
    assert [line.run for line in response.context["able"]] == [failed]
    assert [line.run for line in response.context["refused"]] == [ended_well]
    assert "It cannot be retried: it goes on, ended well, or was retried already." in page
    assert 'value="Retry 1 run"' in page
    assert dump()[0] == before[0]


def test_what_failed_is_undone_again_for_each_of_them(desk: Client, jammed: list[Run]) -> None:
    Feed.objects.update(name="smooth")

    response = desk.post(bulk("retry", *jammed))

    assert [line.run.status for line in response.context["able"]] == ["attention", "compensated"]
    assert RunEvent.objects.filter(kind=EventKind.RETRY_REQUESTED, actor_label="root").count() == 2


def test_one_that_is_refused_keeps_none_of_the_others_back(
    desk: Client, jammed: list[Run], make_run: MakeRun
) -> None:
    response = desk.post(bulk("cancel", make_run(RunStatus.FAILED), jammed[0], *_enqueued(2)))

    assert [line.run.status for line in response.context["able"]] == ["cancelled", "cancelled"]
    assert len(response.context["refused"]) == 2


def _enqueued(count: int) -> list[Run]:
    root = User.objects.get(username="root")
    bins = [Feed.objects.create(name=f"bin {number}", stock=1) for number in range(count)]
    return [row.doings.dry.run(user=root) for row in bins]  # type: ignore[attr-defined]


def test_waiving_asks_why_and_keeps_it_in_the_history_of_each(desk: Client, jammed: list[Run]) -> None:
    without = desk.post(bulk("waive", *jammed))
    assert "Say why." in without.content.decode()
    assert {run.refresh().status for run in jammed} == {"attention"}

    desk.post(bulk("waive", *jammed), {"reason": "The lids are broken."})

    assert {run.refresh().status for run in jammed} == {"compensated"}
    waived = RunEvent.objects.filter(kind=EventKind.UNDO_WAIVED)
    assert [(event.actor_label, event.data["detail"]) for event in waived] == [
        ("root", "The lids are broken.")
    ] * 2


def test_a_retry_that_goes_on_in_a_new_run_links_it(desk: Client, oats: Feed, root: User) -> None:
    run = oats.doings.divide.run(user=root)  # type: ignore[attr-defined]

    response = desk.post(bulk("retry", run))

    new = Run.objects.get(retry_of=run)
    assert f"{LIST}{new.pk}/change/" in response.content.decode()


def test_the_forms_are_outside_of_any_transaction(
    desk: Client, jammed: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(transaction.get_connection().settings_dict, "ATOMIC_REQUESTS", True)

    desk.post(bulk("waive", jammed[0]), {"reason": "So."})

    assert jammed[0].refresh().finished


# --- who may -------------------------------------------------------------------------------------


def test_who_may_see_runs_but_not_operate_them_is_refused_run_by_run(
    client: Client, make_run: MakeRun, oats: Feed, keeper: User, root: User
) -> None:
    """S8"""
    others = make_run(RunStatus.FAILED, on=oats, requested_by=root)
    client.force_login(keeper)

    response = client.post(bulk("retry", others))

    assert "You may not do this with this run." in response.content.decode()
    assert not Run.objects.filter(retry_of=others).exists()


def test_runs_that_one_may_not_see_are_not_even_named(client: Client, make_run: MakeRun, guest: User) -> None:
    """S3"""
    run = make_run(RunStatus.FAILED)
    client.force_login(guest)

    page = client.get(bulk("retry", run)).content.decode()

    assert run.pk.hex not in page
    assert "There is nothing to do." in page


def test_waiving_is_offered_to_who_may_operate_all_runs(
    client: Client, keeper: User, root: User, make_run: MakeRun
) -> None:
    make_run(requested_by=keeper)
    offered = {}

    for user in (keeper, root):
        client.force_login(user)
        offered[user.username] = "bulk_waive" in client.get(LIST).content.decode()

    assert offered == {"keeper": False, "root": True}


def test_more_than_a_page_is_not_done_at_once(desk: Client, make_run: MakeRun) -> None:
    runs = [make_run(RunStatus.FAILED) for _ in range(51)]

    response = desk.post(
        LIST,
        {"action": "bulk_retry", "_selected_action": [str(runs[0].pk)], "select_across": "1"},
        follow=True,
    )

    assert texts(response) == ["At most 50 runs at once: select those of one page."]


@pytest.mark.parametrize("path", ["bulk/force/", "bulk/nothing/"])
def test_nothing_else_is_done_with_several(desk: Client, path: str) -> None:
    assert desk.get(LIST + path).status_code == 404


def test_a_form_without_its_token_is_refused(root: User, make_run: MakeRun) -> None:
    """S7"""
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(root)

    assert strict.post(bulk("retry", make_run(RunStatus.FAILED))).status_code == 403


@pytest.mark.parametrize("count", [1, 50])
def test_asking_takes_the_same_queries_for_one_run_and_for_fifty(
    desk: Client, make_run: MakeRun, django_assert_num_queries: DjangoAssertNumQueries, count: int
) -> None:
    runs = [make_run(RunStatus.FAILED) for _ in range(count)]
    desk.get(bulk("retry", *runs))

    with django_assert_num_queries(4):  # session, user, runs, steps
        desk.get(bulk("retry", *runs))
