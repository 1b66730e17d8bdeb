"""Builds the Context of a call into user code from the rows of a run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.utils.module_loading import import_string

from flowstate.actions.system import SYSTEM
from flowstate.conf import settings
from flowstate.engine.execution import UNREAD, Execution
from flowstate.engine.tokens import make_token
from flowstate.exceptions import EntityGone, HeartbeatRefused, ServiceUnknown
from flowstate.models import Run, RunStatus, StepRun, StepStatus
from flowstate.models.values import decode
from flowstate.workflows.context import Call, Context
from flowstate.workflows.function_context import Ask, FunctionContext
from flowstate.workflows.steps import UNSET, Kind


def context_of(
    execution: Execution, row: StepRun, heartbeat: Callable[[], None] | None = None
) -> Context[Any]:
    """Return the context of a forward call of a step."""
    return _context(execution, row, heartbeat, attempt=row.failures + 1, idempotency_key=row.key)


def function_context_of(execution: Execution, row: StepRun, ask: Ask) -> FunctionContext[Any]:
    """Return the context of a function that asks for its steps by it."""
    call = _call(execution, row, attempt=row.failures + 1, idempotency_key=row.key)
    return FunctionContext(call, RowSource(execution, None), ask)


def compensation_context_of(
    execution: Execution, row: StepRun, heartbeat: Callable[[], None] | None = None
) -> Context[Any]:
    """Return the context of a call of a step's compensation."""
    return _context(
        execution,
        row,
        heartbeat,
        attempt=row.compensation_failures + 1,
        idempotency_key=row.compensation_key,
        forward_key=row.key,
    )


def run_context_of(execution: Execution) -> Context[Any]:
    """Return the context of a hook that belongs to no step."""
    return _context(execution, None, None)


def _context(
    execution: Execution, row: StepRun | None, heartbeat: Callable[[], None] | None, **facts: Any
) -> Context[Any]:
    return Context(_call(execution, row, **facts), RowSource(execution, heartbeat))


def _call(execution: Execution, row: StepRun | None, **facts: Any) -> Call:
    return Call(
        step="" if row is None else row.name,
        step_index=0 if row is None else row.seq,
        **_facts_of(execution),
        **facts,
    )


def _facts_of(execution: Execution) -> dict[str, Any]:
    """Return what every call is told of its run; none of it changes while the run lives."""
    if not execution.facts:
        run = execution.run
        execution.facts = {
            "run_id": str(run.pk),
            "workflow": run.workflow,
            "version": run.version,
            "action": run.action,
            "started_at": run.started_at,
            "total_steps": len(execution.rows),
            "entity_id": entity_id_of(run),
        }
    return execution.facts


def data_of(execution: Execution) -> dict[str, Any]:
    """Return the shared data: the initial one and what the steps have set, in their order."""
    data = {name: decode(value) for name, value in execution.run.initial_data_json.items()}
    for row in execution.rows.values():
        data.update(row.data)
    return data


def entity_id_of(run: Run) -> Any:
    """Return the key of the run's row in its own type, without reading the row."""
    model = run.entity_model
    return None if model is None or not run.object_id else model._meta.pk.to_python(run.object_id)


class RowSource:
    """Fetches for a context what the journal and the database hold."""

    def __init__(self, execution: Execution, heartbeat: Callable[[], None] | None) -> None:
        self._execution = execution
        self._heartbeat = heartbeat

    def input(self) -> dict[str, Any]:
        """Return a copy of the run's input."""
        return self._execution.run.input

    def data(self) -> dict[str, Any]:
        """Return a copy of the run's shared data as the steps so far have left it."""
        return data_of(self._execution)

    def entity(self) -> Any:
        """Return the row of the run, read now. Raises `EntityGone`."""
        run = self._execution.run
        model = self.entity_model()
        if model is None:
            return None
        row = model._base_manager.using(self._execution.using).filter(pk=run.object_id).first()
        if row is None:
            message = f"{model._meta.label} {run.object_id} of run {run.pk} no longer exists."
            raise EntityGone(message)
        return row

    def entity_model(self) -> Any:
        """Return the model of the row, or None."""
        return self._execution.run.entity_model

    def user(self) -> Any:
        """Return who asked for the run: a user, SYSTEM, or None for somebody deleted or anonymous."""
        execution = self._execution
        if execution.user is UNREAD:
            execution.user = _read_user(execution.run)
        return execution.user

    def result(self, name: str) -> Any:
        """Return a copy of a step's value. Raises KeyError with the step's status."""
        row = self._execution.rows.get(name)
        if row is None:
            known = ", ".join(self._execution.rows)
            message = f"There is no step {name!r}; the steps are {known}."
            raise KeyError(message)
        if not self._has_value(row):
            message = f"Step {name!r} has no result: it is {row.status}."
            raise KeyError(message)
        return row.result

    def result_names(self) -> list[str]:
        """Return the names of the steps that have a value now."""
        return [row.name for row in self._execution.rows.values() if self._has_value(row)]

    def last_result(self) -> Any:
        """Return a copy of what is the run's value by default."""
        return decode(last_result(self._execution))

    def service(self, name: str) -> Any:
        """Return a registered service: what its dotted path names, called if that is callable."""
        services = settings().services
        if name not in services:
            known = ", ".join(sorted(services)) or "none"
            message = f"FLOWSTATE['SERVICES'] has no {name!r}; registered: {known}."
            raise ServiceUnknown(message)
        service = services[name]
        if isinstance(service, str):
            service = import_string(service)
            return service() if callable(service) else service
        return service

    def event_token(self, step: str) -> str:
        """Return the token that brings a step its event. Raises KeyError."""
        row = self._execution.rows.get(step)
        if row is None or row.kind != Kind.EVENT:
            known = ", ".join(row.name for row in self._execution.rows.values() if row.kind == Kind.EVENT)
            message = f"There is no EventStep {step!r}; there is {known or 'none'}."
            raise KeyError(message)
        return make_token(row)

    def deadline(self) -> datetime | None:
        """Return when the run must have ended."""
        return self._execution.run.deadline_at

    def cancelled(self) -> bool:
        """Return whether the run is being undone by now. One query."""
        runs = Run.objects.using(self._execution.using)
        return runs.filter(pk=self._execution.run.pk).exclude(status=RunStatus.RUNNING).exists()

    def heartbeat(self) -> None:
        """Restart the attempt's timeout and its lease."""
        if self._heartbeat is None:
            message = (
                "ctx.heartbeat() is for external steps: a transactional step holds its locks until it ends. "
                "Make its timeout longer, or split it."
            )
            raise HeartbeatRefused(message)
        self._heartbeat()

    def _has_value(self, row: StepRun) -> bool:
        if row.status in (StepStatus.DONE, StepStatus.SKIPPED):
            return not row.left_out
        return (
            row.optional
            and row.status in (StepStatus.FAILED, StepStatus.UNKNOWN)
            and self._execution.step(row.name).default is not UNSET
        )


def last_result(execution: Execution) -> Any:
    """Return the encoded result of the last declared step that is done and not optional."""
    for row in sorted(execution.rows.values(), key=lambda row: row.seq, reverse=True):
        if row.status == StepStatus.DONE and not row.optional:
            return row.result_json
    return None


def _read_user(run: Run) -> Any:
    if run.requested_by_id is not None:
        return get_user_model()._default_manager.filter(pk=run.requested_by_id).first()
    return SYSTEM if run.by_system else None
