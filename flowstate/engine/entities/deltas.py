"""Deltas: changes of the form "add n to what is there", whose undo is "take n away again"."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import connections, models
from django.db.models import F, Value
from django.db.models.expressions import Combinable, CombinedExpression
from django.db.models.functions import Round

from flowstate.engine.entities.images import AnyField, fits

Amount = int | Decimal | timedelta


def delta_of(field: AnyField, assigned: Any) -> Amount | None:
    """Return n where `assigned` is `F(field) + n`, `n + F(field)` or `F(field) - n`, and n is exact.

    Exact are integers on integer fields, Decimals within the field's places, and timedeltas. None: it is
    to be treated as a plain value.
    """
    if type(assigned) is not CombinedExpression:
        return None
    left, right = assigned.lhs, assigned.rhs
    if assigned.connector == Combinable.ADD and isinstance(left, Value):
        left, right = right, left
    if assigned.connector not in (Combinable.ADD, Combinable.SUB):
        return None
    if type(left) is not F or _column(left) not in (field.name, field.attname) or type(right) is not Value:
        return None
    amount = _exact(field, right.value)
    return -amount if amount is not None and assigned.connector == Combinable.SUB else amount


def _column(expression: Any) -> str:
    """Return what an F names; the stubs do not know."""
    name: str = expression.name
    return name


def can_count(field: AnyField) -> bool:
    """Return whether there are exact deltas on columns of this type at all."""
    return isinstance(field, models.IntegerField | models.DecimalField | models.DurationField)


def _exact(field: AnyField, amount: Any) -> Amount | None:
    if isinstance(field, models.DurationField):
        return amount if isinstance(amount, timedelta) else None
    if isinstance(amount, bool):
        return None
    if isinstance(field, models.IntegerField):
        return int(amount) if isinstance(amount, int) else None
    if isinstance(field, models.DecimalField) and isinstance(amount, int | Decimal):
        number = Decimal(amount)
        return number if fits(field, number) else None
    return None


def opposite(field: AnyField, amount: Amount, using: str) -> Any:
    """Return the expression that takes the amount away from whatever the column holds now."""
    expression = F(field.name) - amount
    if isinstance(field, models.DecimalField) and connections[using].vendor == "sqlite":
        # SQLite computes decimals as floats: 0.3 - 0.1 must come back as 0.2, not as its neighbour.
        places = field.decimal_places or 0
        column = models.DecimalField(max_digits=field.max_digits, decimal_places=places)
        return Round(expression, precision=places, output_field=column)
    return expression
