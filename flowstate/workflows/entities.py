"""Entity steps: rows to create, update or delete, with an inverse that is derived."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from flowstate.exceptions import DeclarationInvalid
from flowstate.workflows.functions import refuse_wrong_arity, value_of
from flowstate.workflows.policies import flag, refuse_unknown
from flowstate.workflows.step_options import (
    UNSET,
    EntityOptions,
    OnConflict,
    Unset,
    checked_on_conflict,
    option_names,
)
from flowstate.workflows.steps import Kind, Step

if TYPE_CHECKING:
    from typing import Unpack

    from django.db.models import Model, Q

    Row: TypeAlias = dict[str, Any]

ModelGiven: TypeAlias = "str | type[Model]"
Columns: TypeAlias = Mapping[str, Any]
Values: TypeAlias = Callable[[Any], Columns] | Columns
ManyValues: TypeAlias = Callable[[Any], Columns | Iterable[Columns]] | Columns | Iterable[Columns]
Where: TypeAlias = "Callable[[Any], Columns | Q] | Columns | Q"


class EntityStep(Step["Row"]):
    """What the three kinds have in common; `model` is a class, "app.Model", or None for the action's entity."""

    model: ModelGiven | None
    many: bool
    on_conflict: OnConflict
    known_options: ClassVar[frozenset[str]] = option_names(EntityOptions)

    def _declare(self, model: Any, kind: Kind, given: Any, options: Any, **own: Any) -> None:
        what = f"{self.word} {options.get('name') or ''}".rstrip()
        refuse_unknown(what, options, self.known_options | set(given))
        name, undo = options.get("name"), options.get("compensate")
        own["on_conflict"] = checked_on_conflict(
            options.get("on_conflict", "attention"), f"{what}: on_conflict"
        )
        special = ("name", "compensate", "on_conflict")
        common = {key: value for key, value in options.items() if key not in special}
        self._fill(what, name, undo, common)
        vars(self).update(fn=None, kind=kind, model=model, **given, **own)

    @property
    def label(self) -> str:
        """The model as "app.Model"; empty for the action's entity."""
        if self.model is None or isinstance(self.model, str):
            return self.model or ""
        return self.model._meta.label

    def refuse_wrong_functions(self, label: str) -> None:
        """Raise DeclarationInvalid where `values`, `where` or an option could not be called."""
        super().refuse_wrong_functions(label)
        for option in ("values", "where"):
            given = getattr(self, option, UNSET)
            if callable(given):
                refuse_wrong_arity(given, ("ctx",), f"{label}: step {self.name!r}: {option}")
        if self.on_conflict != "attention" and not self.derives_inverse:
            message = (
                f"{label}: step {self.name!r}: on_conflict={self.on_conflict!r} is for an undo that is derived, and "
                "this step has a compensation of its own, or none."
            )
            raise DeclarationInvalid(message)


class CreateStep(EntityStep):
    """Insert one row, or with `many=True` one for each of the values; the inverse deletes exactly these.

    The result is `{"pk": ...}`, or `{"count": n}` of many. `store_as` puts the key, or the list of keys, into
    `ctx.data` under that name.
    """

    values: ManyValues
    store_as: str | None
    word = "CreateStep"

    def __init__(
        self,
        model: ModelGiven,
        *,
        values: ManyValues | Unset = UNSET,
        store_as: str | None = None,
        many: bool = False,
        **options: Unpack[EntityOptions],
    ) -> None:
        if _checked_model(model, "CreateStep") is None:
            message = "CreateStep takes a model: the action's entity exists already."
            raise DeclarationInvalid(message)
        flag(many, "CreateStep: many")
        _check_store_as(store_as)
        rows = values if many and isinstance(values, list | tuple) else [values]
        for row in rows:
            _check_values(row, "CreateStep", "one mapping for each row" if many else "a mapping")
        given = {"values": values, "store_as": store_as, "many": many}
        self._declare(model, Kind.CREATE, given, options)

    def values_for(self, ctx: Any) -> Any:
        """Return the values now: a mapping, or with `many` an iterable of mappings."""
        return value_of(self.values, ctx)


class UpdateStep(EntityStep):
    """Change one row, or with `many=True` all that `where` finds; the inverse restores what it wrote over.

    Without a model it is the action's entity. `missing` is the error for no row. `direct=True` is one
    conditional UPDATE, without signals and `save()`. The result is `{"pk": ...}`, or `{"count": n}` of many.
    """

    where: Where | Unset
    values: Values
    missing: type[Exception] | None
    direct: bool
    word = "UpdateStep"

    def __init__(
        self,
        model: ModelGiven | None = None,
        *,
        where: Where | Unset = UNSET,
        values: Values | Unset = UNSET,
        many: bool = False,
        missing: type[Exception] | None = None,
        direct: bool = False,
        **options: Unpack[EntityOptions],
    ) -> None:
        model = _checked_model(model, "UpdateStep")
        _check_where("UpdateStep", model, where, many=flag(many, "UpdateStep: many"))
        _check_values(values, "UpdateStep", "a mapping")
        if isinstance(values, Mapping) and (not values or "pk" in values):
            what = "changes the key of a row" if values else "changes nothing"
            message = f"UpdateStep: values {what}: {dict(values)!r}."
            raise DeclarationInvalid(message)
        if flag(direct, "UpdateStep: direct") and options.get("compensate") is not False:
            _check_direct(model, where, values)
        given = {"where": where, "values": values, "many": many, "direct": direct}
        self._declare(model, Kind.UPDATE, given, options, missing=_checked_missing(missing, "UpdateStep"))

    def where_for(self, ctx: Any) -> Any:
        """Return the lookup now, a mapping or a Q; UNSET for the action's entity."""
        return self.where if self.where is UNSET else value_of(self.where, ctx)

    def values_for(self, ctx: Any) -> Any:
        """Return the values now, a mapping."""
        return value_of(self.values, ctx)


class DeleteStep(EntityStep):
    """Delete one row, or with `many=True` all that `where` finds; the inverse brings back all that went with it.

    Without a model it is the action's entity. `missing` is the error for no row. The result is `{"pk": ...}`,
    or `{"count": n}` of many.
    """

    where: Where | Unset
    missing: type[Exception] | None
    word = "DeleteStep"

    def __init__(
        self,
        model: ModelGiven | None = None,
        *,
        where: Where | Unset = UNSET,
        many: bool = False,
        missing: type[Exception] | None = None,
        **options: Unpack[EntityOptions],
    ) -> None:
        model = _checked_model(model, "DeleteStep")
        _check_where("DeleteStep", model, where, many=flag(many, "DeleteStep: many"))
        given = {"where": where, "many": many}
        self._declare(model, Kind.DELETE, given, options, missing=_checked_missing(missing, "DeleteStep"))

    def where_for(self, ctx: Any) -> Any:
        """Return the lookup now, a mapping or a Q; UNSET for the action's entity."""
        return self.where if self.where is UNSET else value_of(self.where, ctx)


def refuse_double_columns(names: Iterable[str], what: str) -> None:
    """Raise DeclarationInvalid where two names say one column: `x` and `x_id`, `pk` and `id`.

    It goes by the names alone. Where a model has unrelated fields of such names, `values` as a function gets
    past it, and what knows the model judges.
    """
    given = set(names)
    pairs = [(name, f"{name}_id") for name in sorted(given)]
    for one, other in [*pairs, ("id", "pk")]:
        if one in given and other in given:
            message = f"{what}: {one!r} and {other!r} name one column."
            raise DeclarationInvalid(message)


def _checked_model(model: Any, what: str) -> Any:
    if model is None:
        return None
    if isinstance(model, str):
        parts = model.split(".")
        if len(parts) == 2 and all(part.isidentifier() for part in parts):
            return model
    elif isinstance(model, type) and hasattr(model, "_meta"):
        if model._meta.abstract:
            message = f"{what}: {model.__name__} is abstract, so it has no rows."
            raise DeclarationInvalid(message)
        return model
    message = f'{what}: a model is a class or "app.Model", not {model!r}.'
    raise DeclarationInvalid(message)


def _check_values(values: object, what: str, shape: str) -> None:
    if values is UNSET:
        message = f"{what} needs values=."
        raise DeclarationInvalid(message)
    if callable(values):
        return
    if not isinstance(values, Mapping) or not all(isinstance(name, str) for name in values):
        message = f"{what}: values is {shape} of field names, or a function (ctx) of that, not {values!r}."
        raise DeclarationInvalid(message)
    lookups = sorted(name for name in values if "__" in name)
    if lookups:
        message = f"{what}: values names fields, not lookups: {', '.join(lookups)}."
        raise DeclarationInvalid(message)
    refuse_double_columns(values, f"{what}: values")


def _check_store_as(given: object) -> None:
    if given is not None and not (isinstance(given, str) and given):
        message = f"CreateStep: store_as is a name in ctx.data, not {given!r}."
        raise DeclarationInvalid(message)


def _check_where(what: str, model: object, where: object, *, many: bool) -> None:
    if model is None:
        if where is not UNSET or many:
            option = "where" if where is not UNSET else "many"
            message = f"{what} without a model is for the action's entity, one row: it takes no {option}=."
            raise DeclarationInvalid(message)
        return
    if where is UNSET:
        message = f"{what} of {model!r} needs where=, which says which row."
        raise DeclarationInvalid(message)
    if callable(where) or getattr(where, "conditional", False):  # a Q
        return
    if not isinstance(where, Mapping) or not all(isinstance(name, str) for name in where):
        message = f"{what}: where is a mapping of lookups, a Q, or a function (ctx) of these, not {where!r}."
        raise DeclarationInvalid(message)
    if not where:
        message = f"{what}: an empty where finds every row of {model!r}."
        raise DeclarationInvalid(message)


def _check_direct(model: Any, where: Any, values: Any) -> None:
    """Refuse what is wrong whatever the model; the rest is seen when the step runs."""
    why = (
        "direct=True reads no row, so its inverse needs a where that names the key and values that are deltas"
    )
    plain = isinstance(values, Mapping) and sorted(
        name for name, value in values.items() if not hasattr(value, "resolve_expression")
    )
    if plain:
        message = f"UpdateStep: {why}: {', '.join(plain)} is given a plain value. Or say compensate=False."
        raise DeclarationInvalid(message)
    if not isinstance(model, str | None) and isinstance(where, Mapping):
        key = model._meta.pk
        if not {"pk", key.name, key.attname} & {name.removesuffix("__exact") for name in where}:
            message = f"UpdateStep: {why}: {', '.join(where)} is not the key. Or say compensate=False."
            raise DeclarationInvalid(message)


def _checked_missing(missing: Any, what: str) -> type[Exception] | None:
    if missing is None:
        return None
    if not (isinstance(missing, type) and issubclass(missing, Exception)):
        message = f"{what}: missing is an exception class, not {missing!r}."
        raise DeclarationInvalid(message)
    refuse_wrong_arity(missing, (), f"{what}: missing is raised without arguments: it")
    return missing
