"""`full_clean=True`: a row is validated before it is saved, and what is wrong with it fails the step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import models

from flowstate.engine.entities.images import AnyField, Image, text_of, tracked
from flowstate.exceptions import RowInvalid
from flowstate.workflows.entities import CreateStep, UpdateStep


def validate(step: CreateStep | UpdateStep, row: models.Model) -> None:
    """Call the row's `full_clean()`. Raises `RowInvalid` naming the fields.

    Expressions are left out, with the constraints they are part of: only the database computes them.
    """
    try:
        row.full_clean(
            exclude={field.name for field in row._meta.concrete_fields if _is_expression(row, field)}
        )
    except ValidationError as err:
        which = "A new" if row._state.adding else f"The changed {row.pk} of"
        message = (
            f"{which} {row._meta.label} is not valid in step {step.name}: {'; '.join(_problems(step, err))}"
        )
        raise RowInvalid(message) from err


def validated(
    step: UpdateStep, row: models.Model, assigned: Mapping[AnyField, Any], before: Image
) -> dict[AnyField, Any]:
    """Return what is to be saved of a row after its validation: what was assigned, and what cleaning changed."""
    validate(step, row)
    kept = {
        field: new if _is_expression(row, field) else getattr(row, field.attname)
        for field, new in assigned.items()
    }
    others = [field for field in tracked(row._meta.concrete_fields) if field not in assigned]
    cleaned = [field for field in others if text_of(field, row) != before[field.name]]
    return kept | {field: getattr(row, field.attname) for field in cleaned}


def _is_expression(row: models.Model, field: AnyField) -> bool:
    return hasattr(row.__dict__.get(field.attname), "resolve_expression")


def _problems(step: CreateStep | UpdateStep, err: ValidationError) -> Iterator[str]:
    """Yield field and messages; of what is sensitive no messages, which may quote the value."""
    for name, messages in err.message_dict.items():
        sensitive = step.sensitive is True or (step.sensitive and name in step.sensitive)
        said = "***" if sensitive else " ".join(messages)
        yield said if name == NON_FIELD_ERRORS else f"{name}: {said}"
