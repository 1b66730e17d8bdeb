"""Undoing an entity step from its record: never over what somebody else has written since.

The inverses use Django's raw saves and plain UPDATE and DELETE statements: values come back as they were,
`auto_now` fields too. `pre_save` and `post_save` are sent for rows that come back (`raw=True`), none else;
who keeps copies of rows listens to `entity_restored`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from django.db import IntegrityError, models, transaction
from django.db.models.deletion import get_candidate_relations_to_delete

from flowstate.engine.database.words import words_of
from flowstate.engine.entities.links import link_tables
from flowstate.engine.entities.records import Record, RowRecord, read_record
from flowstate.engine.entities.removal import SHOWN, refuse_replaced, remove, replaced
from flowstate.engine.entities.restoration import restore
from flowstate.engine.entities.reverting import Fields, as_found, revert
from flowstate.engine.entities.rows import EntityStep, Model, model_of, table_of
from flowstate.exceptions import UndoConflict
from flowstate.workflows.entities import DeleteStep, UpdateStep
from flowstate.workflows.step_options import UNSET
from flowstate.workflows.steps import Kind, Step

_ENTITY_KINDS = (Kind.CREATE, Kind.UPDATE, Kind.DELETE)


Restored = tuple[Model, Any, Literal["back", "changed", "removed"]]
"""A row that an inverse has touched: its table, its key, and what has become of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """What an inverse has done."""

    rows: list[Restored]
    overwritten: list[tuple[str, Fields]]
    """The rows, and of each the columns, in which it wrote over what somebody else had written."""


class ConflictSkipped(UndoConflict):
    """A conflict of a step that says `on_conflict="skip"`: all of the step stays as it is."""


def undo(
    record: Any,
    *,
    key: str,
    allowed_models: frozenset[str],
    using: str,
    others: Sequence[tuple[Any, str]] = (),
    force: bool = False,
) -> Undone:
    """Undo what the step of this key has written, all of it or nothing; return what was done.

    `others` are the records, with their keys, of the run's other steps that are not undone yet: rows that
    they have created do not hold one of this step's in place. To be called inside a transaction: a single
    changed row costs one conditional UPDATE and no savepoint, so where this raises after a database error,
    the caller's transaction can only be rolled back. Values of others are overwritten with `force`, or where
    the step said so. Raises `UndoConflict`, whose `fields` say what was expected, what is there, and what
    would have been restored; also for a record that is not as the step left it or names a model outside
    `allowed_models`. `ConflictSkipped` where the step said that it then stays as it is.
    """
    done = read_record(record, key=key, allowed_models=allowed_models)

    def created_by_others() -> Iterator[RowRecord]:
        for other, its_key in others:
            yield from read_record(other, key=its_key, allowed_models=allowed_models).created

    try:
        return _undo(done, using, created_by_others, overwrite=force or done.on_conflict == "overwrite")
    except UndoConflict as conflict:
        if done.on_conflict == "skip" and not force:
            raise ConflictSkipped(str(conflict), conflict.fields) from conflict
        raise


def refused_at_commit(
    record: Any, *, key: str, allowed_models: frozenset[str], error: IntegrityError
) -> UndoConflict:
    """Return the conflict of an inverse that was carried out and that only COMMIT refused.

    Deferred constraints are looked at there: foreign keys on PostgreSQL and SQLite, and whatever is declared
    as deferrable. `ConflictSkipped` where the step said that it then stays as it is.
    """
    done = read_record(record, key=key, allowed_models=allowed_models)
    rows = [*done.created, *done.deleted, *done.changed]
    shown = ", ".join(map(str, rows[:SHOWN])) + (" and more" if len(rows) > SHOWN else "")
    fields = {name: texts for row in done.changed for name, texts in as_found(row).items()}
    conflict = UndoConflict(f"{shown} cannot be restored: {words_of(error)}", fields)
    if done.on_conflict != "skip":
        return conflict
    skipped = ConflictSkipped(str(conflict), fields)
    skipped.__cause__ = conflict
    return skipped


def _undo(
    done: Record, using: str, created_by_others: Callable[[], Iterable[RowRecord]], *, overwrite: bool
) -> Undone:
    alone = not done.created and not done.deleted and len(done.changed) <= 1
    with nullcontext() if alone else transaction.atomic(using=using):
        taken_over = replaced(done.created, using)
        if not overwrite:
            refuse_replaced(taken_over)
        removed = remove(done.created, using, created_by_others)
        restore(done.deleted, using)
        foreign = [(str(row), fields) for row, fields in taken_over]
        # The last one first: on the way there each row may have made room for the next one's unique value.
        foreign += [(str(row), revert(row, using, overwrite=overwrite)) for row in reversed(done.changed)]
    rows: list[Restored] = [
        *((table, pk, "removed") for table, pk in removed),
        *((row.model, row.key, "back") for row in done.deleted),
        *((row.model, row.key, "changed") for row in (*done.changed, *done.linked)),
    ]
    return Undone(rows=rows, overwritten=[(row, fields) for row, fields in foreign if fields])


def rows_as_senders(rows: Iterable[Restored], step: Step[Any], entity_model: Model | None) -> list[Restored]:
    """Return the rows as those who listen know them: each once, and as the step's own model too.

    A step on a multi-table child may have written only its parents' tables, and who listens to the child
    is to know. Link tables that Django made are nobody's model.
    """
    found = dict.fromkeys(row for row in rows if not row[0]._meta.auto_created)
    if isinstance(step, EntityStep):
        own = table_of(model_of(step, entity_model))
        keys = {table: _shares_key(own, table) for table, _pk, _change in found}
        found |= dict.fromkeys((own, pk, change) for table, pk, change in found if keys[table])
    return list(found)


def _shares_key(model: Model, table: Model) -> bool:
    """Return whether the key of a row of the model is that of its part in a parent's table."""
    key: Any = model._meta.pk
    while key.model is not table and key.remote_field is not None and key.remote_field.parent_link:
        key = key.target_field
    return key.model is table and key.primary_key


# --- which models a record may name --------------------------------------------------------------


class Steps(Protocol):
    """What knows the steps of a run, as a declaration does."""

    @property
    def steps(self) -> Iterable[Step[Any]]:
        """Return them."""


def models_of(known: Steps, entity_model: Model | None) -> frozenset[str]:
    """Return the labels, in lower case, of all models that undo records of these steps may name.

    That are those its entity steps name, the tables they consist of, for delete steps all that Django would
    delete or unlink with them, and for steps that link the tables of these links.
    """
    found: set[Model] = set()
    for step in known.steps:
        if step.kind in _ENTITY_KINDS and isinstance(step, EntityStep):
            model = model_of(step, entity_model)
            found |= _taken_along(model) if isinstance(step, DeleteStep) else set(_tables(model))
            if isinstance(step, UpdateStep) and step.linking:
                found = found.union(*map(_taken_along, _link_tables(step, model)))
    return frozenset(model._meta.label_lower for model in found)


def _link_tables(step: UpdateStep, model: Model) -> Iterable[Model]:
    """Return the tables of the links that the step names; of all where a function names them."""
    tables = link_tables(model)
    named = [given for given in (step.add, step.remove) if given is not UNSET]
    if any(callable(given) for given in named):
        return tables.values()
    return [tables[name] for given in named for name in given if name in tables]  # type: ignore[union-attr]


def _tables(model: Model) -> Iterable[Model]:
    concrete = table_of(model)
    return [concrete, *map(table_of, concrete._meta.all_parents)]


def _taken_along(model: Model) -> set[Model]:
    found: set[Model] = set()
    waiting = list(_tables(model))
    while waiting:
        table = waiting.pop()
        if table not in found:
            found.add(table)
            waiting.extend(_tables_affected_by_deleting(table))
    return found


def _tables_affected_by_deleting(table: Model) -> Iterable[Model]:
    yield from _tables(table)
    relations: Iterable[Any] = get_candidate_relations_to_delete(table._meta)
    for relation in relations:
        if relation.field.remote_field.on_delete is not models.DO_NOTHING:
            yield from _tables(relation.related_model)
    for field in table._meta.private_fields:
        if hasattr(field, "bulk_related_objects"):
            yield from _tables(field.remote_field.model)
