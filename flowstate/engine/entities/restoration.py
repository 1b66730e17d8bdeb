"""Undoing a deletion: bring rows back with the keys and values they had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from typing import Any

from django.db import DatabaseError, DataError, IntegrityError, connections, models, transaction

from flowstate.engine.database.words import words_of
from flowstate.engine.entities.images import AnyField, text_of, tracked, value
from flowstate.engine.entities.records import RowRecord
from flowstate.engine.entities.references import missing_targets, target
from flowstate.engine.entities.rows import Model
from flowstate.exceptions import UndoConflict

Rows = Mapping[tuple[Model, Any], dict[str, str | None] | None]
"""What rows will hold, by table and key; None for one that will be gone."""


def restore(rows: Sequence[RowRecord], using: str) -> None:
    """Insert these rows, which come parents first. Raises `UndoConflict` and then has inserted nothing.

    Many-to-many links that somebody has made again meanwhile are as they should be.
    """
    again = linked_again(rows, using)
    rows = [row for row in rows if (row.model, row.key) not in again]
    if not rows:
        return
    place = _places(rows)
    _refuse_missing_targets(rows, place, using)
    row = rows[0]
    try:
        with transaction.atomic(using=using), _cycles_allowed(rows, place, using):
            for row in rows:
                _insert(row, using)
    except (IntegrityError, DataError) as err:
        raise _conflict(row, err, using) from err


Places = dict[tuple[Model, str, str | None], int]
"""Which of the rows holds a value in a column: (table, column, text) to its index."""


def _places(rows: Sequence[RowRecord]) -> Places:
    return {
        (row.model, field.name, text): index
        for index, row in enumerate(rows)
        for field, text in row.columns.items()
    }


def linked_again(
    rows: Sequence[RowRecord], using: str, foreseen: Rows | None = None
) -> set[tuple[Model, Any]]:
    """Return the links that are there: of tables that Django made, whose rows say nothing but that.

    `foreseen` are rows that will hold something else by then, or, as None, be gone.
    """
    place, known = _places(rows), foreseen or {}
    again = set()
    for table, links in _lone_links(rows, place).items():
        ends = _ends(table)
        condition = {f"{end.name}__in": {row.columns[end] for row in links.values()} for end in ends}
        held = {
            row.pk: tuple(text_of(end, row) for end in ends)
            for row in table._base_manager.using(using).filter(**condition)
        }
        for (model, key), now in known.items():
            if model is table:
                held[key] = () if now is None else tuple(now[end.name] for end in ends)
        again |= {(table, links[pair].key) for pair in held.values() if pair in links}
    return again


def _lone_links(
    rows: Sequence[RowRecord], place: Places
) -> dict[Model, dict[tuple[str | None, ...], RowRecord]]:
    """Return the links whose ends do not come back with them: with one, nobody can have made them again."""
    links: dict[Model, dict[tuple[str | None, ...], RowRecord]] = {}
    for row in rows:
        ends = _ends(row.model) if row.model._meta.auto_created else []
        if ends and not any((*target(end), row.columns[end]) in place for end in ends):
            links.setdefault(row.model, {})[tuple(row.columns[end] for end in ends)] = row
    return links


def _ends(table: Model) -> list[AnyField]:
    """Return the columns of a table of links that refer to other rows."""
    return [field for field in table._meta.local_concrete_fields if field.remote_field is not None]


def _refuse_missing_targets(rows: Sequence[RowRecord], place: Places, using: str) -> None:
    """Look that the rows that the restored ones refer to, and that do not come with them, are there."""
    wanted: dict[AnyField, dict[str, RowRecord]] = {}
    for row in rows:
        for field, text in row.columns.items():
            if text is None or field.remote_field is None or not field.db_constraint:
                continue
            if (*target(field), text) not in place:
                wanted.setdefault(field, {})[text] = row
    for field, texts in wanted.items():
        for text in missing_targets(field, list(texts), using):
            message = (
                f"{texts[text]} cannot be restored: {field.name} refers to a {target(field)[0]._meta.label} "
                "that is gone."
            )
            raise UndoConflict(
                message,
                {field.name: {"expected": None, "found": None, "restore": text}},
            )


def _cycles_allowed(rows: Sequence[RowRecord], place: Places, using: str) -> AbstractContextManager[Any]:
    """Switch foreign key checks off where rows refer to each other in a circle and the database checks at once.

    Nothing is lost by it: that every row referred to is there, or comes now, was looked up before.
    """
    connection = connections[using]
    ahead = (
        place.get((*target(field), text), -1) > index
        for index, row in enumerate(rows)
        for field, text in row.columns.items()
        if field.remote_field is not None
    )
    if connection.features.can_defer_constraint_checks or not any(ahead):
        return nullcontext()
    return connection.constraint_checks_disabled()


def _insert(row: RowRecord, using: str) -> None:
    values = {field: value(field, text) for field, text in row.columns.items()}
    values |= _new_columns(row)
    # In the order of the columns, which a database may have lost when it stored the record as JSON.
    fields = [field for field in row.model._meta.concrete_fields if field in values]
    instance = row.model.from_db(
        using, [field.attname for field in fields], [values[field] for field in fields]
    )
    for field, text in row.columns.items():
        if text is None and isinstance(field, models.FileField):
            # Django stores a file field that is None as an empty text.
            setattr(instance, field.attname, models.Value(None, output_field=field))
    instance._state.adding = True
    # Raw: only this table, with these values, `auto_now` ones included. `pre_save` and `post_save` are sent.
    instance.save_base(raw=True, force_insert=True, using=using)
    order = row.model._meta.order_with_respect_to
    if order is not None:  # Django has put the row last
        text = next(text for field, text in row.columns.items() if field.name == "_order")
        row.model._base_manager.using(using).filter(pk=row.key).update(_order=text)


def _new_columns(row: RowRecord) -> dict[AnyField, Any]:
    """Return the defaults of columns that the table has got since the row was deleted."""
    values: dict[AnyField, Any] = {}
    for field in tracked(row.model._meta.local_concrete_fields):
        if field in row.columns:
            continue
        defaulted = field.has_default() or field.has_db_default() or field.null
        if field in row.model._meta.pk_fields or not defaulted:
            message = f"{row} cannot be restored: its record has no {field.name}, and there is no default."
            raise UndoConflict(message)
        values[field] = field.get_default()
    return values


# --- what is in the way --------------------------------------------------------------------------


def _conflict(row: RowRecord, err: DatabaseError, using: str) -> UndoConflict:
    """Return which columns hold values that somebody else has taken meanwhile."""
    by_name = {field.name: (field, text) for field, text in row.columns.items()}
    for names in unique_names(row.model):
        columns = [by_name[name] for name in names if name in by_name]
        if len(columns) < len(names) or any(text is None for _field, text in columns):
            continue
        lookup = {field.attname: value(field, text) for field, text in columns}
        holder = row.model._base_manager.using(using).filter(**lookup).first()
        if holder is not None:
            return UndoConflict(
                f"{row} cannot be restored: {', '.join(names)} is taken by {row.model._meta.label} {holder.pk}.",
                {
                    field.name: {"expected": None, "found": f"taken by {holder.pk}", "restore": text}
                    for field, text in columns
                },
            )
    return UndoConflict(f"{row} cannot be restored: {words_of(err)}")


def unique_names(model: Model) -> list[tuple[str, ...]]:
    """Return the sets of columns that no two rows may share, the key's first."""
    meta = model._meta
    return [
        tuple(field.name for field in meta.pk_fields),
        *((field.name,) for field in meta.local_concrete_fields if field.unique and not field.primary_key),
        *chain(tuple(names) for names in meta.unique_together),
        *(tuple(constraint.fields) for constraint in meta.total_unique_constraints),
    ]
