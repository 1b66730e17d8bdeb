"""Every error has a code and a detail, whoever raised it."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework import exceptions, serializers
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.views import exception_handler as drf_exception_handler

from flowstate import exceptions as own
from flowstate.rest import RunViewSet, exception_handler


def told(exc: Exception) -> tuple[int, dict[str, Any]]:
    response = exception_handler(exc, {})
    assert response is not None
    return response.status_code, dict(response.data)


@pytest.mark.parametrize(
    ("exc", "status", "code"),
    [
        (Http404(), 404, "not_found"),
        (PermissionDenied(), 403, "permission_denied"),
        (exceptions.NotAuthenticated(), 401, "not_authenticated"),
        (exceptions.MethodNotAllowed("PUT"), 405, "method_not_allowed"),
        (exceptions.UnsupportedMediaType("text/x"), 415, "unsupported_media_type"),
        (exceptions.Throttled(3), 429, "throttled"),
        (exceptions.PermissionDenied("No.", code="too_young"), 403, "too_young"),
        (exceptions.APIException(), 500, "error"),
    ],
)
def test_the_errors_of_django_and_drf_have_a_code(exc: Exception, status: int, code: str) -> None:
    answered, body = told(exc)

    assert (answered, body["code"]) == (status, code)
    assert isinstance(body["detail"], str)


def test_a_validation_error_names_the_fields() -> None:
    class Form(serializers.Serializer[Any]):
        age = serializers.IntegerField()

    form = Form(data={"age": "old"})
    assert not form.is_valid()

    status, body = told(serializers.ValidationError(form.errors))

    assert (status, body["code"]) == (400, "invalid_input")
    assert body["errors"] == {"age": ["A valid integer is required."]}


def test_a_validation_error_without_fields_has_the_key_that_drf_has_for_it() -> None:
    assert told(serializers.ValidationError("Too late."))[1]["errors"] == {"non_field_errors": ["Too late."]}


def test_a_field_named_detail_is_a_field() -> None:
    body = told(serializers.ValidationError({"detail": ["Too short."]}))[1]

    assert body == {
        "code": "invalid_input",
        "detail": "The input is not valid.",
        "errors": {"detail": ["Too short."]},
    }


def test_what_others_say_in_their_errors_stays() -> None:
    exc = exceptions.AuthenticationFailed(
        {"detail": "Expired.", "code": "token_not_valid", "hint": "Log in."}
    )

    assert told(exc)[1] == {"detail": "Expired.", "code": "token_not_valid", "hint": "Log in."}


def test_an_error_of_others_that_is_a_list_keeps_it_beside_the_detail() -> None:
    body = told(exceptions.PermissionDenied(["Too young.", "Too late."]))[1]

    assert body["code"] == "permission_denied"
    assert isinstance(body["detail"], str)
    assert body["errors"] == ["Too young.", "Too late."]


def test_a_bug_is_left_to_django() -> None:
    assert exception_handler(ZeroDivisionError(), {}) is None


@pytest.mark.parametrize(
    ("exc", "status", "body"),
    [
        (own.RunConflict("It has ended."), 409, {"code": "run_conflict", "detail": "It has ended."}),
        (
            own.InputInvalid("See age.", {"age": ["Too young."]}),
            400,
            {"code": "invalid_input", "detail": "See age.", "errors": {"age": ["Too young."]}},
        ),
        (
            own.AlreadyRunning("Busy.", "run-1"),
            409,
            {"code": "already_running", "detail": "Busy.", "run": "run-1"},
        ),
        (own.AlreadyRunning("Busy."), 409, {"code": "already_running", "detail": "Busy."}),
        (own.StepError("No.", "nope"), 422, {"code": "nope", "detail": "No."}),
        (
            own.RunCancelled("Cancelled by ada.", "run-1"),
            409,
            {"code": "run_cancelled", "detail": "Cancelled by ada.", "failed_step": "", "run": "run-1"},
        ),
    ],
)
def test_the_errors_of_flowstate_are_answers(exc: Exception, status: int, body: dict[str, object]) -> None:
    assert told(exc) == (status, body)


@pytest.mark.parametrize(
    "exc",
    [
        own.StepFailed("RuntimeError: hunter2", "run-1", "charge"),
        own.CompensationFailed("hunter2", "run-1", "charge", {"reserve": "hunter2"}),
        own.CompensationFailed("hunter2", "run-1", "charge"),
        own.InsideTransaction("hunter2"),
        own.DeclarationInvalid("hunter2"),
        own.ValueNotSerializable("hunter2"),
        own.TransactionBroken("hunter2"),
    ],
)
def test_what_is_for_the_author_goes_to_the_log_and_not_to_the_client(
    exc: own.FlowstateError, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "flowstate.rest"):
        status, body = told(exc)

    assert status == 500
    assert "hunter2" not in str(body)
    assert "hunter2" in caplog.text


def test_a_denied_action_names_nobody() -> None:
    status, body = told(own.ActionDenied("User 7 may not do shop.order.pay with row 3."))

    assert status == 403
    assert body["code"] == "permission_denied"
    assert "7" not in body["detail"]


def test_the_views_answer_in_this_form_where_the_project_has_not_said_otherwise() -> None:
    assert RunViewSet().get_exception_handler() is exception_handler


def test_a_handler_of_the_project_s_own_keeps_its_say(monkeypatch: pytest.MonkeyPatch) -> None:
    def theirs(exc: Exception, context: dict[str, Any]) -> Response | None:
        response = drf_exception_handler(exc, context)
        return None if response is None else Response({"oops": True}, status=response.status_code)

    monkeypatch.setattr(APIView, "get_exception_handler", lambda _view: theirs)
    handle = RunViewSet().get_exception_handler()

    assert handle(Http404(), {}).data == {"oops": True}
    assert handle(own.ActionDenied("User 7"), {}).data == {"oops": True}
    assert handle(own.RunConflict("It has ended."), {}).data["code"] == "run_conflict"
    assert handle(ZeroDivisionError(), {}) is None
