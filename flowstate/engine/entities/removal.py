"""Undoing a creation: delete exactly the rows that the step created, and nothing that refers to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import IntegrityError

from flowstate.engine.entities.records import RowRecord
from flowstate.engine.entities.references import may_be_referred_to, referring
from flowstate.engine.entities.rows import Model, table_of
from flowstate.exceptions import UndoConflict

SHOWN = 5


def remove(rows: Sequence[RowRecord], using: str) -> None:
    """Delete these rows; those already gone are fine. Raises `UndoConflict` where others refer to them."""
    keys: dict[Model, list[Any]] = {}
    for row in rows:
        keys.setdefault(row.model, []).append(row.key)
    for table in keys:
        if may_be_referred_to(table):
            _refuse_referred(table, keys, using)
    try:
        for table in reversed(keys):  # a child's table before its parent's
            for group in _groups(table, keys[table]):
                # Django's own delete() would cascade; what could cascade was refused above.
                table._base_manager.using(using).filter(pk__in=group)._raw_delete(using)  # noqa: SLF001
    except IntegrityError as err:
        message = f"{', '.join(map(str, rows))} cannot be deleted: {err}"
        raise UndoConflict(message) from err


def _refuse_referred(table: Model, keys: dict[Model, list[Any]], using: str) -> None:
    # Locked, so that nobody can begin to refer to them between this look and the delete.
    created = list(table._base_manager.using(using).filter(pk__in=keys[table]).select_for_update())
    if not created:
        return
    for link, found in referring(created, table, using):
        others = found.exclude(pk__in=keys.get(table_of(found.model), []))
        names = [str(row.pk) for row in others[: SHOWN + 1]]
        if names:
            label = found.model._meta.label
            shown = ", ".join(names[:SHOWN]) + (" and more" if len(names) > SHOWN else "")
            message = (
                f"{table._meta.label} {', '.join(str(row.pk) for row in created[:SHOWN])} cannot be deleted: "
                f"{label} {shown} refers to it by {link}, and was not created by the same step."
            )
            raise UndoConflict(
                message,
                {f"{label}.{link}": {"expected": None, "found": shown, "restore": None}},
            )


def _groups(table: Model, keys: list[Any]) -> list[list[Any]]:
    """Return the keys in one group, or last first where the rows may refer to one another."""
    refers_to_itself = any(
        field.remote_field is not None and table_of(field.remote_field.model) is table
        for field in table._meta.local_concrete_fields
    )
    return [[key] for key in reversed(keys)] if refers_to_itself else [keys]
