"""Runs of workflows that were drawn, and what a choice hands on."""

from __future__ import annotations

from typing import Any

import pytest

from flowstate import SYSTEM, ChoiceStep, Chosen, Step, Workflow
from tests.kiosk.diary import Diary

pytestmark = pytest.mark.django_db(transaction=True)

PARCEL = r"""---
title: Parcel
---
stateDiagram-v2
    state by_weight <<choice>>
    [*] --> weigh
    weigh --> by_weight
    by_weight --> bike: isLight
    by_weight --> van: isHeavy
    van --> van: attempts=3, backoffMs=0
    bike --> hand_over
    van --> hand_over
    hand_over --> [*]
"""


def parcel(answer: Any, van: Step[Any]) -> type[Workflow]:
    return Workflow.from_mermaid(
        PARCEL,
        {
            "weigh": lambda ctx: answer,
            "bike": lambda ctx: "by bike",
            "van": van,
            "hand_over": lambda ctx: [ctx.get("weigh"), "van" in ctx.results],
        },
    )


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("isLight", [None, False]),
        (Chosen("isHeavy", {"grams": 900}), [{"grams": 900}, True]),
        (Chosen("isLight"), [None, False]),
    ],
)
def test_a_drawn_workflow_takes_the_branch_that_is_chosen_with_what_is_handed_on(
    diary: Diary, answer: str, value: list[Any]
) -> None:
    """C1, C3."""
    run = parcel(answer, diary.step("van")).run(user=SYSTEM)

    assert run.success
    assert run.value == value
    assert run.results["weigh"] == str(answer)
    assert diary.lines == (["van"] if "Heavy" in answer else [])


def test_a_drawn_step_is_tried_again_as_it_is_drawn(diary: Diary) -> None:
    """C1."""
    run = parcel("isHeavy", diary.step("van", errors=[OSError("full"), OSError("full")])).run(user=SYSTEM)

    assert run.success
    assert diary.lines == ["van"] * 3


def test_a_run_with_choices_shows_the_options_on_its_arrows_and_the_branch_not_taken() -> None:
    run = parcel("isLight", Step("van", lambda ctx: None)).run(user=SYSTEM)

    lines = [line.strip() for line in run.to_mermaid().splitlines()]
    assert 'weigh{"weigh<br/>done"}:::done' in lines
    assert 'van["van<br/>skipped"]:::skipped' in lines
    assert 'weigh -->|"isLight"| bike' in lines
    assert 'weigh -->|"isHeavy"| van' in lines


def test_a_payload_that_json_cannot_hold_fails_the_choice() -> None:
    choice = ChoiceStep(lambda ctx: Chosen("left", object()), options=["left", "right"], name="decide")

    run = Workflow.from_steps("unstorable", [choice]).run(user=SYSTEM)

    assert run.status == "failed"
    assert run.error is not None
    assert run.error["code"] == "value_not_serializable"


def test_what_a_choice_hands_on_does_not_stand_for_an_option() -> None:
    choice = ChoiceStep(lambda ctx: Chosen("up", {"left": 1}), options=["left", "right"], name="decide")

    run = Workflow.from_steps("no_option", [choice]).run(user=SYSTEM)

    assert run.error is not None
    assert run.error["code"] == "option_unknown"
    assert run.data == {}
