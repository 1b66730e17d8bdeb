"""The axis of a time line: few marks, at round numbers, for a run of a millisecond and for one of a year."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstate.admin.diagram.waterfall import ticks


@pytest.mark.parametrize(
    ("seconds", "marks"),
    [(0.003, [0, 0.001, 0.002, 0.003]), (95, [0, 30, 60, 90]), (3 * 86400, [0, 86400, 172800, 259200])],
)
def test_the_marks_are_at_round_numbers(seconds: float, marks: list[float]) -> None:
    assert ticks(seconds)[: len(marks)] == pytest.approx(marks)


@given(st.floats(0.001, 10 * 365 * 86400.0))
def test_there_are_a_few_marks_at_equal_distances_and_none_beyond_the_end(seconds: float) -> None:
    marks = ticks(seconds)

    assert 1 <= len(marks) <= 6
    assert marks[0] == 0
    assert marks[-1] <= seconds
    assert len({round((other - one) / marks[1], 6) for one, other in pairwise(marks)}) <= 1
