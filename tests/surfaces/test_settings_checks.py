"""The checks of settings, those for production, and the command that runs them."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from celery import Celery, current_app

from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connections

from flowstate.actions import Action, allow_any
from flowstate.checks.bindings import check_bindings
from flowstate.checks.databases import check_databases
from flowstate.checks.deployment import check_deployment
from flowstate.checks.settings import check_settings
from flowstate.checks.workflows import check_workflows
from flowstate.workflows import CreateStep, Step
from tests.unit.actions.binding import bound
from tests.zoo.models import Keeper


def work(ctx: Any) -> None: ...


def steps(*given: Step, **options: Any) -> Action:
    return Action(steps=list(given), **{"rules": [allow_any], **options})


def plain(**options: Any) -> Action:
    return Action(handler=work, **{"rules": [allow_any], **options})


@pytest.fixture
def celery() -> Iterator[Celery]:
    """A Celery app that is current for the test."""
    before: Any = current_app._get_current_object()  # type: ignore[attr-defined]
    app = Celery("checks", set_as_current=True)
    app.conf.update(
        broker_url="redis://",
        result_backend="django-db",
        worker_prefetch_multiplier=1,
        task_serializer="json",
        result_serializer="json",
        accept_content=["json"],
        result_accept_content=["json"],
    )
    app.conf["CELERY_DB_REUSE_MAX"] = 1000
    yield app
    app.close()
    before.set_current()


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, []),
        ({"SERVICES": {"bank": "decimal.Decimal", "rates": [1, 2]}, "STEP_TIMEOUT": 5}, []),
        ({"STEP_TIMEOT": 5}, ["flowstate.E009"]),
        ({"step_timeout": 5}, ["flowstate.E009"]),
        ({"STEP_TIMEOUT": 0}, ["flowstate.E009"]),
        ({"SWEEP_INTERVAL": -1, "MAX_LOST_LEASES": 0}, ["flowstate.E009", "flowstate.E009"]),
        ({"MAX_ROWS": "many"}, ["flowstate.E009"]),
        ({"SERVICES": ["bank"]}, ["flowstate.E009"]),
        ({"SERVICES": {"bank": "shop.nowhere.Bank"}}, ["flowstate.E010"]),
        ({"LINEAGE": "everything"}, ["flowstate.E009"]),
        ({"LINEAGE": "all"}, []),
        ({"CARRIER": "nowhere.Carrier"}, ["flowstate.E010"]),
        ({"EVENT_SECRETS": {"order.paid": "x" * 16, "sent": ["y" * 16, "z" * 16]}}, []),
        ({"EVENT_SECRETS": {"order.paid": "short"}}, ["flowstate.E009"]),
        ({"EVENT_SECRETS": {"order paid": "x" * 16}}, ["flowstate.E009"]),
        ({"EVENT_SECRETS": ["x" * 16]}, ["flowstate.E009"]),
        ({"MAX_EVENTS": 0}, ["flowstate.E009"]),
        ({"RETENTION": {"succeeded": 86400, "workflows": {"shop.order.pay": None}}}, []),
        ({"RETENTION": {"running": 86400}}, ["flowstate.E009"]),
    ],
    ids=repr,
)
def test_the_settings_are_checked(settings: Any, given: dict[str, Any], wanted: list[str]) -> None:
    settings.FLOWSTATE = {"CARRIER": "decimal.Decimal", **given}

    assert [message.id for message in check_settings()] == wanted


@pytest.fixture
def options() -> Iterator[dict[str, Any]]:
    """The OPTIONS of the journal's database."""
    database = connections["default"].settings_dict
    before = database.get("OPTIONS")
    database["OPTIONS"] = {}
    yield database["OPTIONS"]
    database["OPTIONS"] = before


@pytest.mark.parametrize(
    ("vendor", "given", "wanted"),
    [
        ("sqlite", {}, ["flowstate.W001"]),
        ("sqlite", {"transaction_mode": "DEFERRED"}, ["flowstate.W001"]),
        ("sqlite", {"transaction_mode": None}, ["flowstate.W001"]),
        ("sqlite", {"transaction_mode": "immediate"}, []),
        ("mysql", {}, []),
        ("mysql", {"isolation_level": "Read Committed"}, []),
        ("mysql", {"isolation_level": "repeatable read"}, ["flowstate.W002"]),
        ("mysql", {"isolation_level": None}, ["flowstate.W002"]),
        ("postgresql", {}, []),
    ],
)
def test_the_database_is_checked(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch, vendor: str, given: Any, wanted: list[str]
) -> None:
    options.update(given)
    monkeypatch.setattr(connections["default"], "vendor", vendor)

    assert [message.id for message in check_databases()] == wanted


# --- for production ------------------------------------------------------------------------------


@pytest.fixture
def production(settings: Any, celery: Celery, monkeypatch: pytest.MonkeyPatch) -> Celery:
    settings.DEBUG = False
    settings.FLOWSTATE = {}
    monkeypatch.setattr(connections["default"], "vendor", "postgresql")
    return celery


def test_good_settings_for_production_are_not_spoken_of(production: Celery) -> None:
    assert check_deployment() == []


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"broker_url": "memory://"}, "flowstate.W021"),
        ({"task_serializer": "pickle"}, "flowstate.W022"),
        ({"result_serializer": "yaml"}, "flowstate.W022"),
        ({"accept_content": ["json", "pickle"]}, "flowstate.W022"),
        ({"task_always_eager": True}, "flowstate.W023"),
        ({"result_backend": None}, "flowstate.W025"),
        ({"worker_prefetch_multiplier": 4}, "flowstate.W026"),
        ({"CELERY_DB_REUSE_MAX": None}, "flowstate.W028"),
    ],
    ids=repr,
)
def test_settings_of_celery_that_would_hurt_are_warned_of(
    production: Celery, change: Any, wanted: str
) -> None:
    production.conf.update(change)

    assert [message.id for message in check_deployment()] == [wanted]


def test_debug_and_sqlite_are_warned_of(
    production: Celery, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DEBUG = True
    monkeypatch.setattr(connections["default"], "vendor", "sqlite")

    assert [message.id for message in check_deployment()] == ["flowstate.W020", "flowstate.W024"]


def test_a_missing_celery_app_is_warned_of(production: Celery) -> None:
    production.main = "default"  # the name of the one that Celery makes up

    assert [message.id for message in check_deployment()] == ["flowstate.W027"]


def test_another_carrier_is_not_judged_by_the_settings_of_celery(production: Celery, settings: Any) -> None:
    production.conf.update(broker_url="memory://")
    settings.FLOWSTATE = {"CARRIER": "flowstate.carriers.inline.InlineCarrier"}

    assert check_deployment() == []


# --- the command ---------------------------------------------------------------------------------


def test_every_message_has_an_id_of_ours_and_a_hint(settings: Any) -> None:
    settings.FLOWSTATE = {"CARRIER": "nowhere.Carrier"}
    settings.DEBUG = True
    with bound(Keeper, wave=plain(rules=[]), shape=steps(CreateStep("zoo.Nobody", name="make", values={}))):
        found = [*check_settings(), *check_bindings(), *check_workflows(), *check_deployment()]

    assert len(found) >= 4
    assert all(str(message.id).startswith("flowstate.") and message.hint for message in found)


@pytest.mark.django_db
def test_the_command_fails_on_an_error() -> None:
    with bound(Keeper, wave=plain(rules=[])), pytest.raises(SystemCheckError, match=r"flowstate\.E001"):
        call_command("flowstate_check", stdout=StringIO(), stderr=StringIO())


@pytest.mark.django_db
def test_the_command_looks_at_production_only_when_asked(production: Celery) -> None:
    production.conf.update(broker_url="memory://")
    out = StringIO()

    call_command("flowstate_check", stdout=out, stderr=out)
    with pytest.raises(SystemCheckError, match=r"flowstate\.W021"):
        call_command("flowstate_check", deploy=True, stdout=out, stderr=out)

    assert "no issues" in out.getvalue()


@pytest.mark.django_db
def test_the_fail_level_can_be_chosen(production: Celery) -> None:
    production.conf.update(broker_url="memory://")

    call_command("flowstate_check", deploy=True, fail_level="ERROR", stdout=StringIO(), stderr=StringIO())
