"""Checks of the database that holds the journal: W001 SQLite's locking, W002 MySQL's isolation."""

from __future__ import annotations

from typing import Any

from django.core import checks
from django.core.checks import CheckMessage
from django.db import connections

from flowstate.checks.journal import journal_alias


def check_databases(**_kwargs: Any) -> list[CheckMessage]:
    """Return what is wrong with how the journal's database is set up; connects to nothing."""
    alias = journal_alias()
    connection = connections[alias]
    options: dict[str, Any] = connection.settings_dict.get("OPTIONS") or {}
    if connection.vendor == "sqlite":
        return _sqlite(alias, options)
    if connection.vendor == "mysql":
        return _mysql(alias, options)
    return []


def _sqlite(alias: str, options: dict[str, Any]) -> list[CheckMessage]:
    if str(options.get("transaction_mode") or "").upper() in {"IMMEDIATE", "EXCLUSIVE"}:
        return []
    return [
        checks.Warning(
            f'DATABASES["{alias}"] is SQLite without transaction_mode IMMEDIATE: a transaction that reads and '
            "then writes fails with 'database is locked' as soon as another one writes.",
            hint=f'Set DATABASES["{alias}"]["OPTIONS"]["transaction_mode"] = "IMMEDIATE".',
            id="flowstate.W001",
        )
    ]


def _mysql(alias: str, options: dict[str, Any]) -> list[CheckMessage]:
    # Without the option Django asks for READ COMMITTED; with None the server decides, by REPEATABLE READ.
    level = options.get("isolation_level", "read committed")
    if str(level).lower() == "read committed":
        return []
    return [
        checks.Warning(
            f'DATABASES["{alias}"] has the isolation level {level!r}: the engine relies on seeing what others '
            "committed while it waited for a lock.",
            hint='Remove "isolation_level" from OPTIONS, or set it to "read committed".',
            id="flowstate.W002",
        )
    ]
