"""Fixtures that all suites share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings
from pytest_django.plugin import DjangoDbBlocker

from django.test import TransactionTestCase

from flowstate.models.clock import _Shift
from flowstate.redaction import forget_all
from tests.flushing import empty_tables, remember_what_migrate_made

# A deadline judges the machine, not the code, and shrinking towards it takes minutes.
settings.register_profile("flowstate", deadline=None)
settings.load_profile("flowstate")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: Any, django_db_blocker: DjangoDbBlocker) -> None:
    """Have tests that commit leave empty tables quickly, once the database is there."""
    with django_db_blocker.unblock():
        remember_what_migrate_made()
    TransactionTestCase._fixture_teardown = empty_tables  # type: ignore[attr-defined]  # Django's own hook


@pytest.fixture(autouse=True)
def clock_as_it_was() -> Iterator[None]:
    """Take back what a test has moved the clock by: a worker of a later test would not see its runs as due."""
    before = _Shift.seconds
    yield
    _Shift.seconds = before


@pytest.fixture(autouse=True)
def no_secrets_known() -> Iterator[None]:
    """Forget the secrets of a test: a later one may hold the same text, which is none there."""
    yield
    forget_all()
