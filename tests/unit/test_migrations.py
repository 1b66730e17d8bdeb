"""The migrations that the app ships."""

from __future__ import annotations

from importlib import import_module

from django.conf import settings
from django.db import migrations
from django.db.migrations.operations.base import Operation


def initial() -> type[migrations.Migration]:
    migration: type[migrations.Migration] = import_module("flowstate.migrations.0001_initial").Migration
    return migration


def test_the_journal_follows_the_user_model_of_the_project() -> None:
    swappable = {getattr(dependency, "setting", None) for dependency in initial().dependencies}

    assert settings.AUTH_USER_MODEL in swappable


def test_tables_are_made_at_once_with_their_indexes_and_constraints() -> None:
    # Each one added later makes SQLite copy the table, and other databases lock it once more.
    kinds: set[type[Operation]] = {type(operation) for operation in initial().operations}

    assert kinds == {migrations.CreateModel}
