"""Validates what a start is given, against the serializer of the action or the workflow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from flowstate.exceptions import InputInvalid


def validated(
    serializer: type[Any] | None, given: Any, *, what: str, context: dict[str, Any]
) -> dict[str, Any]:
    """Return the validated input with its defaults.

    Raises `InputInvalid`, whose `errors` name each field: also for fields that are not declared, and for
    any input at all where no serializer is.
    """
    data = {} if given is None else given
    if not isinstance(data, Mapping):
        message = f"{what} takes its input as a mapping of fields, not {type(data).__name__}."
        raise InputInvalid(
            message,
            {"non_field_errors": [_("Expected an object with the fields of the input.")]},
        )
    if serializer is None:
        if data:
            raise _invalid(what, {name: [_("This action takes no input.")] for name in data})
        return {}
    bound = serializer(data=data, context=context)
    unknown = [name for name in data if name not in bound.fields]
    bound.is_valid()
    errors: dict[str, Any] = dict(bound.errors)
    errors.update({name: [_("There is no such field.")] for name in unknown})
    if errors:
        raise _invalid(what, errors)
    return dict(bound.validated_data)


def _invalid(what: str, errors: dict[str, Any]) -> InputInvalid:
    fields = ", ".join(map(str, errors))
    return InputInvalid(f"The input of {what} is not valid: see {fields}.", errors)
