"""Which rows a step touched, of those models that are traced: from its undo record, or else from its result."""

from __future__ import annotations

from typing import Any

from django.apps import apps

from flowstate.actions.actions import actions_of
from flowstate.conf import settings
from flowstate.engine.entities.images import text
from flowstate.engine.entities.rows import EntityStep, Model, model_of, table_of
from flowstate.models.touch import Deed
from flowstate.workflows.steps import Kind

Touched = tuple[Model, str, Deed]
"""The table, the key and what was done with the row."""

DEEDS = {Kind.CREATE: Deed.CREATED, Kind.UPDATE: Deed.CHANGED, Kind.DELETE: Deed.DELETED}
_PARTS = {
    "created": Deed.CREATED,
    "deleted": Deed.DELETED,
    "changed": Deed.CHANGED,
    "linked": Deed.CHANGED,
}


def is_traced(model: Model) -> bool:
    """Return whether it is kept which steps touched the rows of a model."""
    traced = settings().lineage
    return traced == "all" or (traced == "actions" and bool(actions_of(model)))


def touched_rows(
    step: EntityStep, entity_model: Model | None, record: dict[str, Any] | None, result: dict[str, Any]
) -> list[Touched]:
    """Return the rows that the step touched: those of its own model, all tables, and what went along."""
    model = model_of(step, entity_model)
    own = _tables(model) if is_traced(model) else frozenset()
    if record is None:
        return _of_result(step, model, result) if own else []
    from_record = _of_record(record)
    return [touch for touch in from_record if touch[0] in own or _traced_beside(touch[0])]


def _tables(model: Model) -> frozenset[Model]:
    concrete = table_of(model)
    return frozenset([concrete, *map(table_of, concrete._meta.all_parents)])


def _traced_beside(table: Model) -> bool:
    return not table._meta.auto_created and is_traced(table)


def _of_record(record: dict[str, Any]) -> list[Touched]:
    found: dict[tuple[Model, str], Deed] = {}
    for part, deed in _PARTS.items():
        for row in record.get(part, ()):
            found.setdefault((apps.get_model(row["model"]), row["key"]), deed)
    return [(table, key, deed) for (table, key), deed in found.items()]


def _of_result(step: EntityStep, model: Model, result: dict[str, Any]) -> list[Touched]:
    if "pk" not in result:
        return []
    key = text(model._meta.pk, model._meta.pk.to_python(result["pk"]))
    return [(table_of(model), str(key), DEEDS[step.kind])]
