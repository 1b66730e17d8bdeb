"""Every error that flowstate raises: what happened, which thing, what to do, and a stable code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.core.exceptions import ImproperlyConfigured, PermissionDenied


class FlowstateError(Exception):
    """The base of all errors of this package; never raised itself.

    `code` is stable and meant for machines, `status_code` is the HTTP status the REST surface answers with.
    """

    code: str = "error"
    status_code: ClassVar[int] = 500


# --- declaring -----------------------------------------------------------------------------------


class DeclarationInvalid(FlowstateError, ImproperlyConfigured):
    """A workflow, step or action is declared in a way that cannot work."""

    code = "declaration_invalid"


class DiagramInvalid(DeclarationInvalid):
    """A diagram cannot be read, or no workflow can be made of it; `line` and `column` say where it is known.

    Both are counted from 1 and None where the diagram as a whole is wrong.
    """

    code = "diagram_invalid"

    def __init__(self, message: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message, line, column)
        self.line = line
        self.column = column

    def __str__(self) -> str:
        message = str(self.args[0])
        return message if self.line is None else f"line {self.line}, column {self.column}: {message}"


class WorkflowUnknown(FlowstateError, LookupError):
    """No class, action or registered workflow has this name in this process."""

    code = "workflow_unknown"


class StepUnknown(FlowstateError, LookupError):
    """The journal names a step that the workflow no longer declares."""

    code = "step_unknown"


class ServiceUnknown(FlowstateError, LookupError):
    """`ctx.service(name)` names a service that FLOWSTATE["SERVICES"] does not hold."""

    code = "service_unknown"


# --- starting ------------------------------------------------------------------------------------


class ActionDenied(FlowstateError, PermissionDenied):
    """The rules of the action do not let this user do it with this row."""

    code = "permission_denied"
    status_code = 403


class EntityMismatch(FlowstateError, TypeError):
    """The action is for a row and was started without one, or the other way round, or for another model's."""

    code = "entity_mismatch"
    status_code = 500


class InputInvalid(FlowstateError, ValueError):
    """The input does not fit the workflow's serializer; `errors` says which field and why."""

    code = "invalid_input"
    status_code = 400

    def __init__(self, message: str, errors: Mapping[str, Any] | Sequence[Any]) -> None:
        super().__init__(message, errors)
        self.errors = errors

    def __str__(self) -> str:
        return str(self.args[0])


class StartRefused(FlowstateError):
    """`should_run` or `before_start` of the workflow said no."""

    code = "start_refused"
    status_code = 409


class AlreadyRunning(StartRefused):
    """Another live run holds the exclusive key of this action or row; `run_id` names it."""

    code = "already_running"

    def __init__(self, message: str, run_id: str | None = None) -> None:
        super().__init__(message, run_id)
        self.run_id = run_id

    def __str__(self) -> str:
        return str(self.args[0])


class SecretsUnavailable(StartRefused):
    """The workflow has sensitive values, and this environment cannot encrypt: the extra `secrets` is missing."""

    code = "secrets_unavailable"
    status_code = 500


class IdempotencyKeyReused(StartRefused):
    """The key belongs to an earlier start that had other input."""

    code = "idempotency_key_reused"
    status_code = 422


class IdempotencyKeyRefused(StartRefused):
    """The key cannot be scoped to a caller (anonymous, without a session) or is malformed."""

    code = "idempotency_key_refused"
    status_code = 400


class InsideTransaction(StartRefused):
    """`.run()` with external steps was called inside a transaction that could still take the journal away."""

    code = "inside_transaction"
    status_code = 500


class WorkflowNotFindable(StartRefused):
    """Another process could not find this workflow by its name, so it may only run inline."""

    code = "workflow_not_findable"
    status_code = 500


# --- working through steps -----------------------------------------------------------------------


class StepError(FlowstateError):
    """What a step raises to say that it cannot be done, as an answer to a person.

    Subclass it with `status_code`, `default_code` and `default_detail`, as with DRF's `APIException`.
    Code and detail are journaled, shown to the caller, and enough to rebuild the error in another process.
    """

    status_code: ClassVar[int] = 422
    default_code: ClassVar[str] = "step_error"
    default_detail: ClassVar[str] = "The step could not be done."

    def __init__(self, detail: str | None = None, code: str | None = None) -> None:
        self.detail = self.default_detail if detail is None else str(detail)
        self.code = self.default_code if code is None else code
        super().__init__(self.detail, self.code)

    def __str__(self) -> str:
        return self.detail


class RowMissing(StepError):
    """An entity step found no row; the message names model and lookup."""

    status_code = 404
    default_code = "row_missing"


class RowsAmbiguous(StepError):
    """An entity step that is for one row found several."""

    status_code = 409
    default_code = "rows_ambiguous"


class RowLimitExceeded(StepError):
    """An entity step would touch more than FLOWSTATE["MAX_ROWS"] or "MAX_UNDO_BYTES" allows."""

    default_code = "row_limit_exceeded"


class RowProtected(StepError):
    """A row cannot be deleted because protected rows refer to it."""

    status_code = 409
    default_code = "row_protected"


class RowInvalid(StepError):
    """A row did not pass `full_clean()`; the message names the fields and what is wrong with each."""

    default_code = "row_invalid"


class EntityGone(StepError):
    """`ctx.entity` was asked for, but the row of the run no longer exists."""

    status_code = 410
    default_code = "entity_gone"


class ValueNotSerializable(StepError):
    """A value cannot be journaled: not JSON, not one of the known types, NaN, NUL or too large."""

    status_code = 500
    default_code = "value_not_serializable"


class OptionUnknown(StepError):
    """A choice was answered by something that is none of its options; the message names answer and options."""

    status_code = 500
    default_code = "option_unknown"


class StepsFailed(StepError):
    """What a step waited for has failed: a join that collects errors, or a race nobody won; `errors` holds each."""

    status_code = 500
    default_code = "steps_failed"

    def __init__(
        self,
        detail: str | None = None,
        code: str | None = None,
        errors: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__(detail, code)
        self.errors: dict[str, Any] = dict(errors or {})


class StepTimeout(StepError):
    """An attempt took longer than the step's timeout; the message names step, limit and attempt."""

    status_code = 504
    default_code = "step_timeout"


class EventTimeout(StepTimeout):
    """The event that a step waited for did not come in time; the message names step, event and limit."""

    default_code = "event_timeout"


class ChildrenTooDeep(StepError):
    """A child run would be further from its root than FLOWSTATE["MAX_CHILD_DEPTH"] allows."""

    status_code = 500
    default_code = "children_too_deep"


class ChildFailed(StepError):
    """The child run of a step failed at something that is no `StepError`; the message names run and step."""

    status_code = 500
    default_code = "child_failed"


class ChildGone(StepError):
    """The child run of a step no longer exists, so that it cannot be undone."""

    status_code = 500
    default_code = "child_gone"


class ChildCancelled(StepError):
    """The child run of a step was cancelled by itself; the message names it."""

    status_code = 409
    default_code = "child_cancelled"


class HeartbeatRefused(StepError):
    """`ctx.heartbeat()` in a transactional step, whose time cannot be prolonged while it holds locks."""

    status_code = 500
    default_code = "heartbeat_refused"


class WorkerLost(StepError):
    """A step took its worker down again and again; it is not tried any more."""

    status_code = 500
    default_code = "worker_lost"


class RunTimeout(StepError):
    """The whole run took longer than `Meta.timeout`."""

    status_code = 504
    default_code = "run_timeout"


class TransactionBroken(StepError):
    """The step swallowed a database error, which left its transaction unusable."""

    status_code = 500
    default_code = "transaction_broken"


class UndoConflict(FlowstateError):
    """The inverse would overwrite what somebody else wrote; `fields` says which, and what is there."""

    code = "undo_conflict"
    status_code = 409

    def __init__(self, message: str, fields: Mapping[str, Any] | None = None) -> None:
        super().__init__(message, dict(fields or {}))
        self.fields: dict[str, Any] = dict(fields or {})

    def __str__(self) -> str:
        return str(self.args[0])


class LineageUnknown(FlowstateError, LookupError):
    """Which runs touched the rows of this model is not kept."""

    code = "lineage_unknown"


# --- results of a run ----------------------------------------------------------------------------


class RunFailed(FlowstateError):
    """A run ended badly; `run_id` and `step` name where."""

    code = "run_failed"

    def __init__(self, message: str, run_id: str = "", step: str = "") -> None:
        super().__init__(message, run_id, step)
        self.run_id = run_id
        self.step = step

    def __str__(self) -> str:
        return str(self.args[0])


class StepFailed(RunFailed):
    """A step raised something that is not a `StepError`; the message names step and exception class."""

    code = "step_failed"


class RunCancelled(RunFailed):
    """The run was cancelled on request and undone."""

    code = "run_cancelled"
    status_code = 409


class CompensationFailed(RunFailed):
    """Undoing met an error or a conflict: the run is in `attention` and a person must act."""

    code = "needs_attention"

    def __init__(
        self, message: str, run_id: str = "", step: str = "", errors: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message, run_id, step)
        self.args = (message, run_id, step, dict(errors or {}))
        self.errors: dict[str, str] = dict(errors or {})


class RunConflict(FlowstateError):
    """The verb does not fit the status the run is in now; the message says which and what is possible."""

    code = "run_conflict"
    status_code = 409


# --- control flow: never caught by `except Exception` in user code -------------------------------


class StepInterrupted(BaseException):
    """Thrown into a step's function when its time is up; the engine turns it into `StepTimeout`."""
