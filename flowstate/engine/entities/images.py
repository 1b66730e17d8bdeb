"""The columns of a row as texts that plain JSON can hold, and back, for every type of field.

An image is `{field name: text or None}`. The texts are those of Django's serializers, which every field
knows to write and to read again, made canonical where two texts could mean one value.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, DecimalException
from enum import Enum
from math import isfinite
from types import SimpleNamespace
from typing import Any, TypeVar

from django.conf import settings
from django.db import models
from django.db.models.fields.files import FieldFile
from django.db.models.lookups import IsNull
from django.utils.timezone import is_aware

Image = dict[str, str | None]
AnyField = Any  # models.Field[Any, Any], ForeignKey and CompositePrimaryKey, told apart at run time
Rows = TypeVar("Rows", bound="models.QuerySet[Any]")

INEXACT: Any = object()
"""What the database makes of an assigned value is not known before it is read back."""

_SQL_NULL = "flowstate_null_of_"


def tracked(fields: Iterable[Any]) -> list[AnyField]:
    """Return those columns that are written, not computed by the database."""
    return [field for field in fields if not field.generated]


def identifying(table: type[models.Model]) -> list[AnyField]:
    """Return the columns that tell a row from another with its key: when it was added, or else all of them.

    Who has changed a row has not replaced it, but only the time of its creation can tell that. A column that
    is stamped at each save tells nothing.
    """
    columns = tracked(table._meta.local_concrete_fields)
    born = [field for field in columns if isinstance(field, models.DateTimeField) and field.auto_now_add]
    return born or [field for field in columns if not getattr(field, "auto_now", False)]


def complete(queryset: Rows) -> Rows:
    """Let the rows tell a JSON null from an SQL NULL; Django reads both as None."""
    fields = [
        field
        for field in queryset.model._meta.concrete_fields
        if isinstance(field, models.JSONField) and field.null
    ]
    marks = {_SQL_NULL + field.name: IsNull(models.F(field.name), rhs=True) for field in fields}
    return queryset.annotate(**marks) if marks else queryset


def image(row: models.Model, fields: Sequence[AnyField]) -> Image:
    """Return what these columns of the row hold; the row was read through `complete`."""
    return {field.name: text_of(field, row) for field in fields}


def text_of(field: AnyField, row: models.Model) -> str | None:
    """Return what one column of the row holds."""
    value = getattr(row, field.attname)
    if value is None and isinstance(field, models.JSONField):
        null = field.null and getattr(row, _SQL_NULL + field.name, True)
        return None if null else "null"
    if isinstance(value, FieldFile):
        value = value.name
    return text(field, value)


def key_text(row: models.Model, model: type[models.Model]) -> str:
    """Return the key of the row in the table of `model`, which is its own or that of a parent."""
    key = text(model._meta.pk, getattr(row, model._meta.pk.attname))
    if key is None:
        message = f"A {model._meta.label} without a key cannot be recorded."
        raise ValueError(message)
    return key


def text(field: AnyField, value: Any) -> str | None:
    """Return a value of this field as text."""
    if value is None:
        return None
    if isinstance(field, models.JSONField):
        return json.dumps(value, cls=field.encoder)
    field = leaf(field)
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, Decimal):
        plain = format(value, "f")
        return plain.rstrip("0").rstrip(".") if "." in plain else plain
    if isinstance(value, datetime) and is_aware(value):
        value = value.astimezone(UTC)
    return str(field.value_to_string(SimpleNamespace(**{field.attname: value})))


def value(field: AnyField, text: str | None) -> Any:
    """Return what can be assigned, stored and looked up for a text of this field.

    Raises ValueError or ValidationError for a text that is none of its.
    """
    if text is None:
        return None
    if isinstance(field, models.JSONField):
        loaded = json.loads(text, cls=field.decoder)
        return models.Value(None, models.JSONField()) if text == "null" else loaded
    return leaf(field).to_python(text)


def same(field: AnyField, one: str | None, other: str | None) -> bool:
    """Return whether two texts mean one value; the order of keys in JSON means nothing."""
    if one == other or one is None or other is None:
        return one == other
    if isinstance(field, models.JSONField):
        return _sorted(one) == _sorted(other)
    return False


def _sorted(text: str) -> str:
    return json.dumps(json.loads(text), sort_keys=True)


def leaf(field: AnyField) -> AnyField:
    """Return the field whose type the column has: that at the end of a chain of foreign keys."""
    while field.remote_field is not None:
        field = field.target_field
    return field


# --- what is stored as it was assigned -----------------------------------------------------------

_INTEGERS = {
    "AutoField", "BigAutoField", "SmallAutoField", "BigIntegerField", "IntegerField", "SmallIntegerField",
    "PositiveBigIntegerField", "PositiveIntegerField", "PositiveSmallIntegerField",
}  # fmt: skip
_TEXTS = {"CharField", "TextField", "SlugField", "FileField", "FilePathField"}
_OTHERS = {
    "BooleanField", "DateField", "DateTimeField", "TimeField", "DurationField", "UUIDField", "DecimalField",
    "FloatField", "GenericIPAddressField",
}  # fmt: skip


def is_text(field: AnyField) -> bool:
    """Return whether the column holds characters, which databases compare by collation."""
    return leaf(field).get_internal_type() in _TEXTS


def equal_in_sql(field: AnyField) -> bool:
    """Return whether `column = value` is true for this very value only, text aside on MySQL and MariaDB."""
    found = leaf(field)
    known = found.get_internal_type() in _INTEGERS | _TEXTS | _OTHERS
    return known and not getattr(found, "db_collation", None)


def as_stored(field: AnyField, assigned: Any) -> Any:
    """Return the value that the database is sure to hold after `assigned` was saved, or INEXACT."""
    if hasattr(assigned, "resolve_expression"):
        return INEXACT
    if assigned is None:
        return None
    found = leaf(field)
    # A subclass of the user's may store what it likes.
    if not type(found).__module__.startswith("django.db.models.fields"):
        return INEXACT
    kind = found.get_internal_type()
    if kind == "DecimalField":
        return _as_stored_decimal(found, assigned)
    prepared = assigned.value if isinstance(assigned, Enum) else assigned
    if kind in _INTEGERS | _TEXTS | {"BooleanField", "FloatField", "UUIDField"}:
        prepared = found.to_python(found.get_prep_value(prepared))
    return prepared if _is_native(kind, prepared) else INEXACT


def _is_native(kind: str, value: Any) -> bool:
    match value:
        case datetime():
            return kind == "DateTimeField" and is_aware(value) == settings.USE_TZ
        case date():
            return kind == "DateField"
        case time():
            return kind == "TimeField" and value.tzinfo is None
        case timedelta():
            return kind == "DurationField"
        case float():
            return kind == "FloatField" and isfinite(value)
    return kind in _INTEGERS | _TEXTS | {"BooleanField", "UUIDField"}


def _as_stored_decimal(field: models.DecimalField[Any, Any], assigned: Any) -> Any:
    """A value with more places than the column is rounded, by each database in its own way."""
    if isinstance(assigned, bool) or not isinstance(assigned, int | Decimal):
        return INEXACT
    number = Decimal(assigned)
    return number if fits(field, number) else INEXACT


def fits(field: models.DecimalField[Any, Any], number: Decimal) -> bool:
    """Return whether the column holds the number without rounding."""
    places = field.decimal_places or 0
    try:
        return number == number.quantize(Decimal(1).scaleb(-places))
    except DecimalException:  # more digits than the context has, NaN, infinity
        return False
