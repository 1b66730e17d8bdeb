"""What rows in memory were before a transaction changed them: noted when they change, so that others cost nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.db import models


class Noted:
    """The rows that have changed since noting began, as they were before."""

    def __init__(self) -> None:
        self._before: dict[int, tuple[models.Model, dict[str, Any]]] = {}

    def __len__(self) -> int:
        return len(self._before)

    def note(self, row: models.Model) -> None:
        """Keep what a row is now, unless it was noted before."""
        if id(row) not in self._before:
            self._before[id(row)] = (row, dict(vars(row)))

    def take_back(self) -> None:
        """Have the rows be what they were."""
        for row, columns in self._before.values():
            vars(row).clear()
            vars(row).update(columns)


# Of a transaction within another one, both may be rolled back.
_noting: ContextVar[tuple[Noted, ...]] = ContextVar("flowstate_noting", default=())


@contextmanager
def noted() -> Iterator[Noted]:
    """Note the rows that change within the block."""
    own = Noted()
    token = _noting.set((*_noting.get(), own))
    try:
        yield own
    finally:
        _noting.reset(token)


def about_to_change(row: models.Model) -> None:
    """Say that a row in memory is to change, for whoever may have to take that back."""
    for noting in _noting.get():
        noting.note(row)
