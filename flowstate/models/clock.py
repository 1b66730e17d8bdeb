"""Time as the database sees it: what leases, timers and deadlines are judged by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from django.db import connections
from django.db.models import DateTimeField, Func

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

FAR_FUTURE = datetime(3000, 1, 1, tzinfo=UTC)
"""The wake-up of a run that only a person can move on: no sweep examines it."""


class _Shift:
    """Seconds by which tests have moved the clock of this process."""

    seconds: float = 0.0


def shift_clock(seconds: float) -> None:
    """Move the clock of this process by so many seconds; for tests only."""
    _Shift.seconds += seconds


def host_now() -> datetime:
    """Return this host's time in UTC, for what is shown and never judged (started, ended)."""
    return datetime.now(tz=UTC) + timedelta(seconds=_Shift.seconds)


class DbNow(Func):
    """The time of the statement on the database's clock in UTC, plus `seconds`.

    Django's `Now()` is local time on MariaDB and MySQL wherever the session has a time zone; leases would
    then end hours early or late. SQLite has no clock of its own: there it is the host's.
    """

    output_field = DateTimeField()
    arity = 0
    allows_composite_expressions = False

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__()
        self.seconds = seconds

    @property
    def _delta(self) -> float:
        return self.seconds + _Shift.seconds

    def as_sql(  # type: ignore[override]  # a parameter is a datetime, which the stubs do not foresee
        self, compiler: Any, connection: BaseDatabaseWrapper, **_extra: Any
    ) -> tuple[str, list[Any]]:
        """Return a bound parameter with the host's time, for databases without a clock of their own."""
        moment = datetime.now(tz=UTC) + timedelta(seconds=self._delta)
        return "%s", [connection.ops.adapt_datetimefield_value(moment)]

    def as_postgresql(
        self, compiler: Any, connection: BaseDatabaseWrapper, **_extra: Any
    ) -> tuple[str, list[Any]]:
        """Return the statement's time: the transaction's own would stand still while it waits for locks."""
        return "(STATEMENT_TIMESTAMP() + %s * INTERVAL '1 second')", [float(self._delta)]

    def as_mysql(
        self, compiler: Any, connection: BaseDatabaseWrapper, **_extra: Any
    ) -> tuple[str, list[Any]]:
        """Return UTC: `NOW()` follows the session's time zone."""
        return "(UTC_TIMESTAMP(6) + INTERVAL %s MICROSECOND)", [round(self._delta * 1_000_000)]

    def sql_on(self, connection: BaseDatabaseWrapper) -> tuple[str, list[Any]]:
        """Return the expression and its parameters for the database of a connection."""
        match connection.vendor:
            case "postgresql":
                return self.as_postgresql(None, connection)
            case "mysql":
                return self.as_mysql(None, connection)
            case _:
                return self.as_sql(None, connection)


def db_now(using: str) -> datetime:
    """Return the database's time, aware and in UTC. One statement, none on SQLite."""
    connection = connections[using]
    if connection.vendor == "sqlite":
        return host_now()
    sql, params = DbNow().sql_on(connection)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {sql}", params)
        moment = cast("datetime", cursor.fetchone()[0])
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
