"""Pages of runs, newest first, and of what waits for me: at a cost that does not grow with their number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.utils.translation import gettext as _
from rest_framework.exceptions import NotFound
from rest_framework.pagination import BasePagination, CursorPagination
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from flowstate.engine.approvals.inbox import PAGE, InboxPage, inbox_of

if TYPE_CHECKING:
    from rest_framework.request import Request

MOST_KEY = 2**63 - 1
"""Above it a number is no key of a row, and some databases refuse to compare it."""


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


class InboxPagination(BasePagination):
    """Pages of what waits for a person, the longest waiting first; `?page_size=` up to 50.

    A page looks at so many approvals and holds those that the person may decide: it may hold fewer, and where
    `next` is not null there is more to look at.
    """

    after_query_param = "after"
    page_size_query_param = "page_size"

    def paginate_inbox(self, request: Request) -> InboxPage:
        """Return the page that is asked for. Raises NotFound for a position that is none."""
        self._request = request
        self._page = inbox_of(
            request.user,
            after=self._number(self.after_query_param, 0, most=MOST_KEY),
            limit=min(self._number(self.page_size_query_param, PAGE, most=MOST_KEY) or PAGE, PAGE),
        )
        return self._page

    def get_paginated_response(self, data: Any) -> Response:
        """Return the page with where it goes on."""
        position = self._page.after
        url = self._request.build_absolute_uri()
        following = None if position is None else replace_query_param(url, self.after_query_param, position)
        return Response({"next": following, "results": data})

    def _number(self, name: str, default: int, *, most: int) -> int:
        given = self._request.query_params.get(name, "")
        if not given:
            return default
        if not given.isascii() or not given.isdecimal() or int(given) > most:
            raise NotFound(_("This page is not there."))
        return int(given)
