"""How a run becomes an answer: 200 when it ended well, 202 while it goes on, otherwise its error's status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rest_framework import status
from rest_framework.response import Response

from flowstate.rest.errors import error_body, error_status
from flowstate.rest.locations import location_of
from flowstate.rest.serializers import RunDetailSerializer

if TYPE_CHECKING:
    from rest_framework.request import Request

    from flowstate.models import Run


def answer(run: Run, view: Any) -> Response:
    """Return the answer to who started or moved a run, by where the run stands now."""
    request: Request = view.request
    headers = {"Idempotency-Replayed": "true"} if run.replayed else {}
    failure = error_status(run)
    if failure is not None:
        return Response(error_body(run), status=failure, headers=headers)
    # A plain dictionary: behind DRF's own the browsable API finds the run, and would ask the permissions of a
    # viewset of orders about it.
    body = dict(RunDetailSerializer(run, context={"request": request, "view": view}).data)
    if run.finished:
        return Response(body, headers=headers)
    location = location_of(run, request)
    if location is not None:
        headers["Location"] = location
    return Response(body, status=status.HTTP_202_ACCEPTED, headers=headers)
