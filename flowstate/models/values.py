"""Values as the journal holds them: plain JSON with a closed set of type tags, bounded in size.

A tag is an object with one key that begins with `$`: `{"$decimal": "1.50"}`. A dictionary of the user's
that could be mistaken for one is itself wrapped in `{"$object": {...}}`. Anything else than what `_WRITERS`
lists is refused when it is written, so nothing is lost silently and nothing is unpickled, ever.
"""

from __future__ import annotations

import enum
import json
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db import models
from django.utils.dateparse import parse_duration
from django.utils.duration import duration_iso_string
from django.utils.functional import Promise

from flowstate.conf import settings
from flowstate.exceptions import ValueNotSerializable
from flowstate.models.secrets import Secret, opened_text, sealed_text
from flowstate.redaction import HIDDEN, quotes_secret, remember

MAX_DEPTH = 50
MAX_INTEGER_BITS = 4096  # Python itself refuses to write much longer ones as text

_SHORT, _SMALL_NUMBER = 30, 10**30
"""Characters of text, and the size of numbers, that no sensible limit of bytes forbids."""


def encode(value: Any, what: str) -> Any:
    """Return `value` as plain JSON with type tags.

    `what` names it in errors ("The result of step charge"). Raises `ValueNotSerializable` for types that
    have no tag, for NaN and infinities, NUL characters, keys that are not strings, nesting deeper than 50,
    and for more than FLOWSTATE["MAX_VALUE_BYTES"] bytes. A `Secret`, and a text that quotes one which this process
    knows, is encrypted.
    """
    if _is_small_and_plain(value):
        return value
    encoded = _encode(value, _Place(what))
    refuse_large(encoded, what)
    return encoded


def refuse_large(encoded: Any, what: str) -> None:
    """Raise `ValueNotSerializable` for JSON of more than FLOWSTATE["MAX_VALUE_BYTES"] bytes."""
    size = len(json.dumps(encoded, ensure_ascii=False).encode())
    limit = settings().max_value_bytes
    if size > limit:
        message = (
            f"{what} takes {size:,} bytes of JSON, more than the {limit:,} of FLOWSTATE['MAX_VALUE_BYTES']. "
            "Store it in a row or a file and hand on its key."
        )
        raise ValueNotSerializable(message)


def _is_small_and_plain(value: Any) -> bool:
    """Return whether a value is its own encoding and fits in any case: what most inputs and results are."""
    if value is None or value is True or value is False:
        return True
    if type(value) is int:
        return -_SMALL_NUMBER < value < _SMALL_NUMBER
    plain = type(value) is str and len(value) < _SHORT and value.isascii() and value.isprintable()
    return plain and not quotes_secret(value)


def decode(value: Any) -> Any:
    """Return what `encode` was given, as a copy. A row reference is read from the database."""
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        [(tag, content)] = value.items()
        if tag.startswith("$"):
            return _decode_tag(tag, content)
    return {key: decode(item) for key, item in value.items()}


def masked(value: Any) -> Any:
    """Return journaled JSON with `***` for each secret: what may be shown."""
    if isinstance(value, list):
        return [masked(item) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"$secret"}:
        return HIDDEN
    return {key: masked(item) for key, item in value.items()}


# --- writing -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in which value the encoder is, for its errors."""

    what: str
    path: str = ""
    depth: int = 0

    def inside(self, key: str) -> _Place:
        return _Place(self.what, f"{self.path}{key}", self.depth + 1)

    def refuse(self, problem: str) -> ValueNotSerializable:
        at = f" at {self.path.lstrip('.')}" if self.path else ""
        return ValueNotSerializable(f"{self.what} holds {problem}{at}.")


def _encode(value: Any, place: _Place) -> Any:
    if place.depth > MAX_DEPTH:
        problem = f"more than {MAX_DEPTH} levels"
        raise place.refuse(problem)
    if value is None or value is True or value is False:
        return value
    for kind, write in _WRITERS:
        if isinstance(value, kind):
            return write(value, place)
    problem = (
        f"a {type(value).__module__}.{type(value).__qualname__}, which cannot be journaled (plain JSON, "
        "datetime, date, time, timedelta, Decimal, UUID, enum members and rows can)"
    )
    raise place.refuse(problem)


def _write_mapping(value: Mapping[Any, Any], place: _Place) -> dict[str, Any]:
    encoded: dict[str, Any] = {}
    for key, item in value.items():
        if not isinstance(key, str) or isinstance(key, enum.Enum):
            problem = f"the key {key!r}, and only strings survive JSON as keys,"
            raise place.refuse(problem)
        encoded[_write_text(key, place)] = _encode(item, place.inside(f".{key}"))
    mistakable = len(encoded) == 1 and next(iter(encoded)).startswith("$")
    return {"$object": encoded} if mistakable else encoded


def _write_list(value: list[Any] | tuple[Any, ...], place: _Place) -> list[Any]:
    return [_encode(item, place.inside(f"[{index}]")) for index, item in enumerate(value)]


def _write_secret(value: Secret, place: _Place) -> dict[str, str]:
    encoded = _encode(value.value, place)
    remember(value.value)
    return {"$secret": sealed_text(json.dumps(encoded))}


def _write_value_text(value: str | Promise, place: _Place) -> Any:
    text = _write_text(value, place)
    return {"$secret": sealed_text(json.dumps(text))} if quotes_secret(text) else text


def _write_text(value: str | Promise, place: _Place) -> str:
    text = "".join(str(value))  # a plain str, also of a SafeString: what JSON would give back
    if "\x00" in text:
        problem = "a NUL character, which PostgreSQL cannot store"
        raise place.refuse(problem)
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        problem = "a lone surrogate, which is no character"
        raise place.refuse(problem)
    return text


def _write_int(value: int, place: _Place) -> int:
    if value.bit_length() > MAX_INTEGER_BITS:
        problem = f"a whole number of {value.bit_length():,} bits; {MAX_INTEGER_BITS:,} at most"
        raise place.refuse(problem)
    return int(value)


def _write_float(value: float, place: _Place) -> float:
    if not math.isfinite(value):
        problem = f"{value}, which JSON has no word for"
        raise place.refuse(problem)
    return float(value)


def _write_decimal(value: Decimal, place: _Place) -> dict[str, str]:
    if not value.is_finite():
        problem = f"Decimal {value}, which is no number"
        raise place.refuse(problem)
    return {"$decimal": str(value)}


def _write_enum(value: enum.Enum, place: _Place) -> dict[str, list[str]]:
    kind = type(value)
    member = value.name in kind.__members__ if value.name else False  # else a combination of flags
    if not member or "<" in kind.__qualname__:
        problem = f"{value!r}, which no other process could find by the name of its enum and its own"
        raise place.refuse(problem)
    return {"$enum": [f"{kind.__module__}:{kind.__qualname__}", value.name]}


def _write_row(value: models.Model, place: _Place) -> dict[str, list[str]]:
    if value.pk is None:
        problem = f"an unsaved {value._meta.label}, and only a saved row can be referred to,"
        raise place.refuse(problem)
    return {"$row": [value._meta.label_lower, value._meta.pk.value_to_string(value)]}


def _tagged(tag: str, text_of: Callable[[Any], str]) -> Callable[[Any, _Place], dict[str, str]]:
    return lambda value, _place: {tag: text_of(value)}


# The first that fits: enum members before the str and int they may be, datetime before date.
_WRITERS: tuple[tuple[type | tuple[type, ...], Callable[[Any, _Place], Any]], ...] = (
    (Secret, _write_secret),
    (enum.Enum, _write_enum),
    (int, _write_int),
    (float, _write_float),
    ((str, Promise), _write_value_text),
    (Mapping, _write_mapping),
    ((list, tuple), _write_list),
    (Decimal, _write_decimal),
    (datetime, _tagged("$datetime", datetime.isoformat)),
    (date, _tagged("$date", date.isoformat)),
    (time, _tagged("$time", time.isoformat)),
    (timedelta, _tagged("$timedelta", duration_iso_string)),
    (UUID, _tagged("$uuid", str)),
    (models.Model, _write_row),
)


# --- reading -------------------------------------------------------------------------------------


def _decode_tag(tag: str, content: Any) -> Any:
    reader = _READERS.get(tag)
    if reader is None:
        message = f"The journal holds the unknown type tag {tag!r}; nothing was made of it."
        raise ValueNotSerializable(message)
    return reader(content)


def _read_object(content: dict[str, Any]) -> dict[str, Any]:
    return {key: decode(item) for key, item in content.items()}


def _read_secret(content: Any) -> Any:
    value = decode(json.loads(opened_text(content)))
    remember(value)
    return value


def _read_enum(content: list[str]) -> enum.Enum:
    path, name = content
    module, _, qualname = path.partition(":")
    found: Any = sys.modules.get(module)  # looked up, never imported: the path comes out of the database
    for part in qualname.split("."):
        found = getattr(found, part, None)
    if not (isinstance(found, type) and issubclass(found, enum.Enum)):
        message = f"The journal holds a member of the enum {path}, which this process does not know."
        raise ValueNotSerializable(message)
    return found[name]


def _read_row(content: list[str]) -> models.Model:
    label, key = content
    row: models.Model = apps.get_model(label)._base_manager.get(pk=key)
    return row


def _read_duration(content: str) -> timedelta:
    duration = parse_duration(content)
    if duration is None:
        message = f"The journal holds {content!r} as a duration."
        raise ValueNotSerializable(message)
    return duration


_READERS: dict[str, Callable[[Any], Any]] = {
    "$object": _read_object,
    "$secret": _read_secret,
    "$datetime": datetime.fromisoformat,
    "$date": date.fromisoformat,
    "$time": time.fromisoformat,
    "$timedelta": _read_duration,
    "$decimal": Decimal,
    "$uuid": UUID,
    "$enum": _read_enum,
    "$row": _read_row,
}
