"""Where a class and the diagram that it names differ."""

from __future__ import annotations

from typing import Any

import pytest

from flowstate import ChoiceStep, Retry, Step, Workflow
from flowstate.workflows.mermaid import differences, planned, read
from tests.unit.workflows.refusals import nothing

DRAWN = r"""stateDiagram-v2
    state way <<choice>>
    [*] --> firstTask
    firstTask --> way
    way --> left: goLeft
    way --> right: goRight
    left --> left: attempts=2
    left --> last
    right --> last
    last --> [*]
"""


def left(ctx: Any) -> str:
    return "goLeft"


def differing(**changed: Any) -> list[str]:
    """Return what differs when the class has these steps instead of those that are drawn; None leaves one out."""
    choice = ChoiceStep(left, options=["goLeft", "goRight"], name="first_task")
    steps: dict[str, Step | None] = {
        "first_task": choice,
        "left": Step("left", nothing, depends_on="first_task[goLeft]", retry=Retry(2)),
        "right": Step("right", nothing, depends_on="first_task[goRight]"),
        "last": Step("last", nothing, depends_on=["left", "right"]),
        **changed,
    }
    flow = Workflow.from_steps("flow", [step for step in steps.values() if step is not None])
    return differences(planned(read(DRAWN)), flow.declaration)


def test_a_class_that_does_as_drawn_does_not_differ() -> None:
    """C2: names may be Python's."""
    assert differing() == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"extra": Step("extra", nothing, depends_on="last")}, "extra is in the class only"),
        (
            {"last": None, "end": Step("end", nothing, depends_on=["left", "right"])},
            "last is in the diagram only",
        ),
        (
            {"last": Step("last", nothing, depends_on=["left"])},
            "last comes after left and right in the diagram, after left in the class",
        ),
        (
            {"right": Step("right", nothing, depends_on="first_task[goLeft]")},
            "right comes after first_task[goRight] in the diagram, after first_task[goLeft] in the class",
        ),
        (
            {"first_task": ChoiceStep(left, options=["goLeft", "goRight", "stay"], name="first_task")},
            "first_task chooses goLeft or goRight in the diagram, goLeft or goRight or stay in the class",
        ),
        (
            {"left": Step("left", nothing, depends_on="first_task[goLeft]")},
            "left is tried again by attempts=2, backoffMs=1000 in the diagram, by nothing in the class",
        ),
        (
            {"right": Step("right", nothing, depends_on="first_task[goRight]", retry=Retry(3, delay=0))},
            "right is tried again by nothing in the diagram, by attempts=3, backoffMs=0 in the class",
        ),
    ],
)
def test_what_differs_is_said(changed: dict[str, Any], words: str) -> None:
    """C2."""
    assert words in differing(**changed)
