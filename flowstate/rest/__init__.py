"""REST, by the conventions of Django REST framework: actions on viewsets, runs, one form for every error."""

from __future__ import annotations

from flowstate.rest.errors import exception_handler
from flowstate.rest.event_signatures import sign_event
from flowstate.rest.pagination import RunPagination
from flowstate.rest.runs import RunViewSet
from flowstate.rest.serializers import RunDetailSerializer, RunSerializer, StepRunSerializer
from flowstate.rest.viewsets import ActionsMixin

__all__ = [
    "ActionsMixin",
    "RunDetailSerializer",
    "RunPagination",
    "RunSerializer",
    "RunViewSet",
    "StepRunSerializer",
    "exception_handler",
    "sign_event",
]
