"""What there is to check: every binding of an action, and every workflow that this process knows."""

from __future__ import annotations

from collections.abc import Iterator

from django.apps import apps

from flowstate.actions.actions import actions_of
from flowstate.actions.bound import BoundAction
from flowstate.actions.resolve import declaration_of, is_installed
from flowstate.exceptions import DeclarationInvalid
from flowstate.workflows import Workflow


def bindings() -> list[BoundAction]:
    """Return the actions of all installed models, those of a proxy that share a key with others too."""
    found = {
        (action.key, id(action.action)): action
        for model in apps.get_models()
        for action in actions_of(model).values()
    }
    return list(found.values())


def workflow_of(action: BoundAction) -> type[Workflow] | None:
    """Return the action's workflow; None where it has no steps or cannot be had, which is reported elsewhere."""
    try:
        workflow = action.workflow
    except (ImportError, DeclarationInvalid):
        return None
    return None if declaration_of(workflow) is None else workflow


def bound_workflows() -> Iterator[tuple[BoundAction, type[Workflow]]]:
    """Yield each action whose workflow can be had, with it."""
    for action in bindings():
        workflow = workflow_of(action)
        if workflow is not None:
            yield action, workflow


def workflows() -> list[type[Workflow]]:
    """Return the workflows of all actions, and the loaded ones that the modules of installed apps define."""
    bound = (workflow for _action, workflow in bound_workflows())
    loaded = (workflow for workflow in subclasses(Workflow) if _is_of_an_app(workflow))
    return list(dict.fromkeys([*bound, *loaded]))


def _is_of_an_app(workflow: type[Workflow]) -> bool:
    # What was built by a call and is not registered runs inline only, and may be long forgotten.
    declaration = declaration_of(workflow)
    return declaration is not None and declaration.findable and is_installed(workflow.__module__)


def subclasses(workflow: type[Workflow]) -> Iterator[type[Workflow]]:
    """Yield the loaded classes that derive from a workflow, directly or not, abstract ones too."""
    for child in workflow.__subclasses__():
        yield child
        yield from subclasses(child)
