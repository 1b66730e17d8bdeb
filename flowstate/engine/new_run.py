"""The first rows of a run: what is stored when it starts, before anything is done."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db import models

from flowstate.actions.bound import BoundAction
from flowstate.actions.system import SYSTEM
from flowstate.conf import settings
from flowstate.engine.branches import may_begin, untaken
from flowstate.engine.execution import Execution
from flowstate.models import Compensation, Run, StepRun, StepStatus
from flowstate.models.clock import DbNow, host_now
from flowstate.models.identifiers import new_run_id
from flowstate.models.processes import own_name
from flowstate.models.values import encode
from flowstate.workflows.steps import Kind, Step
from flowstate.workflows.workflow import Workflow

FUNCTION_SEQ = 1_000_000
"""The place of a function in its run: after all the steps that it may ask for."""


def new_run(
    workflow: type[Workflow],
    action: BoundAction | None,
    entity: models.Model | None,
    user: Any,
    **columns: Any,
) -> Run:
    """Return a run that is not stored yet; `columns` are its input, keys and times."""
    declaration = workflow.declaration
    own = {
        "id": new_run_id(),
        "workflow": declaration.name,
        "version": declaration.meta.version,
        "action": "" if action is None else action.key,
        "atomic": declaration.meta.atomic,
        "by_system": user is SYSTEM,
        "requested_by_label": label_of(user),
        "started_at": host_now(),
        "input_json": {},
        "initial_data_json": {
            name: encode(value, f"The initial data {name!r} of {declaration.name}")
            for name, value in declaration.meta.initial_data.items()
        },
    }
    values: Any = {**_blank(Run), **own, **columns}.values()
    run = Run(*values)
    if getattr(user, "pk", None) is not None:
        run.requested_by = user
    if action is not None and entity is not None:
        run.content_type = ContentType.objects.get_for_model(action.model)
        run.object_id = str(action.entity_id)
    return run


def new_rows(run: Run, workflow: type[Workflow]) -> dict[str, StepRun]:
    """Return the rows of the workflow's steps, by name and in declared order; none is stored yet."""
    return {
        step.name: new_row(run, step, FUNCTION_SEQ if step.kind is Kind.FUNCTION else seq)
        for seq, step in enumerate(workflow.declaration.steps)
        if step.name
    }


def new_row(run: Run, step: Step[Any], seq: int) -> StepRun:
    """Return the row of one step, which is not stored yet and waits for what the step depends on."""
    columns = {
        **_blank(StepRun),
        "run_id": run.pk,
        "seq": seq,
        "name": step.name,
        "kind": step.kind,
        "depends_on": list(step.depends_on),
        "branches": {name: list(followed) for name, followed in step.branches.items()} or None,
        "join": step.join,
        "optional": step.optional,
        "background": step.background or step.queue is not None,
        "queue": step.queue or "",
        "key": f"{run.pk}:{step.name}",
        "compensation": (Compensation.PENDING if step.compensable else Compensation.NONE).value,
    }
    row = StepRun(*columns.values())
    row.run = run
    return row


@cache
def _blank(model: type[models.Model]) -> dict[str, Any]:
    """Return all columns in their order, as they are where nothing is known of the row.

    Rows are made by position: by name, Django asks each of the other columns for its default.
    """
    return {field.attname: field.get_default() for field in model._meta.concrete_fields}


def label_of(user: Any) -> str:
    """Return how a user is called in the journal, also after the account is gone."""
    if user is SYSTEM:
        return "system"
    name = getattr(user, "get_username", lambda: "")()
    return str(name)[:150]


def open_inline(execution: Execution) -> StepRun | None:
    """Let the steps that wait for nothing be claimed, the first one by this process; return that one."""
    mine: StepRun | None = None
    left_to_others = False
    for row in execution.rows.values():
        if row.depends_on:
            continue
        if mine is None and execution.belongs_here(row):
            mine = row
            lease = execution.lease(execution.step(row.name))
            row.reflect(status=StepStatus.RUNNING, attempt=1, lease_until=DbNow(lease), claimed_by=own_name())
            row.reflect(started_at=execution.run.started_at)
        else:
            left_to_others = left_to_others or not execution.belongs_here(row)
            row.reflect(status=StepStatus.READY, wake_at=DbNow())
    if mine is None or left_to_others:
        execution.run.reflect(wake_at=DbNow())
    else:
        execution.run.reflect(wake_at=DbNow(execution.lease(execution.step(mine.name))))
    return mine


def open_for_workers(execution: Execution) -> None:
    """Let the steps that wait for nothing any more be claimed by whoever looks at the run."""
    skip_untaken(execution)
    known = {step.name: step for step in execution.state().steps}
    for row in execution.rows.values():
        if not row.settled and may_begin(known[row.name], known):
            row.reflect(status=StepStatus.READY, wake_at=DbNow())
    head_start = 0.0 if execution.action is None else execution.action.action.head_start
    execution.run.reflect(wake_at=DbNow(-head_start))


def skip_untaken(execution: Execution) -> None:
    """Let the steps be skipped, in memory, that no taken branch leads to."""
    for name, reason in untaken(execution.state().steps).items():
        execution.rows[name].reflect(status=StepStatus.SKIPPED, reason=reason, ended_at=host_now())


def default_lease() -> float:
    """Return the seconds after which a run that only shows signs of life by its rows is looked at."""
    return settings().step_timeout + settings().lease_grace
