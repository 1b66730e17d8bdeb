"""The binding: workflows under names on models, and who may start them."""

from __future__ import annotations

from flowstate.actions.action import Action
from flowstate.actions.actions import Actions, ActionSet, actions_of
from flowstate.actions.authorize import allows, authorize, authorize_standalone
from flowstate.actions.bound import BoundAction
from flowstate.actions.registry import all_actions, find_action, register_actions
from flowstate.actions.resolve import find_workflow
from flowstate.actions.rules import (
    Rule,
    all_of,
    allow_any,
    has_perm,
    in_group,
    is_authenticated,
    is_field,
    is_owner,
    is_staff,
    rule,
)
from flowstate.actions.system import SYSTEM

__all__ = [
    "SYSTEM",
    "Action",
    "ActionSet",
    "Actions",
    "BoundAction",
    "Rule",
    "actions_of",
    "all_actions",
    "all_of",
    "allow_any",
    "allows",
    "authorize",
    "authorize_standalone",
    "find_action",
    "find_workflow",
    "has_perm",
    "in_group",
    "is_authenticated",
    "is_field",
    "is_owner",
    "is_staff",
    "register_actions",
    "rule",
]
