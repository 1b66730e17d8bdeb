"""Authority: one function for every way in, and it fails closed."""

from __future__ import annotations

from typing import Any

import pytest

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db import models

from flowstate.actions import (
    SYSTEM,
    Action,
    BoundAction,
    allow_any,
    allows,
    authorize,
    authorize_standalone,
    is_staff,
)
from flowstate.exceptions import ActionDenied
from flowstate.workflows import Workflow, step
from tests.unit.actions.people import person
from tests.zoo.models import Keeper


class Wave(Workflow):
    @step(transactional=True)
    def wave(self, ctx: Any) -> None: ...


def on_keeper(**options: Any) -> BoundAction:
    return BoundAction("wave", Action(Wave, **options), Keeper)


KEEPER: models.Model = Keeper(pk=4)


def test_a_rule_that_passes_lets_the_user_in() -> None:
    action = on_keeper(rules=[is_staff])

    assert allows(action, person(is_staff=True), KEEPER)
    authorize(action, person(is_staff=True), KEEPER)


def test_who_is_denied_is_told_what_and_on_which_row() -> None:
    with pytest.raises(PermissionDenied, match=r"User 1 may not do zoo\.keeper\.wave with row 4"):
        authorize(on_keeper(rules=[is_staff]), person(), KEEPER)
    with pytest.raises(ActionDenied, match="An anonymous user"):
        authorize(on_keeper(rules=[is_staff]), AnonymousUser(), KEEPER)


@pytest.mark.parametrize("rules", [None, [], ()])
def test_an_action_without_rules_denies_everybody_and_says_why(rules: Any) -> None:
    action = on_keeper(rules=rules)

    assert not allows(action, person(is_superuser=True), KEEPER)
    with pytest.raises(ActionDenied, match="has no rules"):
        authorize(action, person(is_superuser=True), KEEPER)


def test_without_a_user_nobody_passes_and_the_message_says_what_to_pass() -> None:
    action = on_keeper(rules=[allow_any])

    assert not allows(action, None, KEEPER)
    with pytest.raises(ActionDenied, match="pass user=, or SYSTEM"):
        authorize(action, None, KEEPER)


def test_system_passes_everything() -> None:
    authorize(on_keeper(rules=[lambda _user, _entity: False]), SYSTEM, KEEPER)


def test_an_action_on_a_row_is_not_allowed_without_one() -> None:
    assert not allows(on_keeper(rules=[allow_any]), person(), None)


def test_the_rules_of_a_collection_action_see_no_row() -> None:
    seen: list[Any] = []

    def look(_user: Any, entity: Any) -> bool:
        seen.append(entity)
        return True

    assert allows(on_keeper(rules=[look], detail=False), person(), KEEPER)
    assert seen == [None]


def test_only_system_starts_a_workflow_without_an_action() -> None:
    authorize_standalone(Wave, SYSTEM)

    with pytest.raises(ActionDenied, match="only SYSTEM"):
        authorize_standalone(Wave, person(is_superuser=True))
