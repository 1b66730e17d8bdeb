"""A barn with a bin, the people who may look at it, and runs made by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pytest_django import Settings

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from django.test import Client

from flowstate.actions import actions as declared
from flowstate.actions.actions import Actions
from flowstate.models import Run, RunEvent, RunStatus, StepRun, StepStatus
from flowstate.models.clock import FAR_FUTURE, host_now
from flowstate.models.statuses import ENDED
from tests.surfaces.admin.barn import ACTIONS
from tests.zoo.models import Feed

MakeRun = Callable[..., Run]


@pytest.fixture(autouse=True)
def barn(settings: Settings) -> Iterator[None]:
    """Open the barn, and give models their actions for as long as a test takes."""
    settings.ROOT_URLCONF = "tests.surfaces.admin.barn"
    for model, actions in ACTIONS.items():
        Actions(**actions).contribute_to_class(model, "doings")
    declared.forget_merged()
    yield
    for model in ACTIONS:
        del declared.declarations[model]
        delattr(model, "doings")
    declared.forget_merged()


@pytest.fixture
def oats(db: None) -> Feed:
    return Feed.objects.create(name="Oats", stock=7)


def staff(name: str, *permissions: str) -> User:
    user = User.objects.create_user(name, is_staff=True)
    for permission in permissions:
        app, _, codename = permission.partition(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    return user


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create_superuser("root")


@pytest.fixture
def keeper(db: None) -> User:
    """Works with feed, and knows nothing of other runs than theirs."""
    return staff("keeper", "zoo.view_feed", "zoo.change_feed", "zoo.add_feed")


@pytest.fixture
def guest(db: None) -> User:
    """May enter the admin, and nothing else."""
    return staff("guest")


@pytest.fixture
def desk(client: Client, root: User) -> Client:
    """The desk of root, who is logged in."""
    client.force_login(root)
    return client


@pytest.fixture
def make_run(db: None) -> MakeRun:
    """Write a run as the engine would have left it; `steps` maps names to columns of their rows."""

    def make(
        status: RunStatus = RunStatus.SUCCEEDED, *, steps: Any = None, on: Model | None = None, **columns: Any
    ) -> Run:
        ended = status in ENDED
        columns.setdefault("workflow", "tests.surfaces.admin.barn.Refill")
        columns.setdefault("action", "zoo.feed.refill")
        columns.setdefault("requested_by_label", "keeper")
        if on is not None:
            columns |= {"content_type": ContentType.objects.get_for_model(on), "object_id": str(on.pk)}
        run = Run.objects.create(
            status=status,
            ended_at=host_now() if ended else None,
            wake_at=None if ended else FAR_FUTURE,
            **columns,
        )
        given = {"add": {}} if steps is None else steps
        for seq, (name, more) in enumerate(given.items()):
            defaults = {"kind": "update", "status": StepStatus.DONE, "attempt": 1}
            StepRun.objects.create(run=run, seq=seq, name=name, key=f"{run.pk}:{name}", **(defaults | more))
        return run

    return make


@pytest.fixture
def dump() -> Callable[[], list[Any]]:
    """Everything a page could have changed."""

    def everything() -> list[Any]:
        models: list[type[Model]] = [Run, StepRun, RunEvent, Feed, LogEntry, User]
        return [list(model._default_manager.order_by("pk").values()) for model in models]

    return everything


def texts(response: Any) -> list[str]:
    """Return the messages that a page shows."""
    return [str(message) for message in response.context["messages"]]
