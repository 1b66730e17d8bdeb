"""Carrying out a derived inverse, and what the journal keeps of what was in its way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError

from flowstate.engine import entities
from flowstate.engine.calls.errors import describe
from flowstate.engine.calls.hooks import announce_restored
from flowstate.engine.execution import Execution
from flowstate.exceptions import UndoConflict
from flowstate.models import Compensation, EventKind, RunEvent, StepRun
from flowstate.models.undo_preview import HIDDEN
from flowstate.workflows.steps import Step

TOLD = 20
"""Rows whose overwritten values the history keeps."""


def invert(execution: Execution, row: StepRun, step: Step[Any], *, force: bool = False) -> entities.Undone:
    """Undo what an entity step has written, in the caller's transaction, as `entities.undo` does."""
    undone = entities.undo(
        row.undo,
        key=row.key,
        allowed_models=entities.models_of(execution, execution.run.entity_model),
        others=_not_undone_beside(execution, row),
        using=execution.using,
        force=force,
    )
    announce_restored(execution, step, undone.rows)
    return undone


def told_apart(execution: Execution, row: StepRun, error: Exception) -> Exception:
    """Return the error of an inverse as what it is: a constraint that only COMMIT looks at is a conflict."""
    if not isinstance(error, IntegrityError):
        return error
    models = entities.models_of(execution, execution.run.entity_model)
    return entities.refused_at_commit(row.undo, key=row.key, allowed_models=models, error=error)


def _not_undone_beside(execution: Execution, row: StepRun) -> list[tuple[Any, str]]:
    """Return the undo records, with their keys, of the run's other steps that are still to be undone."""
    waiting = (Compensation.PENDING, Compensation.FAILED)
    return [
        (other.undo, other.key)
        for other in execution.rows.values()
        if other.name != row.name and other.undo is not None and other.compensation in waiting
    ]


def kept_error(execution: Execution, step: Step[Any], error: Exception) -> dict[str, Any]:
    """Return what the step's row keeps of an inverse that failed, with the fields of a conflict."""
    cause = error.__cause__ if isinstance(error, entities.ConflictSkipped) else None
    described = describe(cause or error, step=step.name, action=execution.action)
    fields = error.fields if isinstance(error, UndoConflict) else {}
    return {**described.error, "fields": _shown(fields, step)}


def overwritten_words(undone: entities.Undone) -> str:
    """Return which columns of others an inverse wrote over."""
    return "; ".join(f"{row}: {', '.join(fields)}" for row, fields in undone.overwritten[:TOLD])


def overwritten_facts(undone: entities.Undone, step: Step[Any]) -> dict[str, Any]:
    """Return what was in the columns that an inverse wrote over, for the history."""
    told = undone.overwritten[:TOLD]
    return {
        "overwritten": [{"row": row, "fields": _shown(fields, step)} for row, fields in told],
        "more": len(undone.overwritten) - len(told),
    }


def record_overwritten(execution: Execution, step: Step[Any], undone: entities.Undone) -> None:
    """Put into the history what was written over, because the step says so."""
    words = f'on_conflict="overwrite": {overwritten_words(undone)}'
    _record(execution, EventKind.UNDO_FORCED, step, words, overwritten_facts(undone, step))


def record_skipped(execution: Execution, step: Step[Any], error: dict[str, Any]) -> None:
    """Put into the history for which conflict the step stays as it is, because it says so."""
    words = f'on_conflict="skip": {error["detail"]}'
    _record(execution, EventKind.UNDO_WAIVED, step, words, {"fields": error["fields"]})


def _record(
    execution: Execution, kind: EventKind, step: Step[Any], words: str, facts: dict[str, Any]
) -> None:
    events = RunEvent.objects.using(execution.using)
    events.record(execution.run, kind, step=step.name, data={"detail": words, **facts})


def _shown(fields: Mapping[str, Any], step: Step[Any]) -> dict[str, Any]:
    """Return the fields of a conflict without the values that the step calls sensitive."""
    return {
        name: dict.fromkeys(values, HIDDEN) if _is_sensitive(name, step) else values
        for name, values in fields.items()
    }


def _is_sensitive(name: str, step: Step[Any]) -> bool:
    return step.sensitive is True or (step.sensitive is not False and name in step.sensitive)
