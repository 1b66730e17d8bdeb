"""Database errors that are nobody's fault: others wanted the same rows, or the connection is gone."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

from django.db import DatabaseError, connections

Result = TypeVar("Result")

TRIES = 12
"""How often a transaction that met others is tried."""

_FIRST_PAUSE = 0.005

_POSTGRESQL = {"40001", "40P01", "55P03"}  # serialization failure, deadlock, lock not available
_MYSQL = {1205, 1213, 3572}  # lock wait timeout, deadlock, lock not available at once


def is_contention(error: BaseException) -> bool:
    """Return whether the database gave up only because of others: a deadlock, a lock not had in time."""
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


def tried_again(using: str, work: Callable[[], Result]) -> Result:
    """Return what `work` returns, a transaction of its own, which is tried again where it met others.

    Inside another transaction the error is raised: only its owner could start over.
    """
    for tried in range(TRIES):
        try:
            return work()
        except DatabaseError as err:
            over = tried + 1 == TRIES or connections[using].in_atomic_block
            if over or not is_contention(err):
                raise
            time.sleep(pause_after(tried))
    message = "unreachable: the last try returns or raises"
    raise AssertionError(message)  # pragma: no cover


def pause_after(tried: int) -> float:
    """Return the seconds to leave others alone after so many tries, drawn so that two do not meet again."""
    return random.uniform(0, _FIRST_PAUSE * 2**tried)  # noqa: S311 - jitter, not a secret
