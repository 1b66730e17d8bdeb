"""The registry: lets workflows be found by a name which is not the path of a class."""

from __future__ import annotations

from typing import TypeVar

from flowstate.exceptions import DeclarationInvalid
from flowstate.workflows import names
from flowstate.workflows.workflow import Workflow

W = TypeVar("W", bound=type[Workflow])


def register(workflow: W) -> W:
    """Let runs of this workflow be found by its name, and return it; also a class decorator.

    Needed for workflows that are not at the top of a module, as built ones: call it at import, in each process.
    Raises DeclarationInvalid for one without steps and where another workflow has the name.
    """
    given: object = workflow
    if not (isinstance(given, type) and issubclass(given, Workflow)):
        message = f"register takes a Workflow class, not {given!r}."
        raise DeclarationInvalid(message)
    names.hold(workflow.declaration.name, workflow)
    return workflow


def registered(name: str) -> type[Workflow] | None:
    """Return the workflow that holds this name, registered or by its Meta; None if none does."""
    return names.holder_of(name)
