"""Journaled values as JSON for clients: without type tags, and without a query."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.utils.duration import duration_string

from flowstate.exceptions import ValueNotSerializable
from flowstate.models.values import decode
from flowstate.redaction import HIDDEN


def plain(value: Any) -> Any:
    """Return what DRF's renderers can write of a journaled value.

    A row reference becomes `{"model": "shop.order", "pk": "7"}`, an enum member its value. A tag that this
    process cannot read stays as it is: one such row must not take a whole list away.
    """
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        [(tag, content)] = value.items()
        if tag.startswith("$"):
            return _plain_tag(tag, content)
    return {key: plain(item) for key, item in value.items()}


def _plain_tag(tag: str, content: Any) -> Any:
    try:
        shown = _SHOWN.get(tag)
        return decode({tag: content}) if shown is None else shown(content)
    # What readers raise for content that is not of their tag, and for code that is no longer there.
    except (ValueNotSerializable, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return {tag: content}


def _object(content: dict[str, Any]) -> dict[str, Any]:
    return {key: plain(item) for key, item in content.items()}


def _row(content: list[str]) -> dict[str, str]:
    model, key = content
    return {"model": model, "pk": key}


def _member(content: list[str]) -> Any:
    value = decode({"$enum": content}).value
    return value if isinstance(value, str | int | float | None) else content[1]


# All others are what DRF's encoder makes of the decoded value.
_SHOWN: dict[str, Callable[[Any], Any]] = {
    "$object": _object,
    "$row": _row,
    "$secret": lambda _content: HIDDEN,
    "$enum": _member,
    "$decimal": lambda content: str(decode({"$decimal": content})),  # the encoder would make a float of it
    "$timedelta": lambda content: duration_string(decode({"$timedelta": content})),
}
