"""Approvals over HTTP: what waits for me, one of them, and the votes: approve, reject, reassign."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.db.models import prefetch_related_objects
from rest_framework import serializers, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.response import Response

from flowstate.engine.approvals.inbox import may_see
from flowstate.engine.approvals.showing import note_view
from flowstate.models import Approval
from flowstate.rest.approval_serializers import (
    ApprovalDetailSerializer,
    ApprovalSerializer,
    ApproveSerializer,
    ReassignSerializer,
    RejectSerializer,
)
from flowstate.rest.errors import ErrorAnswers
from flowstate.rest.pagination import InboxPagination
from flowstate.rest.requests import caller_of, input_of
from flowstate.rest.transactions import OwnTransactions

if TYPE_CHECKING:
    from rest_framework.request import Request


class ApprovalViewSet(ErrorAnswers, OwnTransactions, viewsets.GenericViewSet[Approval]):
    """The approvals that wait for the user, and single ones that they decide, have decided, or may see the run of.

    All others are not found. The project's default authentication and permissions apply.
    """

    queryset = Approval.objects.select_related("run")
    serializer_class: type[serializers.BaseSerializer[Any]] = ApprovalDetailSerializer
    pagination_class = InboxPagination
    lookup_value_regex = r"\d{1,18}"

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return what the user may decide now, the longest waiting first, in a constant number of queries."""
        pages = InboxPagination()
        page = pages.paginate_inbox(request)
        prefetch_related_objects(page.approvals, "votes")
        shown = ApprovalSerializer(page.approvals, many=True, context=self.get_serializer_context())
        return pages.get_paginated_response(shown.data)

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return one approval. That somebody who may decide it has looked at it is kept in the run's history."""
        approval = self._approval()
        shown = self._shown(approval)
        if shown["may_decide"]:
            note_view(approval, user=caller_of(request), source=source_of(request))
        return Response(shown)

    @action(detail=True, methods=["post"], serializer_class=ApproveSerializer)
    def approve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Vote for it; the last vote that is needed lets the run go on."""
        approval = self._approval()
        given = self._input(request)
        approval.approve(
            caller_of(request),
            given["comment"],
            given["form"],
            shown_digest=given["digest"],
            source=source_of(request),
        )
        return Response(self._shown(approval))

    @action(detail=True, methods=["post"], serializer_class=RejectSerializer)
    def reject(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Reject it, which decides it; a reason must be given."""
        approval = self._approval()
        given = self._input(request)
        approval.reject(
            caller_of(request), given["reason"], shown_digest=given["digest"], source=source_of(request)
        )
        return Response(self._shown(approval))

    @action(detail=True, methods=["post"], serializer_class=ReassignSerializer)
    def reassign(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Hand the decision to somebody else who is allowed."""
        approval = self._approval()
        given = self._input(request)
        instead_of = given["instead_of"]
        if instead_of and _person(instead_of) is None:
            raise serializers.ValidationError({"instead_of": ["There is nobody of that name."]})
        approval.reassign(
            caller_of(request),
            _person(given["to"]),
            instead_of=_person(instead_of) if instead_of else None,
            reason=given["reason"],
            source=source_of(request),
        )
        return Response(self._shown(approval))

    def _approval(self) -> Approval:
        # Not get_object(): it would ask for the name of the route's argument, and filter nothing.
        found = self.get_queryset().prefetch_related("votes").filter(pk=self.kwargs["pk"]).first()
        if found is None or not may_see(caller_of(self.request), found):
            raise NotFound
        return found

    def _shown(self, approval: Approval) -> dict[str, Any]:
        data: dict[str, Any] = ApprovalDetailSerializer(approval, context=self.get_serializer_context()).data
        return data

    def _input(self, request: Request) -> dict[str, Any]:
        serializer = self.get_serializer(data=input_of(request))
        serializer.is_valid(raise_exception=True)
        validated: dict[str, Any] = serializer.validated_data
        return validated


def source_of(request: Request) -> str:
    """Return where a vote comes from, for the history: this way in, and the address that the server sees."""
    return f"REST, {request.META.get('REMOTE_ADDR') or '-'}"


def _person(name: str) -> Any:
    # Who is not there, and who is not allowed, is one and the same answer of the engine.
    users = get_user_model()
    return users._default_manager.filter(**{users.USERNAME_FIELD: name}).first()
