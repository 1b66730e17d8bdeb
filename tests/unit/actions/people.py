"""Users without a database, for the tests of rules."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User


def person(pk: int = 1, *granted: Any, **fields: Any) -> User:
    """A user whose permissions are given: "app.code" for all rows, ("app.code", row) for one."""
    somebody = User(pk=pk, username=f"user{pk}", **fields)

    def has_perm(permission: str, row: Any = None) -> bool:
        wanted = permission if row is None else (permission, row)
        return somebody.is_active and (somebody.is_superuser or wanted in granted)

    somebody.has_perm = has_perm  # type: ignore[assignment, method-assign]
    return somebody
