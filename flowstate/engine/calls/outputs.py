"""The value of a run that ended well."""

from __future__ import annotations

import logging
from typing import Any

from django.db import transaction

from flowstate.engine.calls.contexts import last_result, run_context_of
from flowstate.engine.execution import Execution
from flowstate.models import EventKind, RunEvent
from flowstate.models.values import encode
from flowstate.redaction import scrubbed
from flowstate.workflows.functions import call
from flowstate.workflows.workflow import Workflow

logger = logging.getLogger("flowstate.hooks")


def output_of(execution: Execution) -> tuple[Any, str]:
    """Return what `output` gives, encoded, and what went wrong; by default the last step's result.

    An `output` that raises changes nothing about the steps, which are done: the value is None and the
    error is logged, for the caller to put into the run's history.
    """
    if execution.workflow.output is Workflow.output:
        return last_result(execution), ""
    try:
        with transaction.atomic(using=execution.using):  # a database error of its own must not poison ours
            value = call(execution.workflow().output, run_context_of(execution))
            return encode(value, f"The output of {execution.run.workflow}"), ""
    except Exception as err:
        logger.exception("output() of %s failed in run=%s.", execution.run.workflow, execution.run.pk)
        return None, scrubbed(f"{type(err).__name__}: {err}")[:500]


def record_problem(execution: Execution, problem: str) -> None:
    """Put into the run's history that its output failed, if it did."""
    if problem:
        RunEvent.objects.using(execution.using).record(
            execution.run, EventKind.OUTPUT_FAILED, data={"detail": problem}
        )
