"""Words for times and values, and a mark for every status there is."""

from __future__ import annotations

from typing import Any

import pytest

from flowstate.admin import display
from flowstate.models import Compensation, Run, RunStatus, StepRun, StepStatus


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-0.5, "0 ms"),
        (0.0345, "34 ms"),
        (3.44, "3.4 s"),
        (59.99, "60.0 s"),
        (61, "1 min 1 s"),
        (3600 * 2 + 60 * 5, "2 h 5 min"),
        (86400 * 3 + 3600, "3 d 1 h"),
    ],
)
def test_a_duration_has_the_two_units_that_matter(seconds: float, words: str) -> None:
    assert display.duration(seconds) == words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"$decimal": "1.50"}, '"1.50"'),
        ({"$object": {"$decimal": 1}}, '{\n  "$decimal": 1\n}'),
        ({"$row": ["shop.order", "7"]}, '"shop.order 7"'),
        ({"$enum": ["shop.models:Colour", "RED"]}, '"shop.models:Colour RED"'),
        ([{"when": {"$date": "2030-01-02"}}], '[\n  {\n    "when": "2030-01-02"\n  }\n]'),
        ("käse", '"käse"'),
        (None, "null"),
    ],
    ids=["tag", "wrapped", "row", "enum", "nested", "letters", "nothing"],
)
def test_a_value_is_shown_without_its_type_tags(value: Any, text: str) -> None:
    assert display.pretty(value) == text


def test_every_status_has_a_sign_a_word_and_a_meaning() -> None:
    badges = [
        *(display.run_badge(Run(status=status)) for status in RunStatus),
        *(display.step_badge(StepRun(status=status)) for status in StepStatus),
        *(display.compensation_badge(StepRun(compensation=status)) for status in Compensation),
    ]

    for badge in badges:
        assert 'title=""' not in badge
        assert '<span aria-hidden="true"></span>' not in badge
        assert not badge.endswith("</span> </span>")
