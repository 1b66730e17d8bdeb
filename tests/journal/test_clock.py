"""Time is the database's: leases, alarms and deadlines are judged by its clock, in UTC."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from django.db import connection, transaction
from django.utils import timezone

from flowstate.models import Run, StepRun
from flowstate.models.clock import DbNow, db_now, host_now
from tests.journal.rows import a_run, a_step

pytestmark = pytest.mark.django_db

NEAR = timedelta(seconds=20)


def test_the_databases_time_is_utc_whatever_its_session_says() -> None:
    """The session on MariaDB is five and a half hours ahead."""
    assert abs(db_now("default") - datetime.now(tz=UTC)) < NEAR
    assert db_now("default").utcoffset() == timedelta(0)


@pytest.mark.parametrize("seconds", [0.0, 90.5, -90.5, 86_400.0 * 400])
def test_a_moment_is_stored_as_it_is_meant(seconds: float) -> None:
    run = a_run(wake_at=DbNow(seconds))

    assert run.wake_at is not None
    assert abs(run.wake_at - db_now("default") - timedelta(seconds=seconds)) < NEAR


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/Los_Angeles"])
def test_moments_are_compared_as_they_are_meant(zone: str) -> None:
    with timezone.override(zone):
        past, future = a_run(wake_at=DbNow(-30)), a_run(wake_at=DbNow(30))
        ready = a_step(past, wake_at=DbNow(-30))
        a_step(future, wake_at=DbNow(30))

        assert list(Run.objects.due()) == [past]
        assert list(StepRun.objects.due()) == [ready]


def test_a_moment_that_python_wrote_is_judged_the_same() -> None:
    past = a_run(wake_at=datetime.now(tz=UTC) - timedelta(minutes=5))
    a_run(wake_at=datetime.now(tz=UTC) + timedelta(minutes=5))

    assert list(Run.objects.due()) == [past]


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has no clock of its own")
def test_a_host_whose_clock_is_wrong_judges_nothing() -> None:
    a_run(wake_at=DbNow(3600))

    with time_machine.travel(datetime.now(tz=UTC) + timedelta(days=7)):
        assert not Run.objects.due().exists()
        assert abs(db_now("default") - host_now()) > timedelta(days=6)


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has no clock of its own")
def test_time_goes_on_within_a_transaction() -> None:
    """A transaction's own time would stand still while it waits for locks."""
    with transaction.atomic():
        first = db_now("default")
        with connection.cursor() as cursor:
            cursor.execute("SELECT SLEEP(0.02)" if connection.vendor == "mysql" else "SELECT pg_sleep(0.02)")
            cursor.fetchall()
        second = db_now("default")

    assert second > first


def test_the_clock_can_be_moved_for_tests(clock: Callable[[float], None]) -> None:
    run = a_run(wake_at=DbNow(3600))
    assert not Run.objects.due().exists()
    before = db_now("default")

    clock(3601)

    assert Run.objects.due().get() == run
    assert db_now("default") - before > timedelta(seconds=3600)


def test_microseconds_are_kept() -> None:
    moments = [a_run(wake_at=DbNow(0.25 * number)).wake_at for number in range(3)]

    assert any(moment is not None and moment.microsecond % 1000 for moment in moments)
