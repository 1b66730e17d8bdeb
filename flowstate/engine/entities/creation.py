"""Carrying out a CreateStep: rows through `create()`, and the record of just those rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import models

from flowstate.engine.entities.images import Image, complete, image, key_text, tracked
from flowstate.engine.entities.records import Outcome, differences, key_shown, row_record, undo_record
from flowstate.engine.entities.rows import (
    Model,
    locked,
    many_dicts,
    model_of,
    refuse_unknown_values,
    table_of,
)
from flowstate.engine.entities.validation import validate
from flowstate.workflows.entities import CreateStep


def create(step: CreateStep, ctx: Any, *, record_undo: bool, using: str) -> tuple[Outcome, list[Any]]:
    """Create the step's row or rows; return the result with the undo record, and the new keys."""
    model = model_of(step, ctx.entity_model)
    created: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    keys: list[Any] = []
    for values in many_dicts(step, step.values_for(ctx)):
        refuse_unknown_values(step, model, values)
        adopted = _existing_parents(model, values, using) if record_undo else {}
        row = _create(step, model, values, using)
        keys.append(key_shown(row.pk))
        if record_undo:
            created += [
                row_record(table, key_text(row, table)) for table in _tables(row) if table not in adopted
            ]
            changed += _changes_of_parents(row, adopted, using)
    result = {"count": len(keys)} if step.many else {"pk": keys[0]}
    return (result, undo_record(created=created, changed=changed) if record_undo else None), keys


def _create(step: CreateStep, model: Model, values: Mapping[str, Any], using: str) -> models.Model:
    if not step.full_clean:
        return model._default_manager.using(using).create(**values)
    # The row that was validated is the one to be saved, so a `create()` of the manager's own is not called.
    row = model(**values)
    validate(step, row)
    row.save(force_insert=True, using=using)
    return row


def _tables(row: models.Model) -> list[Model]:
    """Return the tables that the row has a part in, the root's first."""
    return list(dict.fromkeys(table_of(field.model) for field in row._meta.concrete_fields))


def _existing_parents(model: Model, values: Mapping[str, Any], using: str) -> dict[Model, tuple[Any, Image]]:
    """Return what those parent rows hold, by table, that exist before their child is created.

    A child may be created for a parent row that is there already; `save()` then updates that row.
    """
    concrete = table_of(model)
    if not concrete._meta.parents:
        return {}
    planned = model(**values)
    found: dict[Model, tuple[Any, Image]] = {}
    for table in concrete._meta.all_parents:
        link = concrete._meta.get_ancestor_link(table)
        key = getattr(planned, table._meta.pk.attname)
        key = getattr(planned, link.attname) if key is None and link is not None else key
        row = (
            complete(locked(table._base_manager.using(using).filter(pk=key))).first()
            if key is not None
            else None
        )
        if row is not None:
            found[table] = key, image(row, tracked(table._meta.local_concrete_fields))
    return found


def _changes_of_parents(
    row: models.Model, adopted: Mapping[Model, tuple[Any, Image]], using: str
) -> list[dict[str, Any]]:
    changed = []
    for table, (key, before) in adopted.items():
        columns = tracked(table._meta.local_concrete_fields)
        after = image(complete(table._base_manager.using(using).filter(pk=key)).get(), columns)
        fields = differences(before, after, columns)
        if fields:
            changed.append(row_record(table, key_text(row, table), fields=fields))
    return changed
