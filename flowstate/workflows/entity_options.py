"""What the three kinds of entity steps may be given: looked at when a step is made, without a database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from flowstate.exceptions import DeclarationInvalid
from flowstate.workflows.functions import refuse_wrong_arity
from flowstate.workflows.step_options import UNSET


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


def checked_model(model: Any, what: str) -> Any:
    """Return the model, a class or its label. Raises DeclarationInvalid for anything else."""
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


def check_values(values: object, what: str, shape: str) -> None:
    """Raise DeclarationInvalid for values that are neither a function nor a mapping of field names."""
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


def check_changes(values: object) -> None:
    """Raise DeclarationInvalid for the values of an update that change nothing, or the key."""
    check_values(values, "UpdateStep", "a mapping")
    if isinstance(values, Mapping) and (not values or "pk" in values):
        what = "changes the key of a row" if values else "changes nothing"
        message = f"UpdateStep: values {what}: {dict(values)!r}."
        raise DeclarationInvalid(message)


def refuse_reading(option: str) -> NoReturn:
    """Raise DeclarationInvalid for an option that a step with `direct=True` cannot have."""
    message = f"UpdateStep: direct=True is one UPDATE, which reads no row: it takes no {option}."
    raise DeclarationInvalid(message)


def check_store_as(given: object) -> None:
    """Raise DeclarationInvalid for anything but a name."""
    if given is not None and not (isinstance(given, str) and given):
        message = f"CreateStep: store_as is a name in ctx.data, not {given!r}."
        raise DeclarationInvalid(message)


def check_where(what: str, model: object, where: object, *, many: bool) -> None:
    """Raise DeclarationInvalid for a lookup that is missing, empty, or not for the action's entity."""
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


def check_direct(model: Any, where: Any, values: Any) -> None:
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


def checked_missing(missing: Any, what: str) -> type[Exception] | None:
    """Return the error for no row. Raises DeclarationInvalid for what cannot be raised."""
    if missing is None:
        return None
    if not (isinstance(missing, type) and issubclass(missing, Exception)):
        message = f"{what}: missing is an exception class, not {missing!r}."
        raise DeclarationInvalid(message)
    refuse_wrong_arity(missing, (), f"{what}: missing is raised without arguments: it")
    return missing


def checked_links(given: Any, what: str) -> Any:
    """Return what `add` or `remove` names: a mapping or a function (ctx). Raises DeclarationInvalid."""
    if given is UNSET or callable(given):
        return given
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        message = (
            f"{what} is a mapping of many-to-many names to lists of rows or keys, or a function (ctx) of that, "
            f"not {given!r}."
        )
        raise DeclarationInvalid(message)
    if not given:
        message = f"{what} is empty: it changes nothing."
        raise DeclarationInvalid(message)
    for name, members in given.items():
        if not callable(members) and not is_listed(members):
            message = (
                f"{what}: {name!r} is given a list of rows or keys, or a function (ctx), not {members!r}."
            )
            raise DeclarationInvalid(message)
    return dict(given)


def is_listed(members: object) -> bool:
    """Return whether these are several: a list, a tuple, a set or a queryset, but no text and no mapping."""
    return isinstance(members, Iterable) and not isinstance(members, str | bytes | Mapping)
