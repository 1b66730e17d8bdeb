"""Carrying out a DeleteStep: record all that goes with the rows, under lock, then delete them.

Django's own `Collector` says what goes: cascades, fast deletes, links that are nulled or set to a default,
many-to-many rows, multi-table parents and children, generic relations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import models
from django.db.models.deletion import Collector, ProtectedError, RestrictedError

from flowstate.conf import settings
from flowstate.engine.entities.images import AnyField, Image, complete, image, text, tracked
from flowstate.engine.entities.records import Outcome, differences, key_shown, row_record, undo_record
from flowstate.engine.entities.references import depth_first, target
from flowstate.engine.entities.rows import Model, Target, locked, table_of
from flowstate.exceptions import RowLimitExceeded, RowProtected
from flowstate.workflows.entities import DeleteStep

Images = dict[Model, dict[Any, Image]]
"""What rows hold in their own table, by table and key."""


def delete(step: DeleteStep, ctx: Any, *, record_undo: bool, using: str) -> Outcome:
    """Delete the step's row or rows through their `delete()`; return the result and the undo record."""
    found = Target.of(step, ctx, using)
    rows = found.rows()
    result = {"count": len(rows)} if step.many else {"pk": key_shown(rows[0].pk)}
    try:
        recorded = record(rows, using) if record_undo and rows else None
        for row in rows:
            row.delete(using=using)
    except (ProtectedError, RestrictedError) as err:
        raise _protected(step, found, err) from err
    if recorded is None:
        return result, undo_record() if record_undo else None
    if type(rows[0]).delete is not models.Model.delete:
        return result, what_really_happened(recorded, using)
    return result, recorded.as_record()


def _protected(step: DeleteStep, found: Target, err: ProtectedError | RestrictedError) -> RowProtected:
    holders = err.protected_objects if isinstance(err, ProtectedError) else err.restricted_objects
    names = sorted(f"{row._meta.label} {row.pk}" for row in holders)
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return RowProtected(
        f"{found.model._meta.label} with {found} cannot be deleted by step {step.name}: {shown} "
        "refers to it and protects it."
    )


# --- what a deletion takes with it ---------------------------------------------------------------


class _LockingCollector(Collector):
    """Reads what it finds under lock, level by level, and no more of it than the cap allows."""

    def __init__(self, using: str, cap: int) -> None:
        super().__init__(using=using)
        self.cap = cap

    def related_objects(self, related_model: Any, related_fields: Any, objs: Any) -> Any:
        # Locked before their own dependents are looked for: then nobody can add one any more.
        found = super().related_objects(related_model, related_fields, objs).select_for_update()
        known = all(field.remote_field.on_delete in _OF_DJANGO for field in related_fields)
        return found[: self.cap + 1] if known else found  # a handler of the user's may want to filter it

    def clear_restricted_objects_from_queryset(self, model: Any, qs: Any) -> None:
        if model in self.restricted_objects:
            whole = qs.all()
            whole.query.clear_limits()  # a slice cannot be filtered
            super().clear_restricted_objects_from_queryset(model, whole)

    def deleted_keys(self) -> dict[Model, list[Any]]:
        """Return the keys of the rows that will go, by table."""
        keys: dict[Model, dict[Any, None]] = {}
        found: list[Iterable[models.Model]] = [*self.data.values(), *self.fast_deletes]
        for rows in found:
            for row in rows:
                keys.setdefault(_table(row), {})[row.pk] = None
        return {table: list(found) for table, found in keys.items()}


_OF_DJANGO = {
    models.CASCADE, models.PROTECT, models.RESTRICT, models.SET_NULL, models.SET_DEFAULT, models.DO_NOTHING,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a deletion will take with it, as it was before."""

    deleted: Images
    linked: Images
    links: list[_Link]

    def as_record(self) -> dict[str, Any]:
        """Return the undo record: all of it went."""
        changes: dict[tuple[Model, Any], dict[str, Any]] = {}
        for link in self.links:
            before = self.linked[link.table][link.key][link.field.name]
            after = text(link.field, link.new)
            if before != after:
                change = {link.field.name: {"before": before, "after": after}}
                changes.setdefault((link.table, link.key), {}).update(change)
        changed = [_row_record(table, key, fields=fields) for (table, key), fields in changes.items()]
        return undo_record(deleted=_parents_first(self.deleted), changed=changed)


@dataclass(frozen=True, slots=True)
class _Link:
    """A foreign key that will be nulled or set to a default."""

    table: Model
    key: Any
    field: AnyField
    new: Any


def record(rows: Sequence[models.Model], using: str) -> Recorded:
    """Return what deleting these rows would take with it; locks all of it. Raises `RowLimitExceeded`."""
    cap = settings().max_rows
    collector = _LockingCollector(using, cap)
    collector.collect(list(rows))
    keys = collector.deleted_keys()
    links = list(_links(collector, keys))
    count = sum(map(len, keys.values())) + len(links)
    if count > cap:
        message = (
            f"Deleting {rows[0]._meta.label} {rows[0].pk} takes {count} rows or more with it, over "
            f"FLOWSTATE['MAX_ROWS'] = {cap}. Delete what depends on it first, in batches."
        )
        raise RowLimitExceeded(message)
    linked: dict[Model, list[Any]] = {}
    for link in links:
        linked.setdefault(link.table, []).append(link.key)
    known = {_table(rows[0]): {row.pk: row for row in rows}}
    return Recorded(
        {table: _images(table, found, known.get(table, {}), using) for table, found in keys.items()},
        {table: _images(table, found, {}, using) for table, found in linked.items()},
        links,
    )


def _table(row: models.Model) -> Model:
    return table_of(type(row))


def _row_record(table: Model, key: Any, **more: Any) -> dict[str, Any]:
    return row_record(table, str(text(table._meta.pk, key)), **more)


def _images(
    table: Model, keys: Sequence[Any], known: Mapping[Any, models.Model], using: str
) -> dict[Any, Image]:
    """Return what the rows hold, by key; what was read complete already is not read again."""
    rows: Iterable[models.Model] = [known[key] for key in keys if key in known]
    if len(list(rows)) < len(keys):
        rows = complete(locked(table._base_manager.using(using).filter(pk__in=keys)))
    columns = tracked(table._meta.local_concrete_fields)
    return {row.pk: image(row, columns) for row in rows}


def _links(collector: Collector, deleted: Mapping[Model, Sequence[Any]]) -> Iterator[_Link]:
    updates: Mapping[tuple[AnyField, Any], Any] = collector.field_updates
    for (field, new), groups in updates.items():
        value = getattr(new, field.target_field.attname) if isinstance(new, models.Model) else new
        for row in (row for rows in groups for row in rows):
            # On databases that check at once, Django nulls links before it deletes the rows that have them.
            if row.pk not in deleted.get(_table(row), ()):
                yield _Link(_table(row), row.pk, field, value)


# --- a delete() of the user's own ----------------------------------------------------------------


def what_really_happened(recorded: Recorded, using: str) -> dict[str, Any]:
    """Return the undo record after an overridden `delete()`: some rows may still be there, changed."""
    gone: Images = {}
    changed: list[dict[str, Any]] = []
    for table in {**recorded.deleted, **recorded.linked}:
        before = {**recorded.linked.get(table, {}), **recorded.deleted.get(table, {})}
        columns = tracked(table._meta.local_concrete_fields)
        rows = complete(table._base_manager.using(using).filter(pk__in=list(before)))
        after = {row.pk: image(row, columns) for row in rows}
        for key, old in before.items():
            if key not in after:
                gone.setdefault(table, {})[key] = old
            elif fields := differences(old, after[key], columns):
                changed.append(_row_record(table, key, fields=fields))
    return undo_record(deleted=_parents_first(gone), changed=changed)


# --- in which order rows come back ---------------------------------------------------------------


def _parents_first(images: Images) -> list[dict[str, Any]]:
    """Return the records of deleted rows, each after those that it refers to, cycles aside."""
    rows = [(table, key, held) for table, found in images.items() for key, held in found.items()]
    place = {
        (table, name, text): index
        for index, (table, _key, held) in enumerate(rows)
        for name, text in held.items()
    }

    def referred(table: Model, held: Image) -> Iterator[int]:
        for field in tracked(table._meta.local_concrete_fields):
            if field.remote_field is not None:
                index = place.get((*target(field), held[field.name]))
                if index is not None:
                    yield index

    order = depth_first([list(referred(table, held)) for table, _key, held in rows])
    return [_row_record(rows[index][0], rows[index][1], values=rows[index][2]) for index in order]
