"""What the system checks say of steps that people decide."""

from __future__ import annotations

from typing import Any

import pytest

from django.core.checks import CheckMessage
from rest_framework import serializers

from flowstate.actions import Action, allow_any, has_perm, in_group, is_field, rule
from flowstate.checks.approvals import check_approvals
from flowstate.workflows import ApprovalStep
from tests.unit.actions.binding import bound
from tests.zoo.models import Cage


class Note(serializers.Serializer[Any]):
    text = serializers.CharField()


def asking(detail: bool = True, **options: Any) -> Action:
    step = ApprovalStep(name="review", **{"approvers": has_perm("zoo.change_cage"), **options})
    return Action(steps=[step], rules=[allow_any], detail=detail)


def found() -> list[CheckMessage]:
    return [message for message in check_approvals() if "'review'" in message.msg]


def test_a_step_that_fits_is_not_spoken_of() -> None:
    fits = asking(
        approvers=[in_group("keepers") | has_perm("zoo.change_cage"), lambda user, cage: True],
        show=["house", "keeper__name", ("Twice", lambda ctx: 2)],
        form=Note,
    )

    with bound(Cage, wave=fits):
        assert found() == []


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"approvers": is_field("keeper__usr")}, "flowstate.E018"),
        ({"approvers": is_field("keeper")}, "flowstate.W005"),
        ({"approvers": is_field("keeper__user"), "detail": False}, "flowstate.E015"),
        (
            {"expires": 9, "on_expiry": "escalate", "escalate_to": [~is_field("keeper__usr")]},
            "flowstate.E018",
        ),
        ({"show": ["hose"]}, "flowstate.E025"),
        ({"show": ["keeper__nmae"]}, "flowstate.E025"),
        ({"show": ["house"], "detail": False}, "flowstate.E025"),
        ({"form": Cage}, "flowstate.E026"),
    ],
    ids=["rule", "no user", "no row", "escalation", "field", "relation", "collection", "form"],
)
def test_what_could_not_be_decided_or_shown_is_found(options: dict[str, Any], wanted: str) -> None:
    with bound(Cage, wave=asking(**options)):
        [problem] = found()

    assert problem.id == wanted
    assert problem.hint


async def asynchronous(user: Any, cage: Any) -> bool:
    return True


def test_a_rule_that_never_says_yes_is_found() -> None:
    with bound(Cage, wave=asking(approvers=rule(asynchronous))):
        [problem] = found()

    assert (problem.id, problem.msg.endswith("is async, so it never returns True: nobody passes it.")) == (
        "flowstate.E006",
        True,
    )
