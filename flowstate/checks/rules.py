"""Checks of the rules of actions: E006, E015 and E018, and W005."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from django.contrib.auth import get_user_model
from django.core import checks
from django.core.checks import CheckMessage, Error
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model

from flowstate.actions.bound import BoundAction
from flowstate.actions.rules import Owner, Rule
from flowstate.checks.declared import bindings


def check_rules(**_kwargs: Any) -> list[CheckMessage]:
    """Return which rules can never pass, or can never be asked."""
    found: list[CheckMessage] = []
    for action in bindings():
        for rule in action.action.rule.leaves() if action.action.rule is not None else ():
            found += rule_problems(action, rule, f"the action {action.name!r}")
    return found


def rule_problems(action: BoundAction, rule: Rule, where: str) -> Iterator[CheckMessage]:
    """Yield why a simple rule can never pass, or never be asked; `where` says of what it is."""
    return _owner(action, rule, where) if isinstance(rule, Owner) else _function(action, rule, where)


def _function(action: BoundAction, rule: Rule, where: str) -> Iterator[Error]:
    problem = ""
    call = getattr(rule.function, "__call__", None)  # noqa: B004 - asked whether it is async, not whether it is there
    if inspect.iscoroutinefunction(rule.function) or inspect.iscoroutinefunction(call):
        problem = "is async, so it never returns True"
    elif not _takes_two(rule.function):
        problem = "cannot be called with (user, entity)"
    if problem:
        yield Error(
            f"{rule} of {where} {problem}: nobody passes it.",
            hint="Write it as def fn(user, entity) -> bool.",
            obj=action.model,
            id="flowstate.E006",
        )


def _takes_two(function: Any) -> bool:
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        return False
    except ValueError:
        return True  # written in C, without a signature to look at
    return True


def _owner(action: BoundAction, rule: Owner, where: str) -> Iterator[CheckMessage]:
    if not action.action.detail:
        yield Error(
            f"{rule} of {where} can never pass: a collection action has no row.",
            hint="Ask for something else, as has_perm(...), or declare detail=True.",
            obj=action.model,
            id="flowstate.E015",
        )
        return
    try:
        end = end_of(action.model, rule.path)
    except FieldDoesNotExist as error:
        yield Error(
            f"{rule} of {where} can never pass: {error}",
            hint="Correct the path; relations are joined by two underscores.",
            obj=action.model,
            id="flowstate.E018",
        )
        return
    if end is not None and not issubclass(get_user_model(), end._meta.concrete_model or end):
        yield checks.Warning(
            f"{rule} of {where} leads to {end._meta.label}, which is not the user model, so nobody "
            "passes it.",
            hint="Go on to the user, as is_owner('customer__user').",
            obj=action.model,
            id="flowstate.W005",
        )


def end_of(model: type[Model], path: str) -> type[Model] | None:
    """Return the model that the path leads to; None where only a row can tell. Raises FieldDoesNotExist."""
    *through, last = path.split("__")
    for part in [*through, last]:
        if part in {"pk", model._meta.pk.name}:
            return model
        try:
            field = model._meta.get_field(part)
        except FieldDoesNotExist:
            if hasattr(model, part):
                return None  # a property or the like
            raise
        if field.one_to_many or field.many_to_many:
            message = f"{model.__name__}.{part} leads to many rows"
            raise FieldDoesNotExist(message)
        target = field.related_model
        if not isinstance(target, type):
            return None if field.is_relation else model
        model = target
    return model
