"""Undoing the change of a row: one UPDATE that finds it only where it still holds what the step wrote."""

from __future__ import annotations

from typing import Any

from django.db import DatabaseError, DataError, IntegrityError, connections, models
from django.db.models import Case, F, Func, Q, When
from django.db.models.lookups import Exact

from flowstate.engine.database.contention import is_contention
from flowstate.engine.database.words import words_of
from flowstate.engine.entities.deltas import opposite
from flowstate.engine.entities.images import AnyField, complete, equal_in_sql, is_text, same, text_of, value
from flowstate.engine.entities.records import RowRecord
from flowstate.engine.entities.references import refuse_missing_targets
from flowstate.engine.entities.rows import locked
from flowstate.exceptions import UndoConflict

Fields = dict[str, dict[str, str | None]]
"""What a person needs to know of columns: what was `expected`, was `found`, and was to be `restore`d."""


def revert(row: RowRecord, using: str, *, overwrite: bool) -> Fields:
    """Put back the columns of one changed row; return those in which it wrote over a foreign value.

    Raises `UndoConflict` and then has changed nothing; for a foreign value unless it may `overwrite` that.
    """
    plain = {
        field: change for field, change in row.columns.items() if "before" in change and not _auto(change)
    }
    refuse_missing_targets(
        {field: change["before"] for field, change in plain.items()}, f"{row} cannot be restored", using
    )
    queryset = row.model._base_manager.using(using).filter(pk=row.key)
    try:
        if all(equal_in_sql(field) for field in plain):
            conditions = [_holds(field, change["after"], using) for field, change in plain.items()]
            if queryset.filter(*conditions).update(**_restored(row, using)):
                return {}
        foreign = _foreign(row, plain, queryset)
        if foreign and not overwrite:
            message = f"{row} was changed by somebody else since: {', '.join(foreign)}."
            raise UndoConflict(message, foreign)
        queryset.update(**_restored(row, using))
    except DatabaseError as err:
        if _is_refusal(err):
            message = f"{row} cannot be restored: {words_of(err)}"
            raise UndoConflict(message, _fields(row.columns)) from err
        raise
    return foreign


def _auto(change: dict[str, Any]) -> bool:
    return bool(change.get("auto", False))


def _foreign(row: RowRecord, plain: dict[AnyField, Any], queryset: models.QuerySet[Any]) -> Fields:
    """Read the row under lock and return the columns that hold what the step did not write.

    Raises `UndoConflict` where it is gone. Equality in SQL is narrower than here in some cases, never wider: a
    decimal that SQLite computed as a float, a column whose type encrypts.
    """
    found = complete(locked(queryset)).first()
    if found is None:
        message = f"{row} is gone, so it cannot be restored."
        raise UndoConflict(message, _fields(row.columns))
    foreign = {
        field: {**change, "found": text_of(field, found)}
        for field, change in plain.items()
        if not same(field, text_of(field, found), change["after"])
    }
    return _fields(foreign)


def as_found(row: RowRecord) -> Fields:
    """Return what a person needs to know of a row that is as the step left it."""
    return _fields({field: {**change, "found": change.get("after")} for field, change in row.columns.items()})


def _fields(columns: dict[AnyField, Any]) -> Fields:
    return {
        field.name: {
            "expected": change.get("after"),
            "found": change.get("found"),
            "restore": change["before"] if "before" in change else f"what is there, minus {change['delta']}",
        }
        for field, change in columns.items()
        if not _auto(change)  # a stamp is in nobody's way
    }


def _restored(row: RowRecord, using: str) -> dict[str, Any]:
    """Return what is assigned to each column."""
    return {field.name: _restored_value(field, change, using) for field, change in row.columns.items()}


def _restored_value(field: AnyField, change: dict[str, Any], using: str) -> Any:
    if "delta" in change:
        return opposite(field, value(field, change["delta"]), using)
    before = value(field, change["before"])
    if not _auto(change):
        return before
    # A later save by somebody else has stamped the row anew: that stamp stays.
    return Case(
        When(_holds(field, change["after"], using), then=models.Value(before, output_field=field)),
        default=F(field.name),
    )


def _holds(field: AnyField, text: str | None, using: str) -> Any:
    """Return the condition that the column holds this very value."""
    if text is None:
        return Q(**{f"{field.attname}__isnull": True})
    if is_text(field) and connections[using].vendor == "mysql":
        # Its collations take "a" for "A" and "a " for "a"; that would be to overwrite a foreign value.
        return Exact(_Bytes(F(field.attname)), text.encode())
    return Q(**{field.attname: value(field, text)})


class _Bytes(Func):
    """The bytes of a text, which are compared one by one."""

    template = "CAST(%(expressions)s AS BINARY)"
    output_field = models.BinaryField()


def _is_refusal(err: DatabaseError) -> bool:
    """Return whether the database will not hold these values, rather than being busy or gone."""
    if isinstance(err, IntegrityError | DataError):
        return True
    # MySQL and MariaDB report an unsigned column that would fall below zero in this way.
    return not is_contention(err) and bool(err.args) and err.args[0] == 1690
