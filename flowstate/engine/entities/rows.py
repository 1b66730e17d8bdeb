"""Finding the rows that an entity step is about: its model, its lookup, and reading them under lock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db import connections, models
from django.db.models import Q
from django.db.models.constants import LOOKUP_SEP

from flowstate.conf import settings
from flowstate.engine.entities.images import AnyField, complete, tracked
from flowstate.exceptions import DeclarationInvalid, RowLimitExceeded, RowMissing, RowsAmbiguous
from flowstate.workflows.entities import CreateStep, DeleteStep, UpdateStep
from flowstate.workflows.entity_options import is_listed
from flowstate.workflows.step_options import UNSET

EntityStep = CreateStep | UpdateStep | DeleteStep
Model = type[models.Model]
Rows = TypeVar("Rows", bound="models.QuerySet[Any]")


def model_of(step: EntityStep, entity_model: Model | None) -> Model:
    """Return the model that the step names, or that of the entity."""
    if step.model is None:
        if entity_model is None:
            message = f"Step {step.name} works on the entity, but the run has none. Name a model and `where`."
            raise DeclarationInvalid(message)
        return entity_model
    if isinstance(step.model, str):
        try:
            return apps.get_model(step.model)
        except (LookupError, ValueError) as err:
            message = f"Step {step.name} names the model {step.model!r}: {err}"
            raise DeclarationInvalid(message) from err
    model: Model = step.model
    return model


def table_of(model: Model) -> Model:
    """Return the model that the table belongs to: of a proxy the one it stands for, else itself."""
    return model._meta.concrete_model or model


def same_table(one: Model | None, other: Model | None) -> bool:
    """Return whether two models are one and the same, proxies aside."""
    return one is not None and other is not None and table_of(one) is table_of(other)


def locked(queryset: Rows) -> Rows:
    """Let the rows be read under lock: the model's own tables, not those that a lookup joins."""
    if not connections[queryset.db].features.has_select_for_update_of:
        return queryset.select_for_update()
    links = table_of(queryset.model)._meta.parents.values()
    parents = [link.name for link in links if link is not None]
    return queryset.select_for_update(of=("self", *parents))


def _refuses_lock(queryset: models.QuerySet[Any]) -> bool:
    """Return whether the database will not lock the rows of this query: PostgreSQL knows no groups under lock."""
    if connections[queryset.db].vendor != "postgresql":
        return False
    query = queryset.query
    return bool(query.group_by is not None or query.distinct or query.combinator)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The rows that one call of an Update or Delete step is about."""

    step: UpdateStep | DeleteStep
    model: Model
    condition: Q
    using: str

    @classmethod
    def of(cls, step: UpdateStep | DeleteStep, ctx: Any, using: str) -> Target:
        """Evaluate the step's `where`. Raises `DeclarationInvalid` for a lookup that cannot be meant."""
        model = model_of(step, ctx.entity_model)
        where = step.where_for(ctx)
        if where is UNSET:
            return cls(step=step, model=model, condition=Q(pk=ctx.entity_id), using=using)
        if isinstance(where, Mapping):
            for key in where:
                _refuse_unknown_lookup(step, model, key)
            where = Q(**where)
        elif not isinstance(where, Q):
            message = f"`where` of step {step.name} gave a {type(where).__name__}; it must be a dictionary of lookups."
            raise DeclarationInvalid(message)
        if not where:
            message = (
                f"`where` of step {step.name} gave no lookup, which would mean every {model._meta.label}."
            )
            raise DeclarationInvalid(message)
        return cls(step=step, model=model, condition=where, using=using)

    @property
    def lookups(self) -> dict[str, Any]:
        """The lookups that all must hold; none where the condition is more than that."""
        plain = self.condition.connector == Q.AND and not self.condition.negated
        children = self.condition.children if plain else []
        if not all(isinstance(child, tuple) for child in children):
            return {}
        return dict(child for child in children if isinstance(child, tuple))

    @property
    def queryset(self) -> models.QuerySet[Any]:
        """The rows, unlocked: the entity through `_base_manager`, others as their default manager shows them."""
        manager = self.model._base_manager if self.step.where is UNSET else self.model._default_manager
        return manager.using(self.using).filter(self.condition)

    @property
    def key(self) -> Any:
        """The primary key, where the lookup names it; else None."""
        pk = self.model._meta.pk
        names = {"pk", pk.name, pk.attname, f"pk{LOOKUP_SEP}exact"}
        found = next((value for name, value in self.lookups.items() if name in names), None)
        found = found.pk if isinstance(found, models.Model) else found
        return None if hasattr(found, "resolve_expression") else found

    def rows(self) -> list[models.Model]:
        """Return the rows, read under lock: exactly one, or up to the cap with `many`.

        Raises the step's `missing` error or `RowMissing`, `RowsAmbiguous`, `RowLimitExceeded`.
        """
        by_key = _refuses_lock(self.queryset)
        queryset = complete(locked(self._by_key() if by_key else self.queryset))
        found = self._many(queryset) if self.step.many else self._one(queryset)
        if by_key:
            found = self._still(found)
        if not found and (self.step.missing is not None or not self.step.many):
            raise self.missing()
        return found

    def _by_key(self) -> models.QuerySet[Any]:
        keys = self.queryset.order_by().values("pk")
        return self.model._base_manager.using(self.using).filter(pk__in=keys)

    def _still(self, found: list[models.Model]) -> list[models.Model]:
        """Return those that are meant now that they are locked: they were chosen before that."""
        keys = self.queryset.order_by().filter(pk__in=[row.pk for row in found])
        there = set(keys.values_list("pk", flat=True)) if found else set()
        return [row for row in found if row.pk in there]

    def _one(self, queryset: models.QuerySet[Any]) -> list[models.Model]:
        # Without an order: that of the model is of no use here and may choose a bad index.
        found = list(queryset.order_by()[:2])
        if len(found) == 2 and found[0].pk == found[1].pk:  # a lookup over many related rows
            found = [found[0], *queryset.exclude(pk=found[0].pk)[:1]]
        if len(found) > 1:
            raise self.ambiguous()
        return found

    def _many(self, queryset: models.QuerySet[Any]) -> list[models.Model]:
        cap = settings().max_rows
        found: dict[Any, models.Model] = {}
        while len(found) <= cap:
            # In the order of keys, so that two steps over the same rows do not lock each other out.
            rows = queryset.exclude(pk__in=list(found)) if found else queryset
            page = list(rows.order_by("pk")[: cap + 1])
            found |= {row.pk: row for row in page}
            if len(page) <= cap:
                break  # else a lookup over many related rows may have given some of them several times
        if len(found) > cap:
            raise self.too_many()
        return list(found.values())

    def missing(self) -> Exception:
        """Return the error that no row was found."""
        if self.step.missing is not None:
            error: Exception = self.step.missing()
            return error
        return RowMissing(f"No {self.model._meta.label} with {self} for step {self.step.name}.")

    def ambiguous(self) -> Exception:
        """Return the error that several rows were found."""
        return RowsAmbiguous(
            f"More than one {self.model._meta.label} with {self} for step {self.step.name}, which is for one row. "
            "Look it up by a unique field, or say `many=True`."
        )

    def too_many(self) -> Exception:
        """Return the error that more rows were found than a step may touch."""
        return RowLimitExceeded(
            f"More than {settings().max_rows} rows of {self.model._meta.label} with {self} for step "
            f"{self.step.name}: that is FLOWSTATE['MAX_ROWS']. Narrow `where`, or work in batches."
        )

    def __str__(self) -> str:
        if not self.lookups:
            return "***" if self.step.sensitive else str(self.condition)
        return ", ".join(f"{key}={self._shown(key, value)}" for key, value in self.lookups.items())

    def _shown(self, key: str, value: Any) -> str:
        sensitive = self.step.sensitive
        if sensitive is True or (sensitive and key.split(LOOKUP_SEP, maxsplit=1)[0] in sensitive):
            return "***"
        shown = repr(value)
        return shown if len(shown) <= 60 else f"{shown[:57]}..."


def _refuse_unknown_lookup(step: EntityStep, model: Model, key: object) -> None:
    """Only lookups on the model's fields: `filter()` has keys that change the query, `_connector` is one."""
    first = key.split(LOOKUP_SEP)[0] if isinstance(key, str) else ""
    if first == "pk":
        return
    try:
        model._meta.get_field(first)
    except FieldDoesNotExist as err:
        message = (
            f"`where` of step {step.name} has the key {key!r}, which is no lookup on a field of "
            f"{model._meta.label}. It has {', '.join(sorted(column_names(model)))}."
        )
        raise DeclarationInvalid(message) from err


# --- what is assigned ----------------------------------------------------------------------------


def column_names(model: Model) -> list[str]:
    """Return the names of the columns that can be assigned."""
    return [field.name for field in tracked(model._meta.concrete_fields)]


def assigned_fields(step: UpdateStep, model: Model, values: Any) -> dict[AnyField, Any]:
    """Return the values by field. Raises `DeclarationInvalid` naming model, field and the known ones."""
    _refuse_other_than_mapping(step, values)
    fields: dict[AnyField, Any] = {}
    for name, value in values.items():
        field = updatable(step, model, name)
        if field in fields:
            message = f"`values` of step {step.name} names the column {field.name} twice."
            raise DeclarationInvalid(message)
        fields[field] = value
    return fields


def updatable(step: EntityStep, model: Model, name: str) -> AnyField:
    """Return the column of this name, if an update may write it."""
    field = _column(model, name)
    if field is None:
        message = (
            f"`values` of step {step.name} has {name!r}, which is no column of {model._meta.label} that can be "
            f"written. It has {', '.join(sorted(column_names(model)))}."
        )
        raise DeclarationInvalid(message)
    if field.primary_key or field in model._meta.pk_fields:
        message = (
            f"`values` of step {step.name} has {name!r}, the key of {model._meta.label}. A key is never "
            "changed: create another row."
        )
        raise DeclarationInvalid(message)
    return field


def refuse_unknown_values(step: CreateStep, model: Model, values: Any) -> None:
    """Raise `DeclarationInvalid` for a name that the model's constructor would not take."""
    _refuse_other_than_mapping(step, values)
    others = {field.name for field in model._meta.private_fields} | {"pk"}
    for name in values:
        settable = isinstance(getattr(model, name, None), property)
        if _column(model, name) is None and name not in others and not settable:
            message = (
                f"`values` of step {step.name} has {name!r}, which is no column of {model._meta.label} that can "
                f"be written. It has {', '.join(sorted(column_names(model)))}."
            )
            raise DeclarationInvalid(message)


def _refuse_other_than_mapping(step: EntityStep, values: Any) -> None:
    if not isinstance(values, Mapping):
        message = (
            f"`values` of step {step.name} gave a {type(values).__name__}; it must be a dictionary of fields."
        )
        raise DeclarationInvalid(message)


def _column(model: Model, name: str) -> AnyField | None:
    try:
        field: AnyField = model._meta.get_field(name)
    except FieldDoesNotExist:
        return None
    return field if field in tracked(model._meta.concrete_fields) else None


def many_dicts(step: CreateStep, values: Any) -> Sequence[Any]:
    """Return the `values` of a create step as a list, one dictionary for each row."""
    if not step.many or isinstance(values, Mapping):
        return [values]
    if not is_listed(values):
        message = (
            f"`values` of step {step.name} gave a {type(values).__name__}; it must be a list of dictionaries."
        )
        raise DeclarationInvalid(message)
    cap = settings().max_rows
    rows = list(islice(values, cap + 1))  # it may be a generator that never ends
    if len(rows) > cap:
        message = f"Step {step.name} would create more rows than FLOWSTATE['MAX_ROWS'] = {cap} allows. Work in batches."
        raise RowLimitExceeded(message)
    return rows
