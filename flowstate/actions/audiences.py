"""Who a rule is for, in words that an index finds: what a list of "mine to decide" is read by.

A rule that is known says for whom it may pass; all others may be for everybody, and are asked row by row.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings as django_settings

from flowstate.actions.rules import (
    AllOf,
    AnyOf,
    HasPerm,
    InGroup,
    Not,
    Owner,
    Rule,
    allow_any,
    is_authenticated,
    is_staff,
)

logger = logging.getLogger("flowstate.rules")

EVERYBODY: Final = "everybody"
STAFF: Final = "staff"
_GROUP, _PERMISSION, _USER = "group ", "permission ", "user "

LONGEST_KEY: Final = 255

_OF_DJANGO = "django.contrib.auth.backends."


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """For whom a rule may pass: nobody else needs to be asked."""

    keys: frozenset[str]
    exact: bool
    """Whether it passes for all of them, whatever the row."""

    @property
    def breadth(self) -> int:
        """How many people that may be, roughly: the higher, the more."""
        return max((_breadth(key) for key in self.keys), default=0)


def audience_of(rule: Rule, entity: Any) -> Audience:
    """Return whom the rule is for with this row, as it is now. Never raises for what the row holds."""
    if isinstance(rule, AnyOf):
        parts = [audience_of(part, entity) for part in rule.parts]
        return Audience(
            keys=frozenset().union(*(part.keys for part in parts)), exact=all(part.exact for part in parts)
        )
    if isinstance(rule, AllOf):
        narrowest = min((audience_of(part, entity) for part in rule.parts), key=lambda part: part.breadth)
        return Audience(keys=narrowest.keys, exact=False)
    if isinstance(rule, Not):
        return _everybody(exact=False)
    return _of_leaf(rule, entity)


def user_key(pk: Any) -> str:
    """Return the word for one person."""
    return f"{_USER}{pk}"[:LONGEST_KEY]


def is_of_person(key: str) -> bool:
    """Return whether the word stands for one person alone."""
    return key.startswith(_USER)


def belongs_to(key: str, user: Any, groups: frozenset[str]) -> bool:
    """Return whether the user is one of those that the word stands for; `groups` are the names of the user's."""
    if key.startswith(_USER):
        return key == user_key(user.pk)
    if key.startswith(_GROUP):
        return key.removeprefix(_GROUP) in groups
    if key.startswith(_PERMISSION):
        has_perm = getattr(user, "has_perm", None)  # not every project's users have permissions
        return has_perm is not None and bool(has_perm(key.removeprefix(_PERMISSION)))
    return bool(getattr(user, "is_staff", False)) if key == STAFF else True


def _of_leaf(rule: Rule, entity: Any) -> Audience:
    if isinstance(rule, Owner):
        return _of_owner(rule, entity)
    if isinstance(rule, InGroup):
        return _known(f"{_GROUP}{rule.name}")
    if isinstance(rule, HasPerm):
        # Other backends may give a permission for single rows, which no index of ours knows.
        return _known(f"{_PERMISSION}{rule.permission}") if _only_djangos() else _everybody(exact=False)
    if rule is is_staff:
        return _known(STAFF)
    return _everybody(exact=rule is is_authenticated or rule is allow_any)


def _of_owner(rule: Owner, entity: Any) -> Audience:
    """Return the person that the row names now; the row may come to name another one, so it is asked again."""
    try:
        key = rule.key(entity)
    except Exception:
        logger.warning("rule=%s names nobody because it raised", rule, exc_info=True)
        key = None
    return Audience(keys=frozenset() if key is None else frozenset({user_key(key)}), exact=False)


def _known(key: str) -> Audience:
    return Audience(keys=frozenset({key}), exact=True) if len(key) <= LONGEST_KEY else _everybody(exact=False)


def _everybody(*, exact: bool) -> Audience:
    return Audience(keys=frozenset({EVERYBODY}), exact=exact)


def _only_djangos() -> bool:
    return all(path.startswith(_OF_DJANGO) for path in django_settings.AUTHENTICATION_BACKENDS)


def _breadth(key: str) -> int:
    if key.startswith(_USER):
        return 1
    if key.startswith(_GROUP):
        return 2
    if key.startswith(_PERMISSION):
        return 3
    return 4 if key == STAFF else 5
