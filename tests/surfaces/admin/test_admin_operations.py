"""Cancelling and retrying: asked first, done by POST, by those who may."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from django.contrib.auth.models import Permission, User
from django.test import Client

from flowstate import SYSTEM
from flowstate.engine.carry.messages import carry_run
from flowstate.models import Compensation, EventKind, Run, RunStatus, StepStatus
from tests.kiosk.families import Order
from tests.kiosk.models import Entry
from tests.surfaces.admin.conftest import MakeRun, staff, texts
from tests.zoo.models import Feed


def start(oats: Feed, action: str, user: User) -> Run:
    run: Run = oats.doings[action].run(user=user)  # type: ignore[attr-defined]
    return run


def url(run: Run, page: str) -> str:
    return f"/barn/flowstate/run/{run.pk}/{page}/"


def operable(client: Client, run: Run) -> dict[str, bool]:
    page = client.get(url(run, "change")).content.decode()
    return {name: url(run, name) in page for name in ("cancel", "retry")}


@pytest.mark.parametrize(
    ("status", "offered"),
    [
        (RunStatus.RUNNING, {"cancel": True, "retry": False}),
        (RunStatus.COMPENSATING, {"cancel": False, "retry": False}),
        (RunStatus.ATTENTION, {"cancel": False, "retry": True}),
        (RunStatus.SUCCEEDED, {"cancel": False, "retry": False}),
        (RunStatus.COMPENSATED, {"cancel": False, "retry": True}),
        (RunStatus.FAILED, {"cancel": False, "retry": True}),
        (RunStatus.CANCELLED, {"cancel": False, "retry": True}),
    ],
)
def test_the_page_offers_what_the_status_allows(
    desk: Client, make_run: MakeRun, status: RunStatus, offered: dict[str, bool]
) -> None:
    assert operable(desk, make_run(status)) == offered


def test_what_was_retried_is_not_offered_for_retry_again(desk: Client, make_run: MakeRun) -> None:
    old = make_run(RunStatus.FAILED)
    make_run(retry_of=old)

    assert operable(desk, old) == {"cancel": False, "retry": False}


def test_only_who_asked_for_a_run_and_operators_may_operate_it(
    client: Client, oats: Feed, keeper: User, dump: Callable[[], list[Any]]
) -> None:
    """S8"""
    run = start(oats, "dry", keeper)
    onlooker = staff("onlooker", "zoo.view_feed")
    client.force_login(onlooker)
    before = dump()

    assert operable(client, run) == {"cancel": False, "retry": False}
    assert [client.get(url(run, "cancel")).status_code, client.post(url(run, "cancel")).status_code] == [
        403,
        403,
    ]
    assert dump() == before

    onlooker.user_permissions.add(Permission.objects.get(codename="operate_run"))

    assert operable(client, run) == {"cancel": True, "retry": False}


def test_asking_shows_what_would_be_undone_and_changes_nothing(
    desk: Client, oats: Feed, root: User, dump: Callable[[], list[Any]]
) -> None:
    run = start(oats, "dry", root)
    before = dump()

    response = desk.get(url(run, "cancel"))

    assert response.context["affected"] == ["wet"]
    assert "what was done is undone" in response.content.decode()
    assert dump() == before


def test_asking_to_cancel_shows_which_rows_would_change_how(desk: Client, oats: Feed, root: User) -> None:
    run = start(oats, "dry", root)
    Feed.objects.update(stock=20)

    page = desk.get(url(run, "cancel")).content.decode()

    told = " ".join(page[page.index("flowstate-preview") :].split())
    assert f"zoo.Feed {oats.pk}" in told
    assert re.search(r"<td>stock</td>\s*<td[^>]*>\s*20\s*</td>\s*<td[^>]*>\s*19\s*</td>", told)


def test_asking_to_cancel_shows_the_rows_of_children_under_the_steps_that_run_them(desk: Client) -> None:
    run = Order.run(user=SYSTEM)
    child = Run.objects.get(parent=run)
    carry_run(str(child.pk), queue="flowstate")

    page = desk.get(url(run, "cancel")).content.decode()

    assert [" ".join(name.split()) for name in re.findall(r"<h3>([^<]*)", page)] == [
        "ship / send",
        "ship / label",
        "ship / pack",
        "pay",
    ]
    assert f"kiosk.Entry {Entry.objects.get().pk}" in page


def test_asking_to_cancel_costs_a_statement_for_each_table_and_step_more(
    desk: Client, oats: Feed, root: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    run = start(oats, "dry", root)
    desk.get(url(run, "cancel"))

    # Session, user, the run, its steps, its history, the row's name; then the run again, and the one table.
    with django_assert_num_queries(6 + 1 + 1):
        desk.get(url(run, "cancel"))


def test_where_the_code_no_longer_knows_the_steps_only_their_names_are_shown(
    desk: Client, make_run: MakeRun
) -> None:
    run = make_run(RunStatus.RUNNING, steps={"lost": {"compensation": Compensation.PENDING}})

    response = desk.get(url(run, "cancel"))

    assert response.context["affected"] == ["lost"]
    assert "needs step &#x27;lost&#x27;" in response.content.decode()


def test_cancelling_names_what_would_be_undone_the_last_first(desk: Client, make_run: MakeRun) -> None:
    pending = {"compensation": Compensation.PENDING}
    run = make_run(
        RunStatus.RUNNING,
        steps={
            "done": pending,
            "lasting": {},
            "unclear": {"status": StepStatus.READY, "uncertain": True, **pending},
            "busy": {"status": StepStatus.RUNNING, **pending},
            "later": {"status": StepStatus.BLOCKED, **pending},
        },
    )

    response = desk.get(url(run, "cancel"))

    assert response.context["affected"] == ["busy, once it has finished", "unclear", "done"]


def test_cancelling_undoes_and_says_who_and_why(desk: Client, oats: Feed, root: User) -> None:
    run = start(oats, "dry", root)

    response = desk.post(url(run, "cancel"), {"reason": " spo\x00ilt "}, follow=True)

    run.refresh()
    oats.refresh_from_db()
    assert (run.status, run.cancelled_by_label, oats.stock) == (RunStatus.CANCELLED, "root", 7)
    assert run.events.get(kind=EventKind.CANCEL_REQUESTED).data == {"detail": "spoilt"}
    assert response.redirect_chain == [(url(run, "change"), 302)]
    assert texts(response) == ["Dry was cancelled, and what had been done was undone."]
    assert "spoilt" in response.content.decode()


def test_what_cannot_be_done_any_more_is_said_and_changes_nothing(
    desk: Client, make_run: MakeRun, oats: Feed, root: User, dump: Callable[[], list[Any]]
) -> None:
    run = oats.doings["weigh"].run(user=root)  # type: ignore[attr-defined]
    before = dump()

    asked = [desk.get(url(run, page)).content.decode() for page in ("cancel", "retry")]
    done = [desk.post(url(run, page), follow=True) for page in ("cancel", "retry")]

    assert ["<form method" in page[page.index("content-main") :] for page in asked] == [False, False]
    assert ["cannot be" in texts(response)[0] for response in done] == [True, True]
    assert dump() == before


def test_retrying_goes_to_the_new_run(desk: Client, oats: Feed, root: User) -> None:
    run = start(oats, "overfill", root)
    assert run.status == RunStatus.COMPENSATED

    asked = desk.get(url(run, "retry"))
    response = desk.post(url(run, "retry"), follow=True)

    new = Run.objects.get(retry_of=run)
    assert asked.context["affected"] == ["add", "close"]
    assert response.redirect_chain == [(url(new, "change"), 302)]
    assert texts(response)[0].startswith("Overfill failed at step close: The bag burst")


def test_retrying_what_could_not_be_undone_tries_that_again(desk: Client, root: User, db: None) -> None:
    bin_ = Feed.objects.create(name="jammed")
    run = start(bin_, "jam", root)
    assert run.status == RunStatus.ATTENTION
    Feed.objects.update(name="loose")

    asked = desk.get(url(run, "retry"))
    response = desk.post(url(run, "retry"), follow=True)

    assert asked.context["affected"] == ["open_lid"]
    assert run.refresh().status == RunStatus.COMPENSATED
    assert response.redirect_chain == [(url(run, "change"), 302)]
    assert texts(response) == ["What could not be undone before is undone now."]


def test_retrying_in_vain_says_that_a_person_must_act_still(desk: Client, root: User, db: None) -> None:
    run = start(Feed.objects.create(name="jammed"), "jam", root)

    response = desk.post(url(run, "retry"), follow=True)

    assert run.refresh().status == RunStatus.ATTENTION
    assert texts(response) == ["Jam could not be undone completely: a person must act."]


@pytest.mark.parametrize("page", ["cancel", "retry"])
def test_a_form_from_elsewhere_is_refused(
    oats: Feed, root: User, page: str, dump: Callable[[], list[Any]]
) -> None:
    """S7"""
    run = start(oats, "dry", root)
    client = Client(enforce_csrf_checks=True)
    client.force_login(root)
    before = dump()

    assert client.post(url(run, page)).status_code == 403
    assert dump() == before


def test_other_methods_are_not_allowed(desk: Client, oats: Feed, root: User) -> None:
    run = start(oats, "dry", root)

    assert desk.put(url(run, "cancel")).status_code == 405
    assert run.refresh().status == RunStatus.RUNNING
