"""Carrying out a CreateStep: rows through `create()`, and the record of just those rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import connections, models

from flowstate.engine.entities.images import Image, complete, identifying, image, key_text, tracked
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
from flowstate.exceptions import DeclarationInvalid
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
        row = _create(step, model, values, using, record_undo=record_undo)
        keys.append(key_shown(row.pk))
        if record_undo:
            tables = [table for table in _tables(row) if table not in adopted]
            created += [_created(row, table, values, adopted, using) for table in tables]
            changed += _changes_of_parents(row, adopted, using)
    result = {"count": len(keys)} if step.many else {"pk": keys[0]}
    return (result, undo_record(created=created, changed=changed) if record_undo else None), keys


def _create(
    step: CreateStep, model: Model, values: Mapping[str, Any], using: str, *, record_undo: bool
) -> models.Model:
    if not step.full_clean:
        manager = model._default_manager.db_manager(using)
        if not record_undo or type(manager) is models.Manager:
            return manager.create(**values)
        return _create_by_own_manager(step, manager, values)
    # The row that was validated is the one to be saved, so a `create()` of the manager's own is not called.
    row = model(**values)
    validate(step, row)
    row.save(force_insert=True, using=using)
    return row


def _create_by_own_manager(
    step: CreateStep, manager: models.Manager[Any], values: Mapping[str, Any]
) -> models.Model:
    """Call a manager's `create()`. Raises `DeclarationInvalid` where it hands out a row that it found."""
    inserts = 0

    def count(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001 - Django's
        nonlocal inserts
        inserts += sql.lstrip().startswith("INSERT")
        return execute(sql, params, many, context)

    with connections[manager.db].execute_wrapper(count):
        row: models.Model = manager.create(**values)
    if not inserts:
        message = (
            f"`create()` of {type(manager).__qualname__} has created no {manager.model._meta.label} for step "
            f"{step.name} but returned {row.pk}, which undoing the step would delete. Let it create the row, or "
            "say `compensate=False`."
        )
        raise DeclarationInvalid(message)
    return row


def _created(
    row: models.Model, table: Model, values: Mapping[str, Any], adopted: Mapping[Model, Any], using: str
) -> dict[str, Any]:
    """Return the record of a created row; where another could be given its key, with what tells it from that."""
    key = key_text(row, table)
    if _is_unique_for_ever(table, values, adopted):
        return row_record(table, key)
    stored = complete(table._base_manager.using(using).filter(pk=getattr(row, table._meta.pk.attname))).get()
    return row_record(table, key, values=image(stored, identifying(table)))


def _is_unique_for_ever(table: Model, values: Mapping[str, Any], adopted: Mapping[Model, Any]) -> bool:
    """Return whether the key was issued by the database or by a function such as `uuid4`, not by the caller."""
    key: Any = table._meta.pk
    names = {"pk", key.name, key.attname}
    while key.remote_field is not None and key.remote_field.parent_link:
        if table_of(key.related_model) in adopted:
            return False
        key = key.target_field
        names |= {key.name, key.attname}
    if any(values.get(name) is not None for name in names):
        return False
    return (
        isinstance(key, models.AutoField)
        or key.has_db_default()
        or (key.has_default() and callable(key.default))
    )


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
