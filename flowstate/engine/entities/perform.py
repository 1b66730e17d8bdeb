"""Carrying out entity steps: what they write, what they answer, and the record of how to undo it.

Called in the transaction that also writes the step's journal row. An error leaves that transaction to be
rolled back: a step that fails half way has written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from flowstate.engine.entities.creation import create
from flowstate.engine.entities.deletion import delete
from flowstate.engine.entities.records import concealed
from flowstate.engine.entities.rows import EntityStep, model_of
from flowstate.engine.entities.seal import sealed
from flowstate.engine.entities.traces import Touched, is_traced, touched_rows
from flowstate.engine.entities.updates import update
from flowstate.workflows.entities import CreateStep, UpdateStep


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What an entity step has done."""

    result: dict[str, Any]
    """`{"pk": key}` or `{"count": n}`."""

    undo: dict[str, Any] | None = None
    """The undo record, plain JSON; None if none was asked for."""

    data: dict[str, Any] = field(default_factory=dict)
    """The key or keys of created rows, under the name that `store_as` gives."""

    touched: list[Touched] = field(default_factory=list)
    """The rows of traced models that it touched."""


def perform(step: EntityStep, workflow: Any, ctx: Any, *, record_undo: bool, using: str) -> Written:
    """Carry out an entity step and return what it has done.

    With `record_undo=False`, in an atomic workflow, nothing is read beyond what `save()` needs. A step that
    has no derived inverse, by `compensate=False` or a compensation of its own, records nothing either.
    Raises `RowMissing`, `RowsAmbiguous`, `RowInvalid`, `RowProtected`, `RowLimitExceeded`,
    `DeclarationInvalid`, the step's `missing` error, and whatever `save()`, receivers and the database raise.
    """
    undoable = record_undo and step.derives_inverse
    # Of one row the result tells which it was, of many only a record can.
    record = undoable or (step.many and not _is_direct(step) and is_traced(model_of(step, ctx.entity_model)))
    stored = {}
    if isinstance(step, CreateStep):
        (result, undo), keys = create(step, ctx, record_undo=record, using=using)
        stored = {step.store_as: keys if step.many else keys[0]} if step.store_as else {}
    elif isinstance(step, UpdateStep):
        result, undo = update(step, ctx, record_undo=record, using=using)
    else:
        result, undo = delete(step, ctx, record_undo=record, using=using)
    return Written(
        result=result,
        undo=_sealed(undo, step, ctx) if undoable else None,
        data=stored,
        touched=touched_rows(step, ctx.entity_model, undo, result),
    )


def _is_direct(step: EntityStep) -> bool:
    return isinstance(step, UpdateStep) and step.direct


def _sealed(undo: dict[str, Any] | None, step: EntityStep, ctx: Any) -> dict[str, Any] | None:
    if undo is None:
        return None
    if step.on_conflict != "attention":  # undone as it was declared then, whatever the code says by that time
        undo = {**undo, "on_conflict": step.on_conflict}
    return sealed(concealed(undo, step.sensitive), ctx.idempotency_key)
