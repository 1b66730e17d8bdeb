"""The registry: actions by the key that runs store, and actions on models of others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from django.apps import apps
from django.db.models import Model

from flowstate.actions.action import Action
from flowstate.actions.actions import Actions, actions_of, declarations, extend, is_model
from flowstate.actions.bound import BoundAction
from flowstate.exceptions import DeclarationInvalid, WorkflowUnknown

# Which set of installed apps each action was registered for: `ready()` runs again when a test replaces it.
registered: WeakKeyDictionary[type[Model], dict[str, Mapping[str, Any]]] = WeakKeyDictionary()


def register_actions(model: type[Model], attribute: str = "actions", /, **actions: Action) -> None:
    """Add actions to a model that is not yours, from `AppConfig.ready()`: `register_actions(User, greet=...)`.

    `attribute` is where they go if the model has none yet. Raises DeclarationInvalid where the model has an
    action of that name itself or from another app.
    """
    if not is_model(model):
        message = f"register_actions takes a model class, not {model!r}."
        raise DeclarationInvalid(message)
    Actions(**actions)  # the same refusals as in a class body
    before = registered.setdefault(model, {})
    own = declarations.get(model)
    for name in actions:
        if own is None or name not in own.declared:
            continue
        if before.get(name) in (None, apps.app_configs):
            message = f"{model._meta.label} has an action {name!r} of its own or from another app."
            raise DeclarationInvalid(message)
    extend(model, attribute, actions)
    before.update(dict.fromkeys(actions, apps.app_configs))


def find_action(key: str) -> BoundAction:
    """Return the action with this key, without a row. Raises WorkflowUnknown; imports nothing."""
    app_model, _, name = key.rpartition(".")
    try:
        model = apps.get_model(app_model)
    except (LookupError, ValueError):
        model = None
    for candidate in () if model is None else (model, *_proxies(model)):
        found = actions_of(candidate).get(name)
        if found is not None and found.key == key:
            return found
    message = f"No installed model declares the action {key!r}."
    raise WorkflowUnknown(message)


def _proxies(model: type[Model]) -> Iterator[type[Model]]:
    """Yield the proxies of a model: what they declare has the model's key, but is not the model's own."""
    for other in apps.get_models():
        if other._meta.proxy and other._meta.concrete_model is model:
            yield other


def all_actions() -> Iterator[BoundAction]:
    """Yield every action of the installed models once, without a row, in the order of the models."""
    seen: set[str] = set()
    for model in apps.get_models():
        for action in actions_of(model).values():
            if action.key not in seen:
                seen.add(action.key)
                yield action
