"""What must be right before a run exists: its input fits the serializer, and its workflow does not refuse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from flowstate.engine.calls.contexts import run_context_of
from flowstate.engine.calls.marks import marked
from flowstate.engine.execution import Execution
from flowstate.exceptions import FlowstateError, InputInvalid, StartRefused, ValueNotSerializable
from flowstate.models.values import encode, refuse_large
from flowstate.workflows.functions import call


def validated(
    serializer: type[Any] | None, given: Any, *, what: str, context: dict[str, Any]
) -> dict[str, Any]:
    """Return the validated input with its defaults, the values of write-only fields as secrets.

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
    return dict(marked(bound.validated_data, bound))


def _invalid(what: str, errors: dict[str, Any]) -> InputInvalid:
    fields = ", ".join(map(str, errors))
    return InputInvalid(f"The input of {what} is not valid: see {fields}.", errors)


def encoded_input(given: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the input as the journal holds it. Raises `InputInvalid` naming the field that it could not hold."""
    field, encoded = "", {}
    try:
        for field, value in given.items():
            encoded[field] = encode(value, f"The input {field!r} of {name}")
        field = "non_field_errors"
        refuse_large(encoded, f"The input of {name}")
    except ValueNotSerializable as err:
        raise InputInvalid(str(err), {field: [str(err)]}) from err
    return encoded


def ask_workflow(execution: Execution) -> None:
    """Let `should_run` and `before_start` refuse. Raises `StartRefused`."""
    if execution.declaration.hooks.isdisjoint({"should_run", "before_start"}):
        return
    workflow, name = execution.workflow(), execution.run.label
    wanted = False
    try:
        with transaction.atomic(
            using=execution.using
        ):  # a refusal leaves nothing behind, nor what a hook wrote
            wanted = bool(call(workflow.should_run, run_context_of(execution)))
            if wanted:
                call(workflow.before_start, run_context_of(execution))
    except FlowstateError:
        raise
    except Exception as err:
        message = f"{name} did not start: {str(err) or type(err).__name__}"
        raise StartRefused(message) from err
    if not wanted:
        message = f"{name} did not start: its should_run said no."
        raise StartRefused(message)
