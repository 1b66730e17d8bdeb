"""Undoing an entity step from its record: never over what somebody else has written since.

The inverses use Django's raw saves and plain UPDATE and DELETE statements: values come back as they were,
`auto_now` fields too. `pre_save` and `post_save` are sent for rows that come back (`raw=True`), none else.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

from django.db import models, transaction
from django.db.models.deletion import get_candidate_relations_to_delete

from flowstate.engine.entities.records import read_record
from flowstate.engine.entities.removal import remove
from flowstate.engine.entities.restoration import restore
from flowstate.engine.entities.reverting import revert
from flowstate.engine.entities.rows import EntityStep, Model, model_of, table_of
from flowstate.workflows.entities import DeleteStep
from flowstate.workflows.steps import Kind
from flowstate.workflows.workflow import Declaration

_ENTITY_KINDS = (Kind.CREATE, Kind.UPDATE, Kind.DELETE)


def undo(record: dict[str, Any], *, allowed_models: frozenset[str], using: str) -> None:
    """Undo what one step has written, all of it or nothing. To be called inside a transaction.

    A single changed row costs one conditional UPDATE and no savepoint; so where this raises after a database
    error, the caller's transaction can only be rolled back. Raises `UndoConflict`, whose `fields` say what
    was expected, what is there, and what would have been restored; and for a record that names a model
    outside `allowed_models`.
    """
    created = read_record(record, "created", allowed_models)
    deleted = read_record(record, "deleted", allowed_models)
    changed = read_record(record, "changed", allowed_models)
    alone = not created and not deleted and len(changed) <= 1
    with nullcontext() if alone else transaction.atomic(using=using):
        remove(created, using)
        restore(deleted, using)
        for row in changed:
            revert(row, using)


# --- which models a record may name --------------------------------------------------------------


def models_of(declaration: Declaration, entity_model: Model | None) -> frozenset[str]:
    """Return the labels, in lower case, of all models that undo records of this workflow may name.

    That are those its entity steps name, the tables they consist of, and for delete steps all that Django
    would delete or unlink with them.
    """
    found: set[Model] = set()
    for step in declaration.steps:
        if step.kind in _ENTITY_KINDS and isinstance(step, EntityStep):
            model = model_of(step, entity_model)
            found |= _taken_along(model) if isinstance(step, DeleteStep) else set(_tables(model))
    return frozenset(model._meta.label_lower for model in found)


def _tables(model: Model) -> Iterable[Model]:
    concrete = table_of(model)
    return [concrete, *map(table_of, concrete._meta.all_parents)]


def _taken_along(model: Model) -> set[Model]:
    found: set[Model] = set()
    waiting = list(_tables(model))
    while waiting:
        table = waiting.pop()
        if table not in found:
            found.add(table)
            waiting.extend(_tables_affected_by_deleting(table))
    return found


def _tables_affected_by_deleting(table: Model) -> Iterable[Model]:
    yield from _tables(table)
    relations: Iterable[Any] = get_candidate_relations_to_delete(table._meta)
    for relation in relations:
        if relation.field.remote_field.on_delete is not models.DO_NOTHING:
            yield from _tables(relation.related_model)
    for field in table._meta.private_fields:
        if hasattr(field, "bulk_related_objects"):
            yield from _tables(field.remote_field.model)
