"""What a database says of an error, without the values of rows, which many databases quote."""

from __future__ import annotations

import re
import sqlite3

from django.db import DatabaseError, DataError

_QUOTED = re.compile(r'".*"', re.DOTALL)


def words_of(error: DatabaseError) -> str:
    """Return what went wrong, and which constraint was violated, but no value that was sent or is stored.

    PostgreSQL adds a DETAIL with the whole row, MariaDB quotes the value that is there twice: columns that
    nobody asked about, and sensitive ones. What was raised without a driver's error is the program's own.
    """
    cause = error.__cause__
    # MySQL's and MariaDB's have a number; Django raises some of them anew, without a cause.
    code = error.args[0] if error.args and isinstance(error.args[0], int) else None
    own = cause is None or isinstance(cause, sqlite3.Error)  # SQLite names columns and constraints only
    if own and code is None:
        return str(error)
    primary = getattr(getattr(cause, "diag", None), "message_primary", None)
    if primary:
        # Of a value that does not fit its column the very first line quotes it; names are quoted elsewhere.
        return _QUOTED.sub('"***"', primary) if isinstance(error, DataError) else str(primary)
    kind = type(error).__name__ if code is None else f"{type(error).__name__} {code}"
    return f"the database refused it ({kind})"
