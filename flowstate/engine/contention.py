"""Database errors that are nobody's fault: others wanted the same rows, or the connection is gone."""

from __future__ import annotations

from typing import Any

from django.db import DatabaseError, connections

_POSTGRESQL = {"40001", "40P01"}  # serialization failure, deadlock
_MYSQL = {1205, 1213}  # lock wait timeout, deadlock


def is_contention(error: BaseException) -> bool:
    """Return whether the database gave up only because of others: a deadlock, a serialization failure."""
    for link in (error, error.__cause__):
        if getattr(link, "sqlstate", None) in _POSTGRESQL:
            return True
        locked = isinstance(link, DatabaseError) and "database is locked" in str(link)  # SQLite
        if locked or (isinstance(link, DatabaseError) and link.args and link.args[0] in _MYSQL):
            return True
    return False


def is_lost(using: str, held: Any) -> bool:
    """Return whether the driver's connection `held` is gone; the next statement then has a new one."""
    connection = connections[using]
    if connection.connection is not held:
        return True  # Django closes one that fails to roll back, and opens the next as its block ends
    if held is not None and connection.is_usable():
        return False
    connection.close()
    return True


def drop_interrupted(using: str) -> None:
    """Close the connection after an interrupt, which may have left it in the middle of a reply.

    Inside a transaction it stays: whoever owns the transaction meets the error, and rolls back.
    """
    connection = connections[using]
    if not connection.in_atomic_block:
        connection.close()
