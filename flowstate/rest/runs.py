"""Runs over HTTP: list and look at those one may see, cancel and retry, waive and force where one may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.http import Http404
from rest_framework import filters, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.settings import api_settings

from flowstate.engine.approvals.inbox import decides_in
from flowstate.engine.operate.authority import may_operate, may_resolve
from flowstate.models import Run, RunStatus
from flowstate.rest.answers import answer
from flowstate.rest.errors import ErrorAnswers
from flowstate.rest.locations import location_of
from flowstate.rest.pagination import RunPagination
from flowstate.rest.renderers import MermaidRenderer
from flowstate.rest.requests import input_of
from flowstate.rest.serializers import (
    CancelSerializer,
    ForceSerializer,
    RetrySerializer,
    RunDetailSerializer,
    RunSerializer,
    WaiveSerializer,
)
from flowstate.rest.transactions import OwnTransactions

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from rest_framework.request import Request
    from rest_framework.views import APIView


class RunFilters(serializers.Serializer[Any]):
    """What a list of runs can be narrowed down by, each once."""

    status = serializers.ChoiceField(choices=RunStatus.choices, required=False, allow_blank=True)
    action = serializers.CharField(required=False, allow_blank=True, max_length=255)
    workflow = serializers.CharField(required=False, allow_blank=True, max_length=255)


class RunFilter(filters.BaseFilterBackend):
    """`?status=attention&action=shop.order.checkout&workflow=shop.workflows.Checkout`, matched exactly."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: APIView) -> QuerySet[Any]:
        """Return the runs that are asked for. Raises ValidationError for an unknown status."""
        asked = RunFilters(data=request.query_params.dict())
        asked.is_valid(raise_exception=True)
        return queryset.filter(**{name: value for name, value in asked.validated_data.items() if value})


class RunViewSet(ErrorAnswers, OwnTransactions, viewsets.ReadOnlyModelViewSet[Run]):
    """The runs that the user may see; all others are not found.

    The project's default authentication and permissions apply.
    """

    queryset = Run.objects.all()
    serializer_class = RunDetailSerializer
    pagination_class = RunPagination
    filter_backends = (RunFilter,)

    def get_queryset(self) -> QuerySet[Run]:
        """Return the visible runs with their steps, in a constant number of queries."""
        return Run.objects.visible_to(self.request.user).with_steps()

    def get_object(self) -> Run:
        """Return the run if it is visible, or if the user is asked to decide something in it."""
        try:
            return super().get_object()
        except Http404:
            key = _key(self.kwargs["pk"])
            if key is None or not decides_in(self.request.user, key):
                raise
            run = Run.objects.with_steps().get(pk=key)
            self.check_object_permissions(self.request, run)
            return run

    def get_serializer_class(self) -> type[serializers.BaseSerializer[Any]]:
        """Return the short form for lists; routes of verbs name what is sent to them."""
        return RunSerializer if self.action == "list" else super().get_serializer_class()

    @action(detail=True, methods=["post"], serializer_class=CancelSerializer)
    def cancel(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Stop a run and have undone what was done; 202 while it is being undone."""
        run = self._operable_run()
        given = self._input(request)
        run.cancel(request.user, given["reason"])
        return self._shown(run) if run.finished else answer(run, self)

    @action(detail=True, methods=["post"], serializer_class=RetrySerializer)
    def retry(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Go on with a run that needs a person or ended badly; `Location` names the run that goes on."""
        run = self._operable_run()
        self._input(request)
        again = run.retry(request.user)
        # In place it is the undoing that is retried: once that is done, what was asked for is done.
        undone = again.pk == run.pk and again.finished
        response = self._shown(again) if undone else answer(again, self)
        location = location_of(again, request)
        if location is not None:
            response["Location"] = location
        return response

    @action(detail=True, renderer_classes=(*api_settings.DEFAULT_RENDERER_CLASSES, MermaidRenderer))
    def diagram(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return the run as a Mermaid flowchart; bare with `Accept: text/vnd.mermaid` or `?format=mermaid`."""
        return Response({"mermaid": self.get_object().to_mermaid()})

    @action(detail=True, methods=["post"], serializer_class=WaiveSerializer)
    def waive(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Leave a step as it is whose undoing failed; the run ends after the last one."""
        run = self._resolvable_run()
        given = self._input(request)
        return self._shown(run.waive(request.user, given["step"], given["reason"]))

    @action(detail=True, methods=["post"], serializer_class=ForceSerializer)
    def force(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Undo a step over what somebody else wrote; an error where even that cannot be done."""
        run = self._resolvable_run()
        given = self._input(request)
        run.force(request.user, given["step"], given["reason"])
        return answer(run, self) if given["step"] in run.compensation_errors else self._shown(run)

    def _resolvable_run(self) -> Run:
        run = self.get_object()
        if not may_resolve(self.request.user):
            self.permission_denied(self.request)
        return run

    def _operable_run(self) -> Run:
        run = self.get_object()
        if not may_operate(run, self.request.user):
            self.permission_denied(self.request)
        return run

    def _shown(self, run: Run) -> Response:
        return Response(RunDetailSerializer(run, context=self.get_serializer_context()).data)

    def _input(self, request: Request) -> dict[str, Any]:
        serializer = self.get_serializer(data=input_of(request))
        serializer.is_valid(raise_exception=True)
        validated: dict[str, Any] = serializer.validated_data
        return validated


def _key(given: str) -> UUID | None:
    try:
        return UUID(given)
    except ValueError:
        return None
