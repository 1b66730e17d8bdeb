"""Which fields of an input are secret: those that its serializer calls write-only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from flowstate.models.secrets import Secret


def marked(given: Any, serializer: Any) -> Any:
    """Return validated data with the values of write-only fields marked as secret, in nested serializers too."""
    if isinstance(serializer, serializers.ListSerializer):
        return [marked(item, serializer.child) for item in given] if isinstance(given, list) else given
    if not isinstance(given, Mapping) or not isinstance(serializer, serializers.Serializer):
        return given
    found = dict(given)
    for field in serializer.fields.values():
        if field.source_attrs:  # none where a field is spread over its serializer, by source="*"
            _mark(found, field, field.source_attrs)
    return found


def _mark(found: dict[str, Any], field: Any, path: list[str]) -> None:
    name, *rest = path
    if name not in found:
        return
    if rest:
        if isinstance(found[name], Mapping):
            found[name] = dict(found[name])
            _mark(found[name], field, rest)
    elif field.write_only and not isinstance(field, serializers.HiddenField):  # which nobody sends
        found[name] = found[name] if found[name] is None else Secret(found[name])
    else:
        found[name] = marked(found[name], field)
