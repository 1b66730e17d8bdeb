"""For whom a rule is: words that an index finds, and never fewer people than pass."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from flowstate import (
    Rule,
    allow_any,
    has_perm,
    in_group,
    is_authenticated,
    is_field,
    is_owner,
    is_staff,
    rule,
)
from flowstate.actions.audiences import EVERYBODY, STAFF, Audience, audience_of, belongs_to

OPAQUE = rule(lambda user, entity: True)
ENTITY = SimpleNamespace(manager=SimpleNamespace(pk=5), nobody=None)


def audience(*keys: str, exact: bool) -> Audience:
    return Audience(keys=frozenset(keys), exact=exact)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (has_perm("shop.approve"), audience("permission shop.approve", exact=True)),
        (in_group("finance"), audience("group finance", exact=True)),
        (is_staff, audience(STAFF, exact=True)),
        (is_authenticated, audience(EVERYBODY, exact=True)),
        (allow_any, audience(EVERYBODY, exact=True)),
        (is_field("manager"), audience("user 5", exact=False)),
        (is_owner("nobody"), audience(exact=False)),
        (is_field("nobody__boss"), audience(exact=False)),
        (is_field("unknown"), audience(exact=False)),
        (OPAQUE, audience(EVERYBODY, exact=False)),
        (~in_group("finance"), audience(EVERYBODY, exact=False)),
        (in_group("finance") & OPAQUE, audience("group finance", exact=False)),
        (has_perm("shop.approve") & is_field("manager"), audience("user 5", exact=False)),
        (in_group("a") | in_group("b"), audience("group a", "group b", exact=True)),
        (in_group("a") | is_field("manager"), audience("group a", "user 5", exact=False)),
        (in_group("a") | OPAQUE, audience("group a", EVERYBODY, exact=False)),
        (in_group("x" * 300), audience(EVERYBODY, exact=False)),
    ],
    ids=lambda value: repr(value) if isinstance(value, Rule) else "",  # the order of a set differs by process
)
def test_a_rule_is_for(asked: Rule, found: Audience) -> None:
    assert audience_of(asked, ENTITY) == found


def test_without_a_row_a_field_names_nobody() -> None:
    assert audience_of(is_field("manager"), None) == audience(exact=False)


def test_permissions_of_a_backend_that_is_not_djangos_are_for_everybody(settings: Any) -> None:
    settings.AUTHENTICATION_BACKENDS = ["guardian.backends.ObjectPermissionBackend"]

    assert audience_of(has_perm("shop.approve"), ENTITY) == audience(EVERYBODY, exact=False)


@pytest.mark.parametrize(
    ("key", "is_there"),
    [
        ("user 5", True),
        ("user 50", False),
        ("group finance", True),
        ("group sales", False),
        ("permission shop.approve", True),
        ("permission shop.other", False),
        (STAFF, False),
        (EVERYBODY, True),
    ],
)
def test_a_word_stands_for(key: str, *, is_there: bool) -> None:
    user = SimpleNamespace(pk=5, is_staff=False, has_perm=lambda name: name == "shop.approve")

    assert belongs_to(key, user, frozenset({"finance"})) is is_there
