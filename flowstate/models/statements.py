"""The journal's hottest statements as constant SQL; nowhere else does flowstate write SQL by hand.

The ORM builds every statement anew, which costs more than the database takes to carry it out. Here the
pieces are built once per kind of database from the models' `_meta`, so that names follow the models; values
go through the fields' own `get_db_prep_save`, as the ORM's do.

Words of which there are few stand in the text, all else is a parameter: psycopg keeps a text parsed only up
to 50 parameters and 4096 characters, SQLite as long as it is literally the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from django.db import connections, models
from django.db.models import Q

from flowstate.models.clock import DbNow

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

_SMALL = 16
"""Numbers below this stand in the text: order, tokens and counters, mostly 0 and 1."""


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

    def value(self, value: Any, connection: BaseDatabaseWrapper, params: list[Any]) -> str:
        """Return how the value is written in the text; a placeholder where it is a parameter."""
        if value is None:
            return "NULL"
        if isinstance(value, DbNow):
            sql, more = value.sql_on(connection)
            params.extend(more)
            return sql
        word = self.words.get(value) if self.words else None
        if word is not None:
            return word
        params.append(self.field.get_db_prep_save(value, connection))
        return "%s"


@dataclass(frozen=True, slots=True)
class _Table:
    name: str
    key: _Column
    columns: Mapping[str, _Column]
    inserted: Mapping[str, _Column]
    """The columns but a key that the database gives."""
    insert_into: str


@cache
def _table(model: type[models.Model], vendor: str, using: str) -> _Table:
    quote = connections[using].ops.quote_name
    meta = model._meta
    columns = {
        field.attname: _Column(quote(field.column), field, _words(field, vendor))
        for field in meta.concrete_fields
    }
    inserted = {
        name: column for name, column in columns.items() if not isinstance(column.field, models.AutoField)
    }
    table = quote(meta.db_table)
    names = ", ".join(column.name for column in inserted.values())
    return _Table(table, columns[meta.pk.attname], columns, inserted, f"INSERT INTO {table} ({names}) VALUES ")


def _words(field: models.Field[Any, Any], vendor: str) -> dict[Any, str]:
    if isinstance(field, models.BooleanField):
        return {True: "true", False: "false"} if vendor == "postgresql" else {True: "1", False: "0"}
    if isinstance(field, models.PositiveIntegerField):
        return {number: str(number) for number in range(_SMALL)}
    if isinstance(field, models.CharField | models.TextField):
        return {str(word): f"'{word}'" for word in ("", *dict(field.flatchoices))}
    return {}


def insert(using: str, rows: Sequence[models.Model]) -> None:
    """Insert rows of one model in one statement and give them their keys.

    The database must return rows from an INSERT, if it is what gives the keys. Neither `save()` nor signals
    of Django are called.
    """
    connection, model = connections[using], type(rows[0])
    table = _table(model, connection.vendor, using)
    keyless = len(table.inserted) < len(table.columns)
    params: list[Any] = []
    texts = [
        f"({', '.join([column.value(row.__dict__[name], connection, params) for name, column in table.inserted.items()])})"
        for row in rows
    ]
    returning = f" RETURNING {table.key.name}" if keyless else ""
    with connection.cursor() as cursor:
        cursor.execute(f"{table.insert_into}{', '.join(texts)}{returning}", params)
        keys = cursor.fetchall() if keyless else []
    for row, (key,) in zip(rows, keys, strict=False):
        row.pk = key
    for row in rows:
        row._state.adding, row._state.db = False, using


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
    rows._for_write = True  # as QuerySet.update does
    connection = connections[rows.db]
    return connection, _table(rows.model, connection.vendor, rows.db)


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
        cursor.execute(f"UPDATE {table.name} SET {', '.join(assigned)} WHERE {where}", params)
        return cursor.rowcount
