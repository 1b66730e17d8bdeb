"""What a piece of code says to the database: its statements, savepoints and commits, counted."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from django.db import connection
from django.test.utils import CaptureQueriesContext

_TRANSACTION = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")


class Statements:
    """Records the statements of a `with` block."""

    def __enter__(self) -> Self:
        self._capture = CaptureQueriesContext(connection)
        self._capture.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._capture.__exit__(kind, error, traceback)

    @property
    def all(self) -> list[str]:
        """Every statement, in order."""
        return [query["sql"].strip() for query in self._capture.captured_queries]

    @property
    def work(self) -> list[str]:
        """The statements but those that open and end transactions."""
        return [sql for sql in self.all if not sql.upper().startswith(_TRANSACTION)]

    @property
    def journal(self) -> list[str]:
        """The statements on flowstate's own tables."""
        return [sql for sql in self.work if "flowstate_" in sql]

    @property
    def domain(self) -> list[str]:
        """The statements on the tables of the kiosk."""
        return [sql for sql in self.work if "kiosk_" in sql]

    @property
    def savepoints(self) -> int:
        """How many savepoints were set."""
        return sum(sql.upper().startswith("SAVEPOINT") for sql in self.all)

    @property
    def commits(self) -> int:
        """How many transactions were committed."""
        return sum(sql.upper() == "COMMIT" for sql in self.all)

    @property
    def rollbacks(self) -> int:
        """How many transactions were rolled back, savepoints not counted."""
        return sum(sql.upper() == "ROLLBACK" for sql in self.all)
