"""Calls the workflow's hooks and sends the signal: after commit, and without a say in the outcome."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from flowstate.engine.calls.contexts import compensation_context_of, context_of, run_context_of
from flowstate.engine.entities import Restored, rows_as_senders
from flowstate.engine.execution import Execution
from flowstate.models import RunStatus
from flowstate.signals import entity_restored, run_event
from flowstate.workflows.functions import call
from flowstate.workflows.steps import Step
from flowstate.workflows.workflow import Workflow

logger = logging.getLogger("flowstate.hooks")


def announce(execution: Execution, kind: str, step: str = "") -> None:
    """Send `run_event` after the commit that makes it true."""
    run = execution.run

    def send() -> None:
        responses = run_event.send_robust(
            sender=type(run), run_id=str(run.pk), kind=kind, step=step, status=run.status
        )
        for receiver, response in responses:
            if isinstance(response, Exception):
                logger.error("Receiver %r of run_event failed.", receiver, exc_info=response)

    execution.call_after(send)


def announce_start(execution: Execution) -> None:
    """Call `on_start` and send the signal."""
    announce(execution, "started")
    _call_after(execution, "on_start", lambda workflow: call(workflow.on_start, run_context_of(execution)))


def announce_step_done(execution: Execution, name: str) -> None:
    """Call `on_step_complete` with the journaled result and send the signal."""
    announce(execution, "step_done", name)

    def tell(workflow: Workflow) -> None:
        row = execution.rows[name]
        call(workflow.on_step_complete, context_of(execution, row), name, row.result)

    _call_after(execution, "on_step_complete", tell)


def announce_step_failed(execution: Execution, name: str, error: BaseException) -> None:
    """Call `on_step_failed`, once per step that failed for good, and send the signal."""
    announce(execution, "step_failed", name)

    def tell(workflow: Workflow) -> None:
        call(workflow.on_step_failed, context_of(execution, execution.rows[name]), name, error)

    _call_after(execution, "on_step_failed", tell)


def announce_undone(execution: Execution, name: str) -> None:
    """Call `on_compensate` after a step was undone, and send the signal."""
    announce(execution, "step_undone", name)

    def tell(workflow: Workflow) -> None:
        call(workflow.on_compensate, compensation_context_of(execution, execution.rows[name]), name)

    _call_after(execution, "on_compensate", tell)


def announce_restored(execution: Execution, step: Step[Any], rows: Iterable[Restored]) -> None:
    """Send `entity_restored` for the rows that an inverse has touched."""
    touched = rows_as_senders(rows, step, execution.run.entity_model)

    def send() -> None:
        for model, pk, change in touched:
            facts = {"pk": pk, "change": change, "run_id": str(execution.run.pk), "step": step.name}
            for receiver, response in entity_restored.send_robust(model, using=execution.using, **facts):
                if isinstance(response, Exception):
                    logger.error("Receiver %r of entity_restored failed.", receiver, exc_info=response)

    execution.call_after(send)


def announce_end(execution: Execution, status: RunStatus) -> None:
    """Call `on_complete` or `on_failed` with the run as it ended, and send the signal."""
    announce(execution, "ended")

    def tell(workflow: Workflow) -> None:
        if status == RunStatus.SUCCEEDED:
            call(workflow.on_complete, execution.run)
        else:
            call(workflow.on_failed, execution.run)

    _call_after(execution, "on_complete" if status == RunStatus.SUCCEEDED else "on_failed", tell)


def _call_after(execution: Execution, hook: str, tell: Callable[[Workflow], Any]) -> None:
    if hook not in execution.declaration.hooks:
        return

    def guarded() -> None:
        try:
            tell(execution.workflow())
        except Exception:
            logger.exception(
                "Hook %s of %s failed in run=%s; the outcome stands.",
                hook,
                execution.run.workflow,
                execution.run.pk,
            )

    execution.call_after(guarded)
