"""The one form of every error over HTTP: a stable `code`, a `detail` for people, and nothing of the inside."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.views import exception_handler as drf_exception_handler
from rest_framework.views import set_rollback

from flowstate import exceptions as own
from flowstate.exceptions import (
    ActionDenied,
    AlreadyRunning,
    CompensationFailed,
    FlowstateError,
    InputInvalid,
    RunCancelled,
    RunFailed,
    StepError,
    StepFailed,
)
from flowstate.exceptions.approvals import AlreadyDecided, ApprovalChanged, ApprovalDenied
from flowstate.models import RunStatus

if TYPE_CHECKING:
    from flowstate.models import Run

logger = logging.getLogger("flowstate.rest")

# What answers 500 by itself speaks to the author of a workflow, and may hold what the caller must not see.
INTERNAL_CODES = frozenset(
    kind.default_code if issubclass(kind, StepError) else kind.code
    for kind in vars(own).values()
    if isinstance(kind, type) and issubclass(kind, FlowstateError) and kind.status_code == 500
)


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Return the answer to an error, or None for what is no answer to a request but a bug.

    For `REST_FRAMEWORK = {"EXCEPTION_HANDLER": "flowstate.rest.exception_handler"}`: DRF's own errors get a
    `code` beside their `detail`, and those of input an `errors` with the fields.
    """
    if isinstance(exc, FlowstateError) and not isinstance(exc, ActionDenied):
        set_rollback()
        return _answer(exc)
    if isinstance(exc, ActionDenied):
        # Its message names users and keys for the log; the answer is DRF's own for whatever is denied.
        exc = exceptions.PermissionDenied()
    response = drf_exception_handler(exc, context)
    if response is not None:
        response.data = _with_code(response.data, exc)
    return response


class ErrorAnswers:
    """Mixed into views, so that they answer in this form also where the project has not set the handler.

    A handler of the project's own stays in charge of everything but the errors of flowstate.
    """

    def get_exception_handler(self) -> Any:
        """Return the handler that DRF calls with an exception and its context."""
        theirs = super().get_exception_handler()  # type: ignore[misc]
        if theirs in (drf_exception_handler, exception_handler):
            return exception_handler

        def handle(exc: Exception, context: dict[str, Any]) -> Response | None:
            if isinstance(exc, FlowstateError) and not isinstance(exc, ActionDenied):
                return exception_handler(exc, context)
            answer: Response | None = theirs(exc, context)
            return answer

        return handle


# --- errors as they are raised -------------------------------------------------------------------


def _answer(exc: FlowstateError) -> Response:
    body: dict[str, Any] = {"code": exc.code, "detail": _detail(exc)}
    match exc:
        case InputInvalid():
            body["errors"] = exc.errors
        case AlreadyRunning() if exc.run_id is not None:
            body["run"] = exc.run_id
        case RunFailed():
            body |= {"failed_step": exc.step, "run": exc.run_id}
        case ApprovalChanged():
            body |= {"old": exc.old, "new": exc.new, "digest": exc.digest}
        case AlreadyDecided():
            body["outcome"] = exc.outcome
        case ApprovalDenied():
            body["why"] = exc.why
        case _:
            pass
    if exc.status_code >= 500:
        # Django would log the answer's status only; whoever mends it needs the traceback.
        logger.error("code=%s status=%s", exc.code, exc.status_code, exc_info=exc)
    return Response(body, status=exc.status_code)


def _detail(exc: FlowstateError) -> str:
    if isinstance(exc, StepError) and exc.code not in INTERNAL_CODES:
        return exc.detail
    if isinstance(exc, CompensationFailed):
        return _needs_a_person(exc.errors)
    if isinstance(exc, RunFailed) and not isinstance(exc, RunCancelled):
        return _failed(exc.step)
    if exc.status_code >= 500:
        return _("The server could not do this.")
    return str(exc)


def _with_code(data: Any, exc: Exception) -> dict[str, Any]:
    if isinstance(exc, exceptions.ValidationError):
        errors = data
        if isinstance(data, list) and all(isinstance(item, str) for item in data):
            errors = {api_settings.NON_FIELD_ERRORS_KEY: data}
        return {"code": InputInvalid.code, "detail": _("The input is not valid."), "errors": errors}
    if isinstance(data, Mapping) and "detail" in data:
        code = getattr(data["detail"], "code", exceptions.APIException.default_code)
        return {"code": code, **data}
    default = getattr(exc, "default_detail", exceptions.APIException.default_detail)
    code = getattr(exc, "default_code", exceptions.APIException.default_code)
    return {"code": code, "detail": str(default), "errors": data}


# --- errors as the journal holds them ------------------------------------------------------------


def error_status(run: Run) -> int | None:
    """Return the HTTP status that says how the run ended badly; None if it goes on or ended well."""
    match run.status:
        case RunStatus.ATTENTION:
            return CompensationFailed.status_code
        case RunStatus.CANCELLED:
            return RunCancelled.status_code
        case RunStatus.FAILED | RunStatus.COMPENSATED:
            status = (run.error or {}).get("status")
            return status if isinstance(status, int) and 400 <= status < 600 else StepFailed.status_code
        case _:
            return None


def error_body(run: Run) -> dict[str, Any]:
    """Return what is told about a run that ended badly or needs a person."""
    match run.status:
        case RunStatus.ATTENTION:
            code, detail = CompensationFailed.code, _needs_a_person(run.compensation_errors)
        case RunStatus.CANCELLED:
            code, detail = RunCancelled.code, _("The run was cancelled.")
        case _:
            told = public_error(run.error or {}, run.failed_step)
            code, detail = told["code"], told["detail"]
    return {
        "code": code,
        "detail": detail,
        "failed_step": run.failed_step,
        "compensated_steps": run.compensated_steps,
        "run": str(run.pk),
    }


def public_error(error: Mapping[str, Any], step: str) -> dict[str, str]:
    """Return code and detail of a journaled error; never its class, and no words meant for the author."""
    code = str(error.get("code") or StepFailed.code)
    detail = _failed(step) if code in INTERNAL_CODES else str(error.get("detail", ""))
    return {"code": code, "detail": detail}


def _failed(step: str) -> str:
    return _("The step %(step)s failed.") % {"step": step} if step else _("The run failed.")


def _needs_a_person(errors: Mapping[str, Any]) -> str:
    if not errors:
        return _("Undoing did not succeed; a person must look at it.")
    steps = ", ".join(sorted(errors))
    return _("Undoing %(steps)s did not succeed; a person must look at it.") % {"steps": steps}
