"""Checks of actions on models: E001 to E005, E007, E008 and E017."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error
from django.db.models import Model
from rest_framework.serializers import BaseSerializer

from flowstate.actions.actions import Actions, actions_of, declarations
from flowstate.actions.bound import BoundAction
from flowstate.actions.resolve import declaration_of
from flowstate.checks.declared import bindings
from flowstate.exceptions import DeclarationInvalid
from flowstate.workflows import Workflow
from flowstate.workflows.declaration import outline_of


def check_bindings(**_kwargs: Any) -> list[CheckMessage]:
    """Return what is wrong with actions and the attributes that hold them."""
    found: list[CheckMessage] = []
    for model in apps.get_models():
        found += [*_attributes(model), *_paths(model)]
    for action in bindings():
        found += [*_rules(action), *_workflow(action), *_serializers(action)]
    return [*found, *_keys(bindings())]


def _attributes(model: type[Model]) -> Iterator[Error]:
    own = [declarations[klass] for klass in model.__mro__ if klass in declarations]
    names = dict.fromkeys(actions.attribute for actions in own)
    if len(names) > 1:
        yield Error(
            f"The bases of {model.__name__} hold actions under several names: {', '.join(names)}.",
            hint="Give the attribute one name in all of them.",
            obj=model,
            id="flowstate.E017",
        )
    fields = {field.name for field in model._meta.get_fields()}
    for name in names:
        there = inspect.getattr_static(model, name, None)
        if isinstance(there, Actions) and name not in fields:
            continue
        yield Error(
            f"{model.__name__}.{name} holds the model's actions, but a field, a related name or another attribute "
            "has taken its place.",
            hint=f"Rename that one, or the actions: flows = Actions(...) instead of {name} = Actions(...).",
            obj=model,
            id="flowstate.E002",
        )


def _paths(model: type[Model]) -> Iterator[Error]:
    for one, other in combinations(actions_of(model).values(), 2):
        same = (one.path, one.action.detail) == (other.path, other.action.detail)
        methods = [method for method in one.action.methods if method in other.action.methods]
        if same and methods:
            yield Error(
                f"The actions {one.name!r} and {other.name!r} both answer {' and '.join(methods)} at {one.path!r}.",
                hint="Give one of them another path= or other methods=.",
                obj=model,
                id="flowstate.E007",
            )


def _rules(action: BoundAction) -> Iterator[Error]:
    if action.action.rule is None:
        yield Error(
            f"The action {action.name!r} has no rules, so nobody may do it.",
            hint="Declare rules=[...], with allow_any if it is for everybody.",
            obj=action.model,
            id="flowstate.E001",
        )


def _workflow(action: BoundAction) -> Iterator[Error]:
    try:
        workflow = action.workflow
    except ImportError as error:
        yield Error(
            f"The workflow of the action {action.name!r} cannot be imported: {error}",
            hint="Correct the dotted path, or what fails while its module is imported.",
            obj=action.model,
            id="flowstate.E003",
        )
        return
    except DeclarationInvalid as error:
        yield Error(
            f"The workflow of the action {action.name!r} cannot be used: {error}",
            hint="Name a subclass of flowstate.Workflow, or correct its declaration.",
            obj=action.model,
            id="flowstate.E004",
        )
        return
    if declaration_of(workflow) is None:
        yield Error(
            f"The workflow of the action {action.name!r} {_lacking(workflow)}.",
            hint="Declare that, or name a subclass that does.",
            obj=action.model,
            id="flowstate.E005",
        )


def _lacking(workflow: type[Workflow]) -> str:
    outline = outline_of(workflow)
    if outline is None:
        return "has no steps"
    abstract = ", ".join(step.name for step in outline.steps if step.abstract)
    return f"does not say what its abstract steps do ({abstract})"


def _serializers(action: BoundAction) -> Iterator[Error]:
    for which in ("input", "output"):
        try:
            given: object = action.action.serializer(which)
        except ImportError as error:
            yield Error(
                f"{which}= of the action {action.name!r} cannot be imported: {error}",
                hint="Correct the dotted path, or what fails while its module is imported.",
                obj=action.model,
                id="flowstate.E003",
            )
            continue
        if given is not None and not (isinstance(given, type) and issubclass(given, BaseSerializer)):
            yield Error(
                f"{which}= of the action {action.name!r} is {given!r}, which is not a serializer class.",
                hint="Give a subclass of rest_framework.serializers.Serializer or its dotted path.",
                obj=action.model,
                id="flowstate.E004",
            )


def _keys(actions: Iterable[BoundAction]) -> Iterator[Error]:
    first: dict[str, BoundAction] = {}
    for action in actions:
        other = first.setdefault(action.key, action)
        if other is not action:
            yield Error(
                f"Two declarations of the action {action.key} share its key, since a proxy has no runs of its own: "
                "a worker could not tell which one a run belongs to.",
                hint="Give the proxy's action another name.",
                obj=action.model,
                id="flowstate.E008",
            )
