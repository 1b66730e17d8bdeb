"""Foreseeing an inverse: which rows it would change how, without changing or locking one.

Steps are foreseen in the order of their undoing, each over what those before it would leave behind. It is
what the rows say now: the undoing itself asks again, under lock, and the database has the last word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db import models
from django.db.models import Q

from flowstate.engine.entities.images import AnyField, complete, key_text, same, text, text_of, tracked, value
from flowstate.engine.entities.records import Record, RowRecord, read_record
from flowstate.engine.entities.references import may_be_referred_to, referring, target
from flowstate.engine.entities.removal import is_another, told_apart
from flowstate.engine.entities.restoration import linked_again, unique_names
from flowstate.engine.entities.rows import Model, table_of
from flowstate.exceptions import UndoConflict
from flowstate.models.undo_preview import FieldPreview, RowPreview, StepPreview

SHOWN = 20
"""Rows of one step that are told of. All are looked at, but only for these is asked what may be in their way."""

_AT_ONCE = 500

Place = tuple[Model, Any]
Texts = dict[str, str | None]
Rows = dict[Place, Texts | None]
"""What rows hold in their own table, by table and key; None for one that is not there."""


class Foresight:
    """The rows as they would be once what was foreseen so far is undone."""

    def __init__(self, allowed_models: frozenset[str], using: str) -> None:
        self._allowed_models = allowed_models
        self._using = using
        self._rows: Rows = {}
        self._labels: dict[Place, models.Model] = {}

    def allow(self, models: frozenset[str]) -> None:
        """Let the records that follow be of these models: those of another run name others."""
        self._allowed_models = models

    def of_step(
        self,
        step: str,
        record: Any,
        *,
        key: str,
        others: Sequence[tuple[Any, str]] = (),
        sensitive: bool | Sequence[str] = (),
    ) -> StepPreview:
        """Return what undoing the step of this key would do, and go on from there.

        `others` are the records, with their keys, of the run's other steps that are not undone by then.
        """
        try:
            done = read_record(record, key=key, allowed_models=self._allowed_models)
            own = _places_created(others, self._allowed_models)
        except UndoConflict as err:
            return StepPreview(step=step, by="inverse", conflict=str(err))
        self._read([*done.created, *done.deleted, *done.changed])
        before, self._rows = self._rows, dict(self._rows)
        taken_over = "" if done.on_conflict == "overwrite" else self._replaced(done.created)
        removals, held = self._removals(done.created, own)
        found = [*removals, *self._restorations(done.deleted), *self._reversions(done)]
        conflict = taken_over or held or next((row.conflict for row in found if row.conflict), "")
        if conflict:
            self._rows = before  # a conflict leaves all of the step as it is
        found.sort(key=lambda row: not row.conflict)
        return StepPreview(
            step=step,
            by="inverse",
            rows=tuple(row.without_values(sensitive) for row in found[:SHOWN]),
            more=len(found[SHOWN:]),
            conflict=conflict,
            on_conflict=done.on_conflict,
        )

    def _read(self, rows: Sequence[RowRecord]) -> None:
        """Know what the tables hold of these rows: one statement for each table, and for each 500 rows."""
        wanted: dict[Model, list[Any]] = {}
        for row in rows:
            if (row.model, row.key) not in self._rows:
                self._rows[row.model, row.key] = None
                wanted.setdefault(row.model, []).append(row.key)
        for model, keys in wanted.items():
            columns = tracked(model._meta.local_concrete_fields)
            for start in range(0, len(keys), _AT_ONCE):
                chunk = keys[start : start + _AT_ONCE]
                for instance in complete(model._base_manager.using(self._using).filter(pk__in=chunk)):
                    place = model, instance.pk
                    self._rows[place] = {field.name: text_of(field, instance) for field in columns}
                    self._labels[place] = instance

    def _preview(self, row: RowRecord, **more: Any) -> RowPreview:
        instance = self._labels.get((row.model, row.key))
        label = "" if instance is None else _label(instance)
        return RowPreview(model=row.model._meta.label, key=row.key_text, label=label, **more)

    # --- created: would be deleted ---------------------------------------------------------------

    def _replaced(self, rows: Sequence[RowRecord]) -> str:
        """Return in words which row is another by now, with the key of the one that was created."""
        for row in rows:
            now = self._rows[row.model, row.key]
            fields = told_apart(row, now) if now is not None else {}
            if fields:
                return is_another(row, fields)
        return ""

    def _removals(self, rows: Sequence[RowRecord], own: set[Place]) -> tuple[list[RowPreview], str]:
        """Return what would go, `own` rows that refer to it too, and in words what would hold it in place."""
        going = {(row.model, row.key): self._labels.get((row.model, row.key)) for row in rows}
        there = [row for row in rows if self._rows[row.model, row.key] is not None]
        previews = [self._preview(row, what="deleted" if row in there else "unchanged") for row in rows]
        for place in going:
            self._rows[place] = None
        waiting = list(dict.fromkeys(table for table, _key in going))
        while waiting:
            table = waiting.pop(0)
            instances = [row for (model, _key), row in going.items() if model is table and row is not None]
            for link, referrer in self._referrers(table, instances, len(own)):
                place = table_of(type(referrer)), referrer.pk
                if place not in own:
                    words = f"{referrer._meta.label} {referrer.pk} refers by {link} to what would be deleted."
                    return previews, words
                going[place], self._rows[place] = referrer, None
                previews.append(_taken_along(referrer))
                waiting.append(place[0])
        return previews, ""

    def _referrers(
        self, table: Model, rows: list[models.Model], own: int
    ) -> Iterator[tuple[str, models.Model]]:
        """Yield what refers to these rows and is not foreseen to be gone; a statement for each link to the table."""
        if not rows or not may_be_referred_to(table):
            return
        for link, found in referring(rows, table, self._using):
            other = table_of(found.model)
            gone = [key for (model, key), now in self._rows.items() if now is None and model is other]
            for referrer in found.exclude(pk__in=gone)[: own + SHOWN]:
                if not self._lets_go(referrer, link):
                    yield link, referrer

    def _lets_go(self, other: models.Model, link: str) -> bool:
        """Return whether what was foreseen before would have the row refer to something else."""
        now = self._rows.get((table_of(type(other)), other.pk))
        if now is None or link not in now:
            return False
        field: AnyField = other._meta.get_field(link)
        return not same(field, now[link], text_of(field, other))

    # --- deleted: would be restored --------------------------------------------------------------

    def _restorations(self, rows: Sequence[RowRecord]) -> list[RowPreview]:
        there = {(row.model, row.key) for row in rows if self._rows[row.model, row.key] is not None}
        again = linked_again(rows, self._using, self._rows)
        previews = [self._preview(row, what="unchanged") for row in rows if (row.model, row.key) in again]
        rows = [row for row in rows if (row.model, row.key) not in again]
        for row in rows:
            self._rows[row.model, row.key] = {field.name: given for field, given in row.columns.items()}
        missing = self._missing_targets(
            [(field, given) for row in rows for field, given in row.columns.items()]
        )
        for number, row in enumerate(rows):
            conflict = ""
            if (row.model, row.key) in there:
                conflict = f"{row} is there again: its key is taken."
            elif number < SHOWN:
                conflict = self._taken(row, {field.name: given for field, given in row.columns.items()})
            conflict = conflict or self._dangling(row.columns, missing)
            fields = tuple(
                FieldPreview(name=field.name, now=None, after=given) for field, given in row.columns.items()
            )
            previews.append(self._preview(row, what="restored", fields=fields, conflict=conflict))
        return previews

    # --- changed: would be as before -------------------------------------------------------------

    def _reversions(self, done: Record) -> list[RowPreview]:
        rows, overwrite = done.changed[::-1], done.on_conflict == "overwrite"  # as they are undone
        missing = self._missing_targets([item for row in rows for item in _plain(row).items()])
        previews = []
        for number, row in enumerate(rows):
            now = self._rows[row.model, row.key]
            if now is None:
                conflict = f"{row} is gone, so it cannot be restored."
                previews.append(self._preview(row, what="unchanged", conflict=conflict))
                continue
            fields = tuple(_field(field, change, now[field.name]) for field, change in row.columns.items())
            after = {**now, **{field.name: field.after for field in fields}}
            self._rows[row.model, row.key] = after
            conflict = "" if overwrite else _foreign(row, fields)
            conflict = conflict or self._dangling(_plain(row), missing)
            changed = {field.name for field in fields}
            unique = any(changed & set(names) for names in unique_names(row.model))
            if unique and not conflict and number < SHOWN:
                conflict = self._taken(row, after)
            previews.append(self._preview(row, what="changed", fields=fields, conflict=conflict))
        return previews

    # --- what may be in the way ------------------------------------------------------------------

    def _missing_targets(self, given: Sequence[tuple[AnyField, str | None]]) -> set[tuple[AnyField, str]]:
        """Return which of these values of foreign keys refer to a row that is not there; a statement for each."""
        wanted: dict[AnyField, set[str]] = {}
        for field, held in given:
            if held is not None and field.remote_field is not None and field.db_constraint:
                wanted.setdefault(field, set()).add(held)
        missing = set()
        for field, texts in wanted.items():
            model, name = target(field)
            there = self._foreseen(model, name)
            keys = {value(field, held): held for held in texts - there}
            rows = model._base_manager.using(self._using).filter(**{f"{name}__in": list(keys)})
            found = set(rows.values_list(name, flat=True)) if keys else set()
            gone = [key for (table, key), now in self._rows.items() if table is model and now is None]
            missing |= {(field, held) for key, held in keys.items() if key not in found or key in gone}
        return missing

    def _foreseen(self, model: Model, name: str) -> set[str | None]:
        return {
            now.get(name) for (table, _key), now in self._rows.items() if table is model and now is not None
        }

    def _dangling(self, columns: dict[AnyField, str | None], missing: set[tuple[AnyField, str]]) -> str:
        for field, held in columns.items():
            if held is not None and (field, held) in missing:
                return f"{field.name} refers to a {target(field)[0]._meta.label} that is gone."
        return ""

    def _taken(self, row: RowRecord, columns: Texts) -> str:
        """Return in words which unique value another row has taken; one statement."""
        condition, by_name = Q(), {field.name: field for field in row.model._meta.local_concrete_fields}
        for names in unique_names(row.model):
            if all(columns.get(name) is not None for name in names):
                condition |= Q(
                    **{by_name[name].attname: value(by_name[name], columns[name]) for name in names}
                )
        others = row.model._base_manager.using(self._using).filter(condition).exclude(pk=row.key)
        for other in others[:SHOWN] if condition else []:
            held = self._rows.get(
                (row.model, other.pk), {name: text_of(by_name[name], other) for name in columns}
            )
            for names in unique_names(row.model):
                if held and all(
                    held.get(name) is not None and held.get(name) == columns.get(name) for name in names
                ):
                    return f"{', '.join(names)} is taken by {row.model._meta.label} {other.pk}."
        return ""


def _places_created(others: Sequence[tuple[Any, str]], allowed_models: frozenset[str]) -> set[Place]:
    records = [read_record(record, key=key, allowed_models=allowed_models) for record, key in others]
    return {(row.model, row.key) for record in records for row in record.created}


def _taken_along(row: models.Model) -> RowPreview:
    table = table_of(type(row))
    return RowPreview(model=table._meta.label, key=key_text(row, table), label=_label(row), what="deleted")


def _plain(row: RowRecord) -> dict[AnyField, str | None]:
    return {field: change["before"] for field, change in row.columns.items() if "before" in change}


def _foreign(row: RowRecord, fields: Sequence[FieldPreview]) -> str:
    names = ", ".join(field.name for field in fields if field.conflict)
    return f"{row} was changed by somebody else since: {names}." if names else ""


def _field(field: AnyField, change: dict[str, Any], now: str | None) -> FieldPreview:
    if "delta" in change:
        after = None if now is None else text(field, value(field, now) - value(field, change["delta"]))
        return FieldPreview(name=field.name, now=now, after=after)
    if same(field, now, change["after"]):
        return FieldPreview(name=field.name, now=now, after=change["before"], expected=change["after"])
    if change.get("auto"):  # a later stamp stays
        return FieldPreview(name=field.name, now=now, after=now)
    return FieldPreview(
        name=field.name, now=now, after=change["before"], expected=change["after"], conflict=True
    )


def _label(instance: models.Model) -> str:
    try:
        return str(instance)
    except Exception:  # the user's code, over a row that may be half gone
        return ""
