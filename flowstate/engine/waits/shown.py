"""What people are shown: read now, written down, and by its digest comparable later."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db.models import Field, Model
from django.utils.formats import localize
from django.utils.text import capfirst
from django.utils.translation import gettext

from flowstate.models.values import encode, refuse_large
from flowstate.workflows.approvals import ApprovalStep
from flowstate.workflows.context import Context
from flowstate.workflows.shown import ShownField


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What was read: of each thing its `name`, `label`, encoded `value`, and `text` for people."""

    items: list[dict[str, Any]]
    digest: str


def shown_now(step: ApprovalStep, ctx: Context[Any]) -> Shown:
    """Return what the step shows now. Raises what its functions raise, `EntityGone` and `ValueNotSerializable`."""
    items = [_item(step, field, ctx) for field in step.shown]
    refuse_large(items, f"What step {step.name} shows")
    return Shown(items=items, digest=digest_of(items))


def digest_of(items: Sequence[dict[str, Any]]) -> str:
    """Return what stands for the values, whatever their labels and texts: the same for the same."""
    values = {item["name"]: item["value"] for item in items}
    return hashlib.sha256(json.dumps(values, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def values_of(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the values by name, encoded."""
    return {item["name"]: item["value"] for item in items}


def texts_of(items: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """Return what people read of it."""
    return [{key: str(item[key]) for key in ("name", "label", "text")} for item in items]


def _item(step: ApprovalStep, field: ShownField, ctx: Context[Any]) -> dict[str, Any]:
    value = field.value(ctx)
    row, column = (None, None) if callable(field.source) else _column(ctx.entity, field.source)
    return {
        "name": field.name,
        "label": field.label or _label(field, column),
        "value": encode(value, f"What step {step.name} shows as {field.name!r}"),
        "text": _text(value, row, column),
    }


def _column(row: Any, path: str) -> tuple[Any, Field[Any, Any] | None]:
    """Return the row that holds the last part of the path, and its field, where there are such."""
    *through, last = path.split("__")
    for part in through:
        row = getattr(row, part, None)
    if not isinstance(row, Model):
        return None, None
    try:
        field = row._meta.get_field(last)
    except FieldDoesNotExist:
        return None, None
    return row, field if isinstance(field, Field) else None


def _label(field: ShownField, column: Field[Any, Any] | None) -> str:
    if column is not None:
        return str(capfirst(column.verbose_name))
    return str(capfirst(field.name.replace("__", " ").replace("_", " ")))


def _text(value: Any, row: Any, column: Field[Any, Any] | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    if column is not None and column.choices:
        return str(getattr(row, f"get_{column.name}_display")())
    return str(localize(value))
