"""The undo record of an entity step: what it is made of, and refusing one that was not made here.

`{"version": 1, "created": [...], "deleted": [...], "changed": [...], "linked": [...], "on_conflict": word,
"seal": text}`, each list only where it has rows, and the word only where it is not "attention". A row is
`{"model": label, "key": text}`, one for each table of a multi-table model. A deleted one has its columns in
`values`, a created one whose key was given those that tell it from another with that key; a changed one has in `fields` what is to be undone for each column: `{"delta": n}`, or
`{"before": text, "after": text}`, with `"auto": true` where nobody but Django writes the column. Many-to-many
links are created and deleted rows of their table; `linked` are the rows whose links these were.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db import models

from flowstate.engine.entities.deltas import can_count
from flowstate.engine.entities.images import AnyField, Image, key_text, same, tracked, value
from flowstate.engine.entities.rows import Model, table_of
from flowstate.engine.entities.seal import is_sealed
from flowstate.exceptions import SecretsUnavailable, UndoConflict, ValueNotSerializable
from flowstate.models.secrets import opened_column, sealed_column
from flowstate.redaction import quotes_secret
from flowstate.workflows.step_options import OnConflict

VERSION = 1

_PARTS = ("created", "deleted", "changed", "linked")
_COLUMNS_IN = {"created": "values", "deleted": "values", "changed": "fields"}

Outcome = tuple[dict[str, Any], dict[str, Any] | None]
"""The result of a step, and its undo record if one was asked for."""


def key_shown(key: Any) -> Any:
    """Return a key as a step's result holds it: plain JSON knows no tuples."""
    return list(key) if isinstance(key, tuple) else key


def row_record(model: Model, key: str, **more: Any) -> dict[str, Any]:
    """Return the record of one row in one table."""
    return {"model": table_of(model)._meta.label_lower, "key": key, **more}


def undo_record(**rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the record of a step that `created`, `deleted`, `changed` or `linked` these rows."""
    return {"version": VERSION, **{what: list(found) for what, found in rows.items() if found}}


def differences(before: Image, after: Image, fields: Sequence[AnyField]) -> dict[str, dict[str, Any]]:
    """Return what is to be undone for each column that does not hold what it held before."""
    changes: dict[str, dict[str, Any]] = {}
    for field in fields:
        old, new = before[field.name], after[field.name]
        if not same(field, old, new):
            changes[field.name] = {"before": old, "after": new}
            if is_auto(field):
                changes[field.name]["auto"] = True
    return changes


def is_auto(field: AnyField) -> bool:
    """Return whether Django stamps the column with the time at each save."""
    return bool(getattr(field, "auto_now", False))


def changed_rows(row: models.Model, changes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the records of a changed row: one for each of its tables that has a change, parents first."""
    by_table: dict[Model, dict[str, Any]] = {}
    for field in row._meta.concrete_fields:
        if field.name in changes:
            by_table.setdefault(table_of(field.model), {})[field.name] = changes[field.name]
    return [row_record(table, key_text(row, table), fields=fields) for table, fields in by_table.items()]


def concealed(record: dict[str, Any], sensitive: bool | Sequence[str]) -> dict[str, Any]:  # noqa: FBT001 - the step's option
    """Return a record in which the texts of sensitive columns are encrypted, and those that quote a secret."""

    def conceal(name: str, held: Any) -> Any:
        if isinstance(held, dict):
            return {part: text if part == "auto" else conceal(name, text) for part, text in held.items()}
        secret = sensitive is True or (sensitive and name in sensitive)
        return sealed_column(held) if secret or (isinstance(held, str) and quotes_secret(held)) else held

    return _with_columns(record, conceal)


def _revealed(record: dict[str, Any]) -> dict[str, Any]:
    def reveal(_name: str, held: Any) -> Any:
        if isinstance(held, dict) and set(held) != {"$secret"}:
            return {part: opened_column(text) for part, text in held.items()}
        return opened_column(held)

    return _with_columns(record, reveal)


def _with_columns(record: dict[str, Any], change: Callable[[str, Any], Any]) -> dict[str, Any]:
    """Return the record with what it keeps of each column changed; what is no record stays as it is."""
    changed = dict(record)
    for part, where in _COLUMNS_IN.items():
        if isinstance(record.get(part), list):
            changed[part] = [_row_with_columns(row, where, change) for row in record[part]]
    return changed


def _row_with_columns(row: Any, where: str, change: Callable[[str, Any], Any]) -> Any:
    if not isinstance(row, dict) or not isinstance(row.get(where), dict):
        return row
    return {**row, where: {name: change(name, held) for name, held in row[where].items()}}


# --- reading -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RowRecord:
    """One row of a record that was found to be in order."""

    model: Model
    key: Any
    key_text: str
    columns: dict[AnyField, Any]
    """By field: the text of a deleted row, the change of a changed one, what identifies a created one."""

    def __str__(self) -> str:
        return f"{self.model._meta.label} {self.key_text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What one step has written, read from its undo record."""

    created: list[RowRecord]
    deleted: list[RowRecord]
    changed: list[RowRecord]
    linked: list[RowRecord]
    on_conflict: OnConflict = "attention"


def read_record(record: Any, *, key: str, allowed_models: frozenset[str]) -> Record:
    """Return what the step of this key has written.

    Raises `UndoConflict` where the record is not as that step left it, names a model that the workflow does
    not touch, a column that is not there, or has another shape: it was tampered with, or the code has
    changed since.
    """
    _refuse_foreign(record, key)
    record = _opened(record)
    try:
        parts = {
            part: [_read_row(row, part, allowed_models) for row in record.get(part, [])] for part in _PARTS
        }
    except (KeyError, TypeError, ValueError, AttributeError, ValidationError, FieldDoesNotExist) as err:
        message = f"The undo record does not fit the models ({err}); nothing was undone."
        raise UndoConflict(message) from err
    return Record(**parts, on_conflict=record.get("on_conflict", "attention"))


def _opened(record: dict[str, Any]) -> dict[str, Any]:
    try:
        return _revealed(record)
    except (ValueNotSerializable, SecretsUnavailable) as err:
        message = f"The undo record cannot be read, and nothing was undone: {err}"
        raise UndoConflict(message) from err


def _refuse_foreign(record: Any, key: str) -> None:
    if not isinstance(record, dict) or record.get("version") != VERSION:
        message = "The undo record is not one that this code can read; nothing was undone."
        raise UndoConflict(message)
    if not is_sealed(record, key):
        message = (
            "The undo record is not as the step left it: it was changed since, or SECRET_KEY was and the old one "
            "is not in SECRET_KEY_FALLBACKS; nothing was undone."
        )
        raise UndoConflict(message)
    if not set(record) <= {"version", "seal", "on_conflict", *_PARTS}:
        message = "The undo record holds what no step wrote; nothing was undone."
        raise UndoConflict(message)


def _read_row(row: dict[str, Any], part: str, allowed_models: frozenset[str]) -> RowRecord:
    label = row["model"]
    if label not in allowed_models:
        message = (
            f"The undo record names {label!r}, which no step of the workflow writes; nothing was undone."
        )
        raise UndoConflict(message)
    try:
        model = apps.get_model(label)
    except LookupError as err:
        message = f"The undo record names {label!r}, which no longer exists: {err}"
        raise UndoConflict(message) from err
    columns = row.get(_COLUMNS_IN[part]) if part in _COLUMNS_IN else {}
    if columns is None and part == "created":  # its key was issued by the database
        columns = {}
    if not isinstance(columns, dict):
        message = f"a {part} row of {label} has no columns"
        raise TypeError(message)
    read = {_own_column(model, name): change for name, change in columns.items()}
    for field, change in read.items():
        _refuse_damaged(field, _texts(field, change) if part == "changed" else [change])
    key = value(model._meta.pk, row["key"])
    return RowRecord(model, tuple(key) if isinstance(key, list) else key, row["key"], read)


def _own_column(model: Model, name: str) -> AnyField:
    """Return the column, which must be in the table itself, not in that of a parent."""
    field = model._meta.get_field(name)
    if field not in tracked(model._meta.local_concrete_fields):
        message = f"{name} is no column of {model._meta.label}"
        raise ValueError(message)
    return field


def _texts(field: AnyField, change: dict[str, Any]) -> list[Any]:
    if set(change) == {"delta"} and can_count(field) and change["delta"] is not None:
        return [change["delta"]]
    if set(change) in ({"before", "after"}, {"before", "after", "auto"}):
        return [change["before"], change["after"]]
    message = f"what is kept of {field.name} is no change"
    raise ValueError(message)


def _refuse_damaged(field: AnyField, texts: Sequence[Any]) -> None:
    for text in texts:
        if not (text is None or isinstance(text, str)):
            message = f"what is kept of {field.name} is no text"
            raise ValueError(message)
        try:
            value(field, text)
        except (TypeError, ValueError, ValidationError) as err:  # whose words may quote a sensitive value
            message = f"{field.name} cannot read what is kept of it"
            raise ValueError(message) from err
