"""Pages of runs: newest first, at a cost that does not grow with their number."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from rest_framework.exceptions import NotFound
from rest_framework.pagination import CursorPagination


class RunPagination(CursorPagination):
    """Pages by the key of the run, whose order is that of time; `?page_size=` up to 200."""

    ordering = "-id"
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 200

    def decode_cursor(self, request: Any) -> Any:
        """Return the position to go on from. Raises NotFound for a cursor that was not made here."""
        cursor = super().decode_cursor(request)
        if cursor is not None and cursor.position is not None:
            try:
                UUID(str(cursor.position))
            except ValueError as err:
                # It would reach the database as it is, and be refused there with a status of 500.
                raise NotFound(self.invalid_cursor_message) from err
        return cursor
