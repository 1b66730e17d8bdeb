"""Find workflows by the names that runs store.

A name out of the journal is data that somebody may have tampered with, so it never decides what is imported at
will: it is looked up among registered workflows and declared actions, then as the path of a class, for which a
module is imported only if it belongs to an installed app. Whatever is found must be a Workflow of exactly that
name.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

from django.apps import apps

from flowstate.actions.registry import all_actions, find_action
from flowstate.exceptions import DeclarationInvalid, WorkflowUnknown
from flowstate.workflows import Declaration, Workflow, names


def find_workflow(name: str) -> type[Workflow]:
    """Return the workflow that runs under this name. Raises WorkflowUnknown, also for a module that fails."""
    for look in (names.holder_of, _of_action, _at_path, _named_by_action):
        workflow = look(name)
        declaration = None if workflow is None else declaration_of(workflow)
        if workflow is not None and declaration is not None and declaration.name == name:
            return workflow
    message = (
        f"No workflow is named {name!r} in this process. Classes are found in the modules of installed apps and "
        "where they are imported already, built workflows by being registered at import."
    )
    raise WorkflowUnknown(message)


def declaration_of(workflow: type[Workflow]) -> Declaration | None:
    """Return what the class declares; None for one without steps, which is a parent of others and never runs."""
    found = vars(workflow).get("declaration")
    return found if isinstance(found, Declaration) and found.steps else None


def is_installed(module: str) -> bool:
    """Return whether a module of this name would belong to an installed app."""
    return any(f"{module}.".startswith(f"{config.name}.") for config in apps.get_app_configs())


def _of_action(name: str) -> type[Workflow] | None:
    try:
        return find_action(name).workflow
    except (WorkflowUnknown, ImportError, DeclarationInvalid):
        return None


def _at_path(name: str) -> type[Workflow] | None:
    """Look the path up; a class inside a class has a module that is further to the left."""
    parts = name.split(".")
    if not all(part.isidentifier() for part in parts):
        return None
    for end in range(len(parts) - 1, 0, -1):
        module = _module(".".join(parts[:end]))
        if module is not None:
            return _inside(module, parts[end:])
    return None


def _module(path: str) -> ModuleType | None:
    loaded = sys.modules.get(path)
    if loaded is not None or not is_installed(path):
        return loaded
    try:
        return import_module(path)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{path}.".startswith(f"{error.name}."):
            return None  # this one is not there; what it needs is another matter
        raise _broken(path, error) from error
    except Exception as error:
        raise _broken(path, error) from error


def _broken(path: str, error: Exception) -> WorkflowUnknown:
    return WorkflowUnknown(f"The module {path!r} cannot be imported: {type(error).__name__}: {error}")


def _inside(module: ModuleType, names: list[str]) -> type[Workflow] | None:
    # By vars() and not getattr(): a module or class may run code when asked for an attribute.
    found: object = module
    for name in names:
        found = vars(found).get(name) if isinstance(found, (ModuleType, type)) else None
    if not (isinstance(found, type) and issubclass(found, Workflow)):
        return None
    # A class of `__main__` is found here, but each process has a `__main__` of its own.
    declaration = declaration_of(found)
    return found if declaration is not None and declaration.importable else None


def _named_by_action(name: str) -> type[Workflow] | None:
    """Look among the workflows of declared actions: with `Meta.name` they are not where their name says."""
    for action in all_actions():
        try:
            workflow = action.workflow
        except (ImportError, DeclarationInvalid):
            continue  # the system checks report it
        declaration = declaration_of(workflow)
        if declaration is not None and declaration.name == name:
            return workflow
    return None
