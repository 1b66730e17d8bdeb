"""What people are shown who decide: fields of the row, or what functions say, each under a name and a label."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from flowstate.exceptions import DeclarationInvalid
from flowstate.workflows.functions import call

Source: TypeAlias = "str | Callable[[Any], Any]"
Show: TypeAlias = "Iterable[str | tuple[str, Source]]"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownField:
    """One thing that is shown."""

    name: str
    """Its key in the step's result: the path of the field, the label where it is a function."""
    label: str
    """Empty where the field's own will do."""
    source: Source
    """The path of a field of the row, relations joined by two underscores, or a function `(ctx)`."""

    def value(self, ctx: Any) -> Any:
        """Return what is shown now. Raises what the function raises, and `EntityGone`."""
        if callable(self.source):
            return call(self.source, ctx)
        value = ctx.entity
        for part in self.source.split("__"):
            value = getattr(value, part, None) if value is None else getattr(value, part)
        return value


def shown_fields(given: Any, what: str) -> tuple[ShownField, ...]:
    """Return what `show=` says. Raises DeclarationInvalid for what is neither a field nor (label, field or function)."""
    if isinstance(given, str) or not isinstance(given, list | tuple):
        message = f"{what} is a list of fields, each a path or (label, path or function), not {given!r}."
        raise DeclarationInvalid(message)
    fields = tuple(_field(item, what) for item in given)
    names = [field.name for field in fields]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        message = f"{what} has two entries {', '.join(map(repr, twice))}."
        raise DeclarationInvalid(message)
    return fields


def _field(item: Any, what: str) -> ShownField:
    if _is_path(item):
        return ShownField(name=item, label="", source=item)
    if isinstance(item, tuple) and len(item) == 2 and _is_label(item[0]):
        label, source = item
        if _is_path(source):
            return ShownField(name=source, label=label, source=source)
        if callable(source):
            return ShownField(name=label, label=label, source=source)
    message = f"{what} takes the path of a field, or (label, path or function (ctx)), not {item!r}."
    raise DeclarationInvalid(message)


def _is_path(given: object) -> bool:
    return isinstance(given, str) and all(part.isidentifier() for part in given.split("__"))


def _is_label(given: object) -> bool:
    # One that begins with $ could be mistaken for a type tag of the journal.
    return isinstance(given, str) and 0 < len(given) <= 100 and not given.startswith("$")
