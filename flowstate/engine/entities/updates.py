"""Carrying out an UpdateStep: read under lock, save, and know exactly what that changed.

Statements for one row: the locked read and the write. A third, the read-back, where what the database holds
afterwards is not known: an expression that is no delta, a value that its field or the database rounds or
rewrites, or a `save()` or a receiver that wrote more than it was asked to. Only one, the write, where
reading the row would change nothing that anybody could notice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as attribute
from types import SimpleNamespace
from typing import Any

from django.db import connections, models
from django.db.models import signals
from django.db.models.constants import LOOKUP_SEP

from flowstate.engine.entities.deltas import Amount, delta_of
from flowstate.engine.entities.images import (
    INEXACT,
    AnyField,
    Image,
    as_stored,
    complete,
    image,
    same,
    text,
    tracked,
    value,
)
from flowstate.engine.entities.links import change_links, links_of
from flowstate.engine.entities.records import (
    Outcome,
    changed_rows,
    differences,
    is_auto,
    key_shown,
    row_record,
    undo_record,
)
from flowstate.engine.entities.rows import Target, assigned_fields, same_table, table_of
from flowstate.engine.entities.validation import validated
from flowstate.exceptions import DeclarationInvalid
from flowstate.workflows.entities import UpdateStep


def update(step: UpdateStep, ctx: Any, *, record_undo: bool, using: str) -> Outcome:
    """Write the step's values into its row or rows; return the result and the undo record."""
    target = Target.of(step, ctx, using)
    if step.direct:
        return _update_directly(step, target, ctx, record_undo=record_undo)

    def assign() -> dict[AnyField, Any]:
        return assigned_fields(step, target.model, step.values_for(ctx))

    on_entity = same_table(target.model, ctx.entity_model)
    # A function of a step on the entity is promised the locked row as `ctx.entity`: nothing is known before.
    if step.many or step.linking or step.full_clean or (callable(step.values) and on_entity):
        return _update_read(step, target, ctx, assign, record_undo=record_undo)
    assigned = assign()
    if _unread_write_is_the_same(target, assigned, record_undo=record_undo):
        return _update_unread(target, assigned, record_undo=record_undo)
    return _update_read(step, target, ctx, lambda: assigned, record_undo=record_undo)


# --- through save() ------------------------------------------------------------------------------


def _update_read(
    step: UpdateStep,
    target: Target,
    ctx: Any,
    assign: Callable[[], dict[AnyField, Any]],
    *,
    record_undo: bool,
) -> Outcome:
    using = target.using
    rows = target.rows()
    if not step.many and _is_entity(target, ctx, rows[0]):
        ctx.use_entity(rows[0])
    # Before `values` is evaluated, which may change the lists and dictionaries that the row holds.
    columns = tracked(target.model._meta.concrete_fields)
    before = [image(row, columns) for row in rows] if record_undo or step.full_clean else []
    assigned, links = assign(), links_of(step, target.model, ctx)
    result = {"count": len(rows)} if step.many else {"pk": key_shown(rows[0].pk)}
    saves = _save_all(step, rows, assigned, before, using) if assigned else []
    changed = _changes(saves, before, columns, using) if record_undo and saves else []
    linked = change_links(step, rows, links, record_undo=record_undo, using=using)
    if not record_undo:
        return result, None
    return result, undo_record(**{**linked, "changed": [*changed, *linked["changed"]]})


def _is_entity(target: Target, ctx: Any, row: models.Model) -> bool:
    if target.step.model is None:
        return True
    return same_table(target.model, ctx.entity_model) and row._meta.pk.to_python(ctx.entity_id) == row.pk


@dataclass(slots=True)
class _Save:
    """One `save()` and what was seen of it."""

    row: models.Model
    assigned: Mapping[AnyField, Any]
    as_asked: bool
    """Whether it was one UPDATE of just these columns, as far as the connection can tell."""


def _save_all(
    step: UpdateStep,
    rows: Sequence[models.Model],
    assigned: Mapping[AnyField, Any],
    before: Sequence[Image],
    using: str,
) -> list[_Save]:
    saves: list[_Save] = []
    for index, row in enumerate(rows):
        for field, new in assigned.items():
            setattr(row, field.name if isinstance(new, models.Model) else field.attname, new)
        cleaned = validated(step, row, assigned, before[index]) if step.full_clean else assigned
        saves.append(_save(row, cleaned, using))
    return saves


def _save(row: models.Model, assigned: Mapping[AnyField, Any], using: str) -> _Save:
    autos = {field: None for field in row._meta.concrete_fields if is_auto(field)}
    written = {**autos, **assigned}
    seen = _Writes()
    with connections[using].execute_wrapper(seen):
        row.save(using=using, update_fields=[field.name for field in written])
    return _Save(row, written, seen.are_one_update_of(written, row, using))


@dataclass(slots=True)
class _Writes:
    """Sees the writes that a `save()` makes, its receivers' included."""

    statements: list[str] = attribute(default_factory=list)

    def __call__(self, execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001
        if not str(sql).lstrip()[:9].upper().startswith(("SELECT", "SAVEPOINT", "RELEASE")):
            self.statements.append(str(sql))
        return execute(sql, params, many, context)

    def are_one_update_of(self, written: Mapping[AnyField, Any], row: models.Model, using: str) -> bool:
        """Return whether this was one UPDATE for each table, of these columns and no others."""
        quote = connections[using].ops.quote_name
        tables = {table_of(field.model) for field in written}
        unasked: list[AnyField] = [field for field in row._meta.concrete_fields if field not in written]
        others = [f"{quote(field.column)} = " for field in unasked]
        heads = [statement.partition(" WHERE ")[0] for statement in self.statements]
        return len(heads) == len(tables) and not any(other in head for other in others for head in heads)


def _changes(
    saves: Sequence[_Save], before: Sequence[Image], columns: Sequence[AnyField], using: str
) -> list[dict[str, Any]]:
    """Return the records of what the saves changed, reading back what cannot be known otherwise."""
    known = [_as_saved(save, old) for save, old in zip(saves, before, strict=True)]
    unknown = [save.row.pk for save, fields in zip(saves, known, strict=True) if fields is None]
    found = _read_back(saves[0].row, unknown, columns, using) if unknown else {}
    records: list[dict[str, Any]] = []
    for save, old, fields in zip(saves, before, known, strict=True):
        if fields is not None:
            records += changed_rows(save.row, fields)
        elif save.row.pk in found:  # else a receiver deleted it, and there is nothing to restore
            records += changed_rows(save.row, _as_found(save, old, found[save.row.pk], columns))
    return records


def _as_saved(save: _Save, before: Image) -> dict[str, Any] | None:
    """Return the changes without asking the database; None where only it knows."""
    if not save.as_asked or _saves_in_its_own_way(type(save.row)):
        return None
    changes: dict[str, Any] = {}
    after: Image = {}
    for field, assigned in save.assigned.items():
        # Newer Django puts the computed value of an expression on the instance after a save.
        now = save.row.__dict__.get(field.attname, assigned)
        amount = _delta(field, assigned, before)
        if amount is not None and (now is assigned or _arrived(field, amount, before, text(field, now))):
            changes |= {field.name: {"delta": text(field, amount)}} if amount else {}
            continue
        # What Django reads back as None may be a JSON null or an SQL NULL.
        ambiguous = now is not assigned and isinstance(field, models.JSONField)
        stored = INEXACT if ambiguous else as_stored(field, now)
        if stored is INEXACT:
            return None
        after[field.name] = text(field, stored)
    return changes | differences(before, after, [field for field in save.assigned if field.name in after])


def _as_found(
    save: _Save, before: Image, after: Image, columns: Sequence[AnyField]
) -> dict[str, dict[str, Any]]:
    """Return the changes between two reads; a delta is one only if the column arrived where it leads."""
    changes = differences(before, after, columns)
    for field, assigned in save.assigned.items():
        amount = _delta(field, assigned, before)
        if (
            amount is not None
            and _arrived(field, amount, before, after[field.name])
            and field.name in changes
        ):
            changes[field.name] = {"delta": text(field, amount)}
    return changes


def _delta(field: AnyField, assigned: Any, before: Image) -> Amount | None:
    return None if before[field.name] is None else delta_of(field, assigned)


def _arrived(field: AnyField, amount: Amount, before: Image, after: str | None) -> bool:
    return same(field, text(field, value(field, before[field.name]) + amount), after)


def _read_back(
    row: models.Model, keys: Sequence[Any], columns: Sequence[AnyField], using: str
) -> dict[Any, Image]:
    rows = complete(type(row)._base_manager.using(using).filter(pk__in=keys))
    return {found.pk: image(found, columns) for found in rows}


# --- without reading -----------------------------------------------------------------------------


_PLAIN_PRE_SAVES = {
    kind.pre_save for kind in (models.Field, models.DateField, models.DateTimeField, models.TimeField)
}


def _unread_write_is_the_same(target: Target, assigned: Mapping[AnyField, Any], *, record_undo: bool) -> bool:
    """Return whether one conditional UPDATE does what read, `save()` and recording would do.

    It does where nobody listens, `save()` and the manager's `update()` are Django's own, the key is named,
    and nothing of the row is needed for the undo: in an atomic workflow, where the rollback is the undo, or
    where every value is a delta and nothing else is written.
    """
    meta = target.model._meta
    if target.key is None or table_of(target.model)._meta.parents or not assigned:
        return False
    if any(LOOKUP_SEP in key and _is_relation(target.model, key) for key in target.lookups):
        return False  # the database would not look at the joined rows again after waiting for a lock
    if not _is_plain(target.model, target.queryset, assigned):
        return False
    if not record_undo:
        return True
    autos = any(is_auto(field) for field in meta.concrete_fields)
    return not autos and all(
        delta_of(field, new) is not None and not field.null for field, new in assigned.items()
    )


def _saves_in_its_own_way(model: type[models.Model]) -> bool:
    """Return whether the model's own code may leave other values on the instance than it stores."""
    return model.save is not models.Model.save or model.save_base is not models.Model.save_base


def _is_relation(model: type[models.Model], key: str) -> bool:
    name = key.split(LOOKUP_SEP, maxsplit=1)[0]
    return name != "pk" and model._meta.get_field(name).is_relation


def _is_plain(
    model: type[models.Model], queryset: models.QuerySet[Any], assigned: Mapping[AnyField, Any]
) -> bool:
    heard = any(signal.has_listeners(model) for signal in (signals.pre_save, signals.post_save))
    overridden = (
        _saves_in_its_own_way(model)
        or type(queryset).update is not models.QuerySet.update
        or any(type(field).pre_save not in _PLAIN_PRE_SAVES for field in assigned)
    )
    return not heard and not overridden


def _update_unread(target: Target, assigned: Mapping[AnyField, Any], *, record_undo: bool) -> Outcome:
    values = {field.name: new for field, new in assigned.items()}
    columns: list[AnyField] = list(target.model._meta.concrete_fields)
    for field in filter(is_auto, columns):
        values[field.name] = field.pre_save(SimpleNamespace(), add=False)
    if not target.queryset.update(**values):
        raise target.missing()
    pk = target.model._meta.pk.to_python(target.key)
    return {"pk": key_shown(pk)}, undo_record(changed=_deltas(target, assigned)) if record_undo else None


def _deltas(target: Target, assigned: Mapping[AnyField, Any]) -> list[dict[str, Any]]:
    amounts = {field: delta_of(field, new) for field, new in assigned.items()}
    changes = {field.name: {"delta": text(field, amount)} for field, amount in amounts.items() if amount}
    key = text(target.model._meta.pk, target.model._meta.pk.to_python(target.key))
    return [row_record(target.model, str(key), fields=changes)] if changes else []


# --- direct=True ---------------------------------------------------------------------------------


def _update_directly(step: UpdateStep, target: Target, ctx: Any, *, record_undo: bool) -> Outcome:
    assigned = assigned_fields(step, target.model, step.values_for(ctx))
    queryset = target.queryset
    if step.derives_inverse:
        _refuse_what_only_a_read_could_undo(target, assigned)
        # A delta on NULL changes nothing, so there would be nothing to undo: such a row does not match.
        nullable = {f"{field.name}__isnull": False for field in assigned if field.null}
        queryset = queryset.filter(**nullable)
    count = queryset.update(**{field.name: new for field, new in assigned.items()})
    if count == 0 and (step.missing is not None or not step.many):
        raise target.missing()
    if count > 1 and not step.many:
        raise target.ambiguous()  # the caller rolls back
    undo = undo_record(changed=_deltas(target, assigned)) if record_undo else None
    if step.many or target.key is None:
        return {"count": count}, undo
    return {"pk": key_shown(target.model._meta.pk.to_python(target.key))}, undo


def _refuse_what_only_a_read_could_undo(target: Target, assigned: Mapping[AnyField, Any]) -> None:
    deltas = all(delta_of(field, new) is not None for field, new in assigned.items())
    own = not any(not same_table(field.model, target.model) for field in assigned)
    if target.key is None or target.step.many or not deltas or not own:
        message = (
            f"Step {target.step.name} has direct=True, but could not be undone without reading the row: its "
            "`where` must name the key and its `values` must all be `F(field) ± n` on columns of "
            f"{target.model._meta.label} itself. Otherwise say `compensate=False`, or leave `direct` out."
        )
        raise DeclarationInvalid(message)
