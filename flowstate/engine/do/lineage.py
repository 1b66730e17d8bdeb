"""Lineage: which steps created, changed or deleted a row; written with what they did, and read by the row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db import models, router
from django.db.models import Q, QuerySet

from flowstate.actions.resolve import find_workflow
from flowstate.engine.entities.images import key_text
from flowstate.engine.entities.rows import EntityStep, Model, model_of, table_of
from flowstate.engine.entities.traces import Touched, is_traced, touched_rows
from flowstate.engine.execution import Execution
from flowstate.exceptions import FlowstateError, LineageUnknown
from flowstate.models import Compensation, LineageEntry, Run, StepRun, StepStatus, Touch

_KINDS = ("create", "update", "delete")

Place = tuple[Model, str]
"""A table and the key of a row in it."""


def write_touches(execution: Execution, touched: Iterable[tuple[str, Touched]]) -> None:
    """Write down which step touched which rows, in the caller's transaction; the run's own row needs no line."""
    own = execution.run.entity_model
    mine = None if own is None else (table_of(own), execution.run.object_id)
    rows = [
        Touch(
            step_run_id=execution.rows[name].pk,
            content_type=ContentType.objects.get_for_model(table),
            object_id=key,
            deed=deed.value,
        )
        for name, (table, key, deed) in touched
        if (table, key) != mine
    ]
    if rows:
        Touch.objects.using(execution.using).insert(rows)


def runs_of(row: models.Model, *, limit: int, visible_to: Any) -> list[LineageEntry]:
    """Return which runs and steps created, changed or deleted a row, the latest first, at most `limit`.

    Raises `LineageUnknown`.
    """
    if not is_traced(type(row)):
        message = (
            f"Which runs touched a {row._meta.label} is not kept: the model has no actions. "
            "FLOWSTATE = {'LINEAGE': 'all'} keeps it for every model, from then on."
        )
        raise LineageUnknown(message)
    using = router.db_for_write(Run)
    runs = Run.objects.using(using)
    runs = runs if visible_to is None else runs.visible_to(visible_to)
    found = [*_written_down(row, runs, limit), *_of_runs_on(row, runs, limit)]
    undone = _undone({step.key: step for step, _deed in found}, using)
    entries = [
        LineageEntry(run=step.run, step=step.name, deed=deed, at=step.ended_at, undone=step.key in undone)
        for step, deed in found
    ]
    entries.sort(key=lambda entry: entry.at or entry.run.started_at, reverse=True)
    return entries[:limit]


def _places(row: models.Model) -> list[Place]:
    """Return the table of the row and those of its parents, with its key in each."""
    concrete = table_of(type(row))
    tables = [concrete, *map(table_of, concrete._meta.all_parents)]
    return [(table, key_text(row, table)) for table in tables]


def _written_down(row: models.Model, runs: QuerySet[Run], limit: int) -> Iterator[tuple[StepRun, str]]:
    on_row, places = Q(), _places(row)
    for table, key in places:
        on_row |= Q(content_type=ContentType.objects.get_for_model(table), object_id=key)
    touches = Touch.objects.using(runs.db).filter(on_row, step_run__run__in=runs.order_by())
    seen = set()
    for touch in touches.select_related("step_run__run").order_by("-id")[: limit * len(places)]:
        if touch.step_run_id not in seen:  # a row of a model with parents is touched in each of its tables
            seen.add(touch.step_run_id)
            yield touch.step_run, touch.deed


def _of_runs_on(row: models.Model, runs: Any, limit: int) -> Iterator[tuple[StepRun, str]]:
    """Yield the steps of the runs on this very row that touched it: of those, nothing is written down."""
    content_type = ContentType.objects.get_for_model(table_of(type(row)))
    on_row = runs.filter(content_type=content_type, object_id=str(row.pk)).order_by("-pk")
    keys = list(on_row.values_list("pk", flat=True)[:limit])
    steps = StepRun.objects.using(runs.db).filter(run__in=keys, status=StepStatus.DONE, kind__in=_KINDS)
    [place, *_parents] = _places(row)
    for step in steps.select_related("run") if keys else ():
        if step.key != f"{step.run_id}:{step.name}":
            continue  # taken over: the run that did it is told of
        for table, key, deed in _touched(step):
            if (table, key) == place:
                yield step, deed.value


def _touched(step: StepRun) -> list[Touched]:
    """Return what a step touched, from its record, or where it has none from its result and declaration."""
    try:
        declared = find_workflow(step.run.workflow).declaration.by_name.get(step.name)
        if isinstance(declared, EntityStep):
            model_of(declared, step.run.entity_model)
            return touched_rows(declared, step.run.entity_model, step.undo, step.result_json or {})
    except FlowstateError:  # the code has changed since, and no longer tells
        return []
    return []


def _undone(steps: dict[str, StepRun], using: str) -> set[str]:
    """Return the keys of the steps that were undone, also by a run that took them over."""
    undone = {key for key, step in steps.items() if step.compensation == Compensation.DONE}
    handed_on = {step.run_id for step in steps.values() if step.compensation == Compensation.NONE}
    while handed_on:
        heirs = StepRun.objects.using(using).filter(run__retry_of__in=handed_on, key__in=list(steps))
        facts = list(heirs.values_list("key", "compensation", "run_id"))
        undone |= {key for key, compensation, _run in facts if compensation == Compensation.DONE}
        handed_on = {run for _key, compensation, run in facts if compensation == Compensation.NONE}
    return undone
