"""The journal's hottest writes as constant SQL; but for `next_run`, nothing else is written by hand.

The ORM builds every statement anew, which costs more than the database takes to carry it out. Here the
pieces are built once per kind of database from the models' `_meta`, so that names follow the models; values
go through the fields' own `get_db_prep_save`, as the ORM's do.

Words of which there are few stand in the text, all else is a parameter: psycopg keeps a text parsed only up
to 50 parameters and 4096 characters, SQLite as long as it is literally the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import connections, models
from django.db.models import Q

from flowstate.models.clock import DbNow

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

_SMALL = 16
"""Numbers below this stand in the text: order, tokens and counters, mostly 0 and 1."""

_ROWS = 500
"""Rows of one INSERT at most, since every database bounds the parameters of a statement."""


@dataclass(frozen=True, slots=True)
class Move:
    """A compare-and-set of one row: the values that it must have now, and those that it gets.

    A `DbNow` among the former means "no later than this, or none at all".
    """

    pk: Any
    seen: Mapping[str, Any]
    becomes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    field: models.Field[Any, Any]
    words: Mapping[Any, str]
    plain: type[Any] | None
    """The Python type that the driver takes as it is."""

    def value(self, value: Any, connection: BaseDatabaseWrapper, params: list[Any]) -> str:
        """Return how the value is written in the text; a placeholder where it is a parameter."""
        if value is None:
            return "NULL"
        if self.words:
            word = self.words.get(value)
            if word is not None:
                return word
        if type(value) is self.plain:
            params.append(value)
            return "%s"
        if isinstance(value, DbNow):
            sql, more = value.sql_on(connection)
            params.extend(more)
            return sql
        params.append(self.field.get_db_prep_save(value, connection))
        return "%s"


@dataclass(frozen=True, slots=True)
class _Table:
    name: str
    key: _Column
    columns: Mapping[str, _Column]
    given_keys: bool
    """Whether the rows bring their keys; otherwise the database gives them."""


@cache
def _table(model: type[models.Model], using: str) -> _Table:
    connection = connections[using]
    quote = connection.ops.quote_name
    meta = model._meta
    columns = {
        field.attname: _Column(
            quote(str(field.column)),
            field,
            _words(field, connection.vendor),
            _plain(field, connection.vendor),
        )
        for field in meta.concrete_fields
    }
    given_keys = not isinstance(meta.pk, models.AutoField)
    return _Table(quote(meta.db_table), columns[meta.pk.attname], columns, given_keys)


def _words(field: models.Field[Any, Any], vendor: str) -> dict[Any, str]:
    if isinstance(field, models.BooleanField):
        return {True: "true", False: "false"} if vendor == "postgresql" else {True: "1", False: "0"}
    if isinstance(field, models.IntegerField) and not isinstance(field, models.AutoField):
        return {number: str(number) for number in range(_SMALL)}
    if isinstance(field, models.CharField | models.TextField):
        return {str(word): f"'{word}'" for word in ("", *dict(field.flatchoices))}
    return {}


def _plain(field: models.Field[Any, Any], vendor: str) -> type[Any] | None:
    # Neither JSON, which is text only to the database, nor what a vendor stores in a form of its own.
    if isinstance(field, models.CharField | models.TextField):
        return str
    if isinstance(field, models.IntegerField):
        return int
    if isinstance(field, models.DateTimeField) and vendor == "postgresql":
        return datetime
    return UUID if isinstance(field, models.UUIDField) and vendor == "postgresql" else None


def insert(rows: models.QuerySet[Any], new: Sequence[models.Model]) -> None:
    """Insert rows of one model, up to 500 in a statement, and give them their keys.

    The database must return rows from an INSERT, if it is what gives the keys. Neither `save()` nor signals
    of Django are called.
    """
    connection, table = _of(rows)
    returning = "" if table.given_keys else f" RETURNING {table.key.name}"
    for begin in range(0, len(new), _ROWS):
        part = new[begin : begin + _ROWS]
        params: list[Any] = []
        into = _insert_text(table, part, connection, params)
        with connection.cursor() as cursor:
            cursor.execute(f"{into}{returning}", params)
            keys = [(row.pk,) for row in part] if table.given_keys else cursor.fetchall()
        for row, (key,) in zip(part, keys, strict=True):
            row.pk = key
            row._state.adding, row._state.db = False, connection.alias


def _insert_text(
    table: _Table, rows: Sequence[models.Model], connection: BaseDatabaseWrapper, params: list[Any]
) -> str:
    """Return the INSERT; the columns that are empty in all rows are left to the database."""
    known = [row.__dict__ for row in rows]
    columns = [
        (name, column)
        for name, column in table.columns.items()
        if any(values[name] is not None for values in known)
    ]
    names = ", ".join(column.name for _name, column in columns)
    values = ", ".join(
        f"({', '.join([column.value(row[name], connection, params) for name, column in columns])})"
        for row in known
    )
    # Text and parameters apart: what stands in the text are names and words of our own models.
    return f"INSERT INTO {table.name} ({names}) VALUES {values}"  # noqa: S608


def move(rows: models.QuerySet[Any], change: Move) -> bool:
    """Change one row if it is as it was seen, and return whether it was."""
    if rows.query.where:  # a filter of the caller's, which only the ORM can read
        return rows.filter(_as_filter(change), pk=change.pk).update(**change.becomes) == 1
    connection, table = _of(rows)
    params: list[Any] = []
    assigned = [
        f"{table.columns[name].name} = {table.columns[name].value(value, connection, params)}"
        for name, value in change.becomes.items()
    ]
    where = _condition(table, change, connection, params)
    return _update(connection, table, assigned, where, params) == 1


def move_both(rows: models.QuerySet[Any], first: Move, second: Move) -> int:
    """Change two rows in one statement, each if it is as it was seen; return how many were.

    No value refers to a column that is changed: MariaDB would already see the new one.
    """
    connection, table = _of(rows)
    params: list[Any] = []
    assigned = []
    for name in {**first.becomes, **second.becomes}:
        column, arms = table.columns[name], ""
        for change in (first, second):
            if name in change.becomes:
                key = table.key.value(change.pk, connection, params)
                arms += f"WHEN {key} THEN {column.value(change.becomes[name], connection, params)} "
        assigned.append(f"{column.name} = CASE {table.key.name} {arms}ELSE {column.name} END")
    # The keys first: PostgreSQL then finds, and locks, the rows in the order of their keys.
    keys = ", ".join(table.key.value(change.pk, connection, params) for change in (first, second))
    either = " OR ".join(f"({_condition(table, change, connection, params)})" for change in (first, second))
    return _update(connection, table, assigned, f"{table.key.name} IN ({keys}) AND ({either})", params)


def _of(rows: models.QuerySet[Any]) -> tuple[BaseDatabaseWrapper, _Table]:
    rows._for_write = True  # type: ignore[attr-defined]  # noqa: SLF001 - as QuerySet.update does
    model: type[models.Model] = rows.model
    return connections[rows.db], _table(model, rows.db)


def _condition(table: _Table, change: Move, connection: BaseDatabaseWrapper, params: list[Any]) -> str:
    parts = [f"{table.key.name} = {table.key.value(change.pk, connection, params)}"]
    for name, value in change.seen.items():
        column = table.columns[name]
        written = column.value(value, connection, params)
        if isinstance(value, DbNow):
            parts.append(f"({column.name} IS NULL OR {column.name} <= {written})")
        else:
            parts.append(f"{column.name} = {written}")
    return " AND ".join(parts)


def _as_filter(change: Move) -> Q:
    condition = Q()
    for name, value in change.seen.items():
        if isinstance(value, DbNow):
            condition &= Q((name, None)) | Q((f"{name}__lte", value))
        else:
            condition &= Q((name, value))
    return condition


def _update(
    connection: BaseDatabaseWrapper, table: _Table, assigned: list[str], where: str, params: list[Any]
) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table.name} SET {', '.join(assigned)} WHERE {where}", params)  # noqa: S608
        return int(cursor.rowcount)
