"""Authority: the one place that every way in asks whether a user may start something."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstate.actions.system import SYSTEM
from flowstate.exceptions import ActionDenied

if TYPE_CHECKING:
    from django.db.models import Model

    from flowstate.actions.bound import BoundAction
    from flowstate.workflows import Workflow


def allows(action: BoundAction, user: Any, entity: Model | None) -> bool:
    """Return whether the action's rules let this user do it with this row; without rules nobody may.

    The row is not shown to the rules of a collection action, and an action on a row needs one.
    """
    if user is SYSTEM:
        return True
    if user is None or action.action.rule is None or (action.action.detail and entity is None):
        return False
    return action.action.rule(user, entity if action.action.detail else None)


def authorize(action: BoundAction, user: Any, entity: Model | None) -> None:
    """Raise ActionDenied, with what to do about it where the program is at fault, unless `allows`."""
    if allows(action, user, entity):
        return
    if user is None:
        message = f"{action.key} was started without a user: pass user=, or SYSTEM for the program itself."
        raise ActionDenied(message)
    if action.action.rule is None:
        message = (
            f"{action.key} has no rules, so nobody may do it: declare rules=, with allow_any for everybody."
        )
        raise ActionDenied(message)
    where = f" with row {entity.pk}" if action.action.detail and entity is not None else ""
    message = f"{_who(user)} may not do {action.key}{where}."
    raise ActionDenied(message)


def authorize_standalone(workflow: type[Workflow], user: Any) -> None:
    """Raise ActionDenied unless SYSTEM starts this workflow: without an action it has no rules to ask."""
    if user is SYSTEM:
        return
    message = (
        f"{workflow.declaration.name} was started without an action, so only SYSTEM may: "
        "pass user=SYSTEM, or bind it to a model with rules and start that action."
    )
    raise ActionDenied(message)


def _who(user: Any) -> str:
    # The key and not str(user): names do not belong in logs, and a model's __str__ may query.
    key = getattr(user, "pk", None)
    return "An anonymous user" if key is None else f"User {key}"
