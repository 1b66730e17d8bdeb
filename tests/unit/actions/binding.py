"""Actions on an installed model, for the time of one test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db.models import Model

from flowstate.actions import Action, register_actions
from flowstate.actions.actions import declarations, forget_merged
from flowstate.actions.registry import registered


@contextmanager
def bound(model: type[Model], attribute: str = "actions", /, **actions: Action) -> Iterator[None]:
    register_actions(model, attribute, **actions)
    try:
        yield
    finally:
        del declarations[model], registered[model]
        if attribute in vars(model):
            delattr(model, attribute)
        forget_merged()
