"""Two databases side by side, for the soak: everything goes to the one that is `Sides.current`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

EMPTY, FILLED = "default", "filled"


class Sides:
    """A router of Django's: `DATABASE_ROUTERS = ["tests.growth.sides.Sides"]`."""

    current = EMPTY

    def db_for_read(self, model: Any, **_hints: Any) -> str:
        return self.current

    def db_for_write(self, model: Any, **_hints: Any) -> str:
        return self.current


@contextmanager
def on(side: str) -> Iterator[None]:
    """Work on one side within the block."""
    before, Sides.current = Sides.current, side
    try:
        yield
    finally:
        Sides.current = before
