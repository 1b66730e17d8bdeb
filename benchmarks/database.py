"""The benchmark's own PostgreSQL database, and what the server's log of changes says of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

HOST = os.environ.get("BENCH_PG_HOST", "127.0.0.1")
PORT = int(os.environ.get("BENCH_PG_PORT", "5432"))
USER = os.environ.get("BENCH_PG_USER", "postgres")

_WAL = """
WITH records AS (SELECT * FROM pg_get_wal_records_info(%s, %s)),
     ours AS (SELECT DISTINCT xid FROM records WHERE xid::text <> '0' AND block_ref LIKE %s)
SELECT coalesce(sum(record_length - fpi_length), 0),
       count(*) FILTER (WHERE resource_manager = 'Transaction' AND record_type = 'COMMIT')
FROM records JOIN ours USING (xid)
"""


@dataclass(frozen=True, slots=True)
class Written:
    """What a number of transactions wrote, full page images aside."""

    wal_bytes: int
    commits: int


class Database:
    """A database of this name, made new; gone after `drop`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._execute_elsewhere("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        self._execute_elsewhere("CREATE DATABASE {}")
        self.connection = self._connect(name)

    @property
    def environment(self) -> dict[str, str]:
        """What tells a process to use it."""
        return {"BENCH_PG_NAME": self.name, "PGSSLMODE": "disable", "PGGSSENCMODE": "disable"}

    def query(self, text: str, parameters: tuple[Any, ...] = ()) -> tuple[Any, ...]:
        """Return the first row."""
        row: tuple[Any, ...] | None = self.connection.execute(text.encode(), parameters).fetchone()
        return row or ()

    def position(self) -> str:
        """Return where the server's log of changes ends now."""
        return str(self.query("SELECT pg_current_wal_flush_lsn()")[0])

    def written_since(self, position: str) -> Written | None:
        """Return what this database's transactions wrote; None where the server cannot tell."""
        try:
            self.connection.execute("CREATE EXTENSION IF NOT EXISTS pg_walinspect")
            oid = self.query("SELECT oid FROM pg_database WHERE datname = %s", (self.name,))[0]
            return Written(*map(int, self.query(_WAL, (position, self.position(), f"%/{oid}/%"))))
        except psycopg.Error:
            return None

    def drop(self) -> None:
        """Remove the database."""
        self.connection.close()
        self._execute_elsewhere("DROP DATABASE IF EXISTS {} WITH (FORCE)")

    def _execute_elsewhere(self, text: str) -> None:
        with self._connect("postgres") as connection:
            connection.execute(sql.SQL(text).format(sql.Identifier(self.name)))

    def _connect(self, name: str) -> psycopg.Connection[tuple[Any, ...]]:
        password = os.environ.get("BENCH_PG_PASSWORD")
        return psycopg.connect(
            host=HOST, port=PORT, user=USER, dbname=name, password=password, autocommit=True
        )
