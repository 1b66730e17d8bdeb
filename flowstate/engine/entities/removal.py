"""Undoing a creation: delete exactly the rows that the step created, and nothing of others that refers to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from django.db import IntegrityError, models

from flowstate.engine.database.words import words_of
from flowstate.engine.entities.images import complete, image, same
from flowstate.engine.entities.records import RowRecord
from flowstate.engine.entities.references import (
    may_be_referred_to,
    referring,
    refers_to_itself,
    targets_first,
)
from flowstate.engine.entities.rows import Model, locked, table_of
from flowstate.exceptions import UndoConflict

SHOWN = 5

Keys = dict[Model, dict[Any, None]]
"""The keys of the rows to delete, by table, in the order in which they were created or found."""


def remove(
    rows: Sequence[RowRecord], using: str, created_by_others: Callable[[], Iterable[RowRecord]] = tuple
) -> list[tuple[Model, Any]]:
    """Delete these rows and return their tables and keys; those already gone are fine.

    Rows that other steps of the run have created and that refer to them are deleted too: the order of the
    steps did not tell that one needed the other. Raises `UndoConflict` where anything else refers to them.
    """
    keys: Keys = {}
    for row in rows:
        keys.setdefault(row.model, {})[row.key] = None
    _take_along_own(keys, using, created_by_others)
    try:
        for table in reversed(targets_first(list(keys))):
            for group in _groups(table, list(keys[table])):
                # Django's own delete() would cascade; what could cascade was refused above.
                table._base_manager.using(using).filter(pk__in=group)._raw_delete(using)  # noqa: SLF001
    except IntegrityError as err:
        message = f"{', '.join(map(str, rows))} cannot be deleted: {words_of(err)}"
        raise UndoConflict(message) from err
    return [(table, key) for table, found in keys.items() for key in found]


Fields = dict[str, dict[str, str | None]]


def replaced(rows: Iterable[RowRecord], using: str) -> list[tuple[RowRecord, Fields]]:
    """Return the rows whose place another with the same key has taken, and the columns that tell; locks them.

    Only a key that the step was given can come back. Nothing is read for the other rows.
    """
    given: dict[Model, list[RowRecord]] = {}
    for row in rows:
        if row.columns:
            given.setdefault(row.model, []).append(row)
    found = []
    for table, records in given.items():
        keys = [row.key for row in records]
        there = {
            row.pk: row for row in complete(locked(table._base_manager.using(using).filter(pk__in=keys)))
        }
        for row in records:
            now = there.get(row.key)
            fields = told_apart(row, image(now, list(row.columns))) if now is not None else {}
            if fields:
                found.append((row, fields))
    return found


def told_apart(row: RowRecord, now: Mapping[str, str | None]) -> Fields:
    """Return the columns in which what is there now is not the row that was created."""
    return {
        field.name: {"expected": held, "found": now[field.name], "restore": None}
        for field, held in row.columns.items()
        if not same(field, now[field.name], held)
    }


def is_another(row: RowRecord, fields: Iterable[str]) -> str:
    """Return in words that the row is not the one that was created."""
    return f"{row} is not as the step created it: {', '.join(fields)}. It may be somebody else's."


def refuse_replaced(rows: Sequence[tuple[RowRecord, Fields]]) -> None:
    """Raise `UndoConflict` if there are any."""
    for row, fields in rows:
        raise UndoConflict(is_another(row, fields), fields)


def _take_along_own(keys: Keys, using: str, created_by_others: Callable[[], Iterable[RowRecord]]) -> None:
    """Add to the keys what refers to them and was created by this run. Raises `UndoConflict` for the rest."""

    @cache
    def own() -> Keys:
        created: Keys = {}
        others = list(created_by_others())
        foreign = [row for row, _fields in replaced(others, using)]
        for row in (row for row in others if row not in foreign):
            created.setdefault(row.model, {})[row.key] = None
        return created

    waiting = [table for table in keys if may_be_referred_to(table)]
    while waiting:
        table = waiting.pop(0)
        for link, referrers in _referring(table, keys, using):
            if not referrers[:1]:
                continue
            other = table_of(referrers.model)
            ours = own().get(other, {})
            found = list(referrers[: len(ours) + SHOWN + 1])
            foreign = [key for key in found if key not in ours]
            if foreign:
                raise _held(table, keys, f"{referrers.model._meta.label}.{link}", foreign)
            keys.setdefault(other, {}).update(dict.fromkeys(found))
            if may_be_referred_to(other):
                waiting.append(other)


def _referring(table: Model, keys: Keys, using: str) -> Iterator[tuple[str, models.QuerySet[Any, Any]]]:
    """Yield by name of the link the keys of rows that refer to those to be deleted, and are not among them."""
    # Locked, so that nobody can begin to refer to them between this look and the delete.
    created = list(table._base_manager.using(using).filter(pk__in=list(keys[table])).select_for_update())
    for link, found in referring(created, table, using) if created else ():
        known = list(keys.get(table_of(found.model), ()))
        yield link, found.exclude(pk__in=known).values_list("pk", flat=True)


def _held(table: Model, keys: Keys, link: str, holders: Sequence[Any]) -> UndoConflict:
    rows = ", ".join(str(key) for key in list(keys[table])[:SHOWN])
    shown = ", ".join(map(str, holders[:SHOWN])) + (" and more" if len(holders) > SHOWN else "")
    label, _dot, name = link.rpartition(".")
    return UndoConflict(
        f"{table._meta.label} {rows} cannot be deleted: {label} {shown} refers to it by {name}, and was not "
        "created by a step of this run.",
        {link: {"expected": None, "found": shown, "restore": None}},
    )


def _groups(table: Model, keys: list[Any]) -> list[list[Any]]:
    """Return the keys in one group, or last first where the rows may refer to one another."""
    return [[key] for key in reversed(keys)] if refers_to_itself(table) else [keys]
