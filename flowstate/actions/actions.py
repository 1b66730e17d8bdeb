"""Actions: the attribute of a model that holds its actions, merged along the model's bases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, NoReturn, TypeAlias, TypeGuard
from weakref import WeakKeyDictionary

from django.db.models import Model
from django.db.models.signals import class_prepared

from flowstate.actions.action import Action
from flowstate.actions.bound import BoundAction
from flowstate.actions.names import check_name
from flowstate.exceptions import DeclarationInvalid

Merged: TypeAlias = Mapping[str, BoundAction]


class ActionSet:
    """The actions of a model, or of one row: by attribute, by index, by iterating over their names."""

    __slots__ = ("_actions", "_entity", "_model")

    def __init__(self, model: type[Model], actions: Merged, entity: Model | None) -> None:
        self._model = model
        self._actions = actions
        self._entity = entity

    def __getattr__(self, name: str) -> BoundAction:
        if name.startswith("_"):
            raise AttributeError(name)  # copy and pickle ask for such before there is anything to look in
        if name not in self._actions:
            raise AttributeError(self._unknown(name))
        return self[name]

    def __getitem__(self, name: str) -> BoundAction:
        if name not in self._actions:
            raise KeyError(self._unknown(name))
        action = self._actions[name]
        return action if self._entity is None else action.bind(self._entity)

    def __iter__(self) -> Iterator[str]:
        return iter(self._actions)

    def __len__(self) -> int:
        return len(self._actions)

    def __contains__(self, name: object) -> bool:
        return name in self._actions

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._actions]

    def __repr__(self) -> str:
        where = self._model.__name__ if self._entity is None else f"{self._model.__name__} {self._entity.pk}"
        return f"<actions of {where}: {', '.join(self._actions) or 'none'}>"

    def names(self) -> list[str]:
        """Return the names of all actions, in the order of their declaration, the parents' first."""
        return list(self._actions)

    def available(self, user: Any) -> list[BoundAction]:
        """Return what this user may do now: with this row, or on the class with the collection."""
        actions = (self[name] for name in self._actions)
        on_row = self._entity is not None
        return [action for action in actions if action.action.detail is on_row and action.allows(user)]

    def _unknown(self, name: str) -> str:
        close = get_close_matches(name, self._actions)
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        known = f"there are {', '.join(self._actions)}" if self._actions else "it has none"
        return f"{self._model.__name__} has no action {name!r}; {known}.{hint}"


class Actions:
    """`actions = Actions(checkout=Action(...), ...)` on a model, an abstract model or a plain mixin.

    Actions merge along the model's bases by name, the child's win. Raises DeclarationInvalid for names that
    cannot be and for a second attribute of this kind on one model.
    """

    def __init__(self, **actions: Action) -> None:
        for name, action in actions.items():
            check_name(name)
            _check_action(name, action)
        self.attribute = ""
        self.declared: dict[str, Action] = actions

    def contribute_to_class(self, model: type[Model], name: str) -> None:
        """Become the model's attribute. Django calls this, and lets its errors through as they are."""
        mine = Actions(**self.declared)  # one Actions object may be written on two models
        mine._attach(model, name)
        setattr(model, name, mine)

    def __set_name__(self, owner: type, name: str) -> None:
        self._attach(owner, name)  # a plain mixin: models come in by `contribute_to_class`

    def __get__(self, instance: Model | None, owner: type[Model]) -> ActionSet:
        return ActionSet(owner, actions_of(owner), instance)

    def __set__(self, instance: Model, value: object) -> NoReturn:
        message = (
            f"{type(instance).__name__}.{self.attribute} holds the model's actions and cannot be assigned."
        )
        raise AttributeError(message)

    def _attach(self, owner: type, name: str) -> None:
        for klass in owner.__mro__:
            other = declarations.get(klass)
            if other is not None and (klass is owner or other.attribute != name):
                message = (
                    f"{owner.__name__} has its actions in {klass.__name__}.{other.attribute} already; "
                    f"write those of {name!r} into one Actions(...) of that name."
                )
                raise DeclarationInvalid(message)
        self.attribute = name
        declarations[owner] = self
        _merged.clear()


declarations: WeakKeyDictionary[type, Actions] = WeakKeyDictionary()
"""The Actions of each class that has its own, also where another attribute has taken their place since."""

_merged: dict[type[Model], Merged] = {}


def actions_of(model: type[Model]) -> Merged:
    """Return the actions of a model by name, not bound to a row, whatever the attribute is called."""
    merged = _merged.get(model)
    if merged is None:
        merged = _merged[model] = MappingProxyType(_merge(model))
    return merged


def extend(model: type[Model], attribute: str, actions: Mapping[str, Action]) -> None:
    """Add actions to a model of somebody else. Raises DeclarationInvalid where the attribute is taken."""
    own = declarations.get(model)
    if own is None:
        present = next((declarations[klass] for klass in model.__mro__ if klass in declarations), None)
        name = attribute if present is None else present.attribute
        if present is None and hasattr(model, name):
            message = (
                f"{model._meta.label}.{name} is something else: register its actions under another attribute."
            )
            raise DeclarationInvalid(message)
        Actions().contribute_to_class(model, name)
        own = declarations[model]
    own.declared = {**own.declared, **actions}
    forget_merged()


def is_model(klass: object) -> TypeGuard[type[Model]]:
    """Return whether this is a model, abstract or not."""
    return isinstance(klass, type) and issubclass(klass, Model) and klass is not Model


def forget_merged(**_signal: Any) -> None:
    """Merge anew at the next look: something was declared, or a model was made."""
    _merged.clear()


class_prepared.connect(forget_merged, dispatch_uid="flowstate.actions.forget_merged")


def _check_action(name: str, action: object) -> None:
    if not isinstance(action, Action):
        message = f"Actions({name}=...) takes an Action, not {action!r}."
        raise DeclarationInvalid(message)


def _merge(model: type[Model]) -> dict[str, BoundAction]:
    merged: dict[str, BoundAction] = {}
    for klass in reversed(model.__mro__):
        declared = declarations.get(klass)
        for name, action in declared.declared.items() if declared is not None else ():
            merged[name] = BoundAction(name, action, _declaring_model(model, klass, name))
    return merged


def _declaring_model(model: type[Model], klass: type, name: str) -> type[Model]:
    """Return the concrete model that runs of an action are filed under.

    That is the class that declares it; for a proxy the model behind it; for an abstract model or a mixin the
    first concrete model that got it, so that a multi-table child shares the runs of its parent.
    """
    if is_model(klass) and not klass._meta.abstract:
        return klass._meta.concrete_model or klass
    heirs = [
        heir
        for heir in model.__mro__
        if is_model(heir) and not heir._meta.abstract
        if issubclass(heir, klass) and _declarer(heir, name) is klass
    ]
    first = heirs[-1] if heirs else model
    return first._meta.concrete_model or first


def _declarer(model: type[Model], name: str) -> type | None:
    for klass in model.__mro__:
        declared = declarations.get(klass)
        if declared is not None and name in declared.declared:
            return klass
    return None
