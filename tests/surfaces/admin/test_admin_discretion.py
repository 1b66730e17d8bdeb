"""Values of rows on the admin's pages: for who may view the rows, and of what is sensitive for nobody."""

from __future__ import annotations

from typing import Any

import pytest

from django.contrib.auth.models import Permission, User
from django.test import Client

from flowstate import Action, Context, UpdateStep, Workflow, allow_any, step
from flowstate.actions.bound import BoundAction
from flowstate.models import Compensation, Run, RunStatus
from tests.surfaces.admin.conftest import MakeRun, staff
from tests.zoo.models import Feed, Keeper


class Plain(Workflow):
    rename = UpdateStep("zoo.Keeper", where={"email": "k@example.org"}, values={"name": "canary-new"})

    @step(background=True)
    def later(self, ctx: Context[Feed]) -> None: ...


class Discreet(Workflow):
    rename = UpdateStep(
        "zoo.Keeper",
        where={"email": "k@example.org"},
        values={"name": "canary-new", "email": "open@example.org"},
        sensitive=["name"],
    )

    @step(background=True)
    def later(self, ctx: Context[Feed]) -> None: ...


@pytest.fixture
def asker(db: None) -> User:
    """Sees feed, and no keepers."""
    return staff("asker", "zoo.view_feed")


def started(workflow: type[Workflow], oats: Feed, user: User) -> Run:
    Keeper.objects.create(name="canary-old", email="k@example.org")
    return BoundAction("trial", Action(workflow, rules=[allow_any]), Feed, oats).run(user=user)


def page_of(client: Client, user: User, run: Run, page: str) -> str:
    client.force_login(User.objects.get(pk=user.pk))
    response = client.get(f"/barn/flowstate/run/{run.pk}/{page}/")
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.parametrize("page", ["change", "cancel"])
def test_values_are_shown_only_to_who_may_view_the_model(
    client: Client, oats: Feed, asker: User, page: str
) -> None:
    run = started(Plain, oats, asker)

    unseen = page_of(client, asker, run, page)
    asker.user_permissions.add(Permission.objects.get(codename="view_keeper"))
    seen = page_of(client, asker, run, page)

    assert "canary" not in unseen
    assert "zoo.keeper" in unseen.lower()
    assert "canary-old" in seen
    assert "canary-new" in seen


@pytest.mark.parametrize("page", ["change", "cancel"])
def test_what_a_step_calls_sensitive_is_shown_to_nobody(
    client: Client, oats: Feed, root: User, page: str
) -> None:
    shown = page_of(client, root, started(Discreet, oats, root), page)

    assert "canary" not in shown
    assert "open@example.org" in shown


def test_where_the_code_is_gone_all_is_taken_for_sensitive(client: Client, oats: Feed, root: User) -> None:
    run = started(Plain, oats, root)
    Run.objects.filter(pk=run.pk).update(workflow="gone.Workflow")

    assert "canary" not in page_of(client, root, run, "change")


@pytest.mark.parametrize("model", ["zoo.keeper", "zoo.gone"])
def test_a_conflict_shows_values_only_to_who_may_view_the_model(
    client: Client, make_run: MakeRun, oats: Feed, asker: User, root: User, model: str
) -> None:
    fields = {"name": {"expected": "canary-new", "found": "canary-found", "restore": "canary-old"}}
    failed: dict[str, Any] = {
        "undo": {"changed": [{"model": model, "key": "1", "fields": {}}]},
        "compensation": Compensation.FAILED,
        "compensation_error": {"detail": "Changed: name.", "fields": fields},
    }
    run = make_run(RunStatus.ATTENTION, on=oats, steps={"add": failed}, requested_by=asker)

    unseen = page_of(client, asker, run, "change")

    assert "Changed: name." in unseen
    assert "canary" not in unseen
    assert ("canary-found" in page_of(client, root, run, "change")) is (model == "zoo.keeper")
