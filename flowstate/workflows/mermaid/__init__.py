"""Workflows as Mermaid diagrams.

`diagram` holds the values. Out: `drawing` makes them of a declaration, `writing` makes text of them. In: `reading`
makes them of text, with `states` and `flowchart` for what the two diagrams can say; `plan` says what they mean,
`binding` makes steps of that, `drift` compares it with a class.
"""

from __future__ import annotations

from flowstate.workflows.mermaid.binding import Given, bound, text_of
from flowstate.workflows.mermaid.diagram import (
    TERMINAL,
    Diagram,
    Direction,
    Edge,
    Grammar,
    Node,
    Shape,
    shape_of,
)
from flowstate.workflows.mermaid.drawing import drawn
from flowstate.workflows.mermaid.drift import differences
from flowstate.workflows.mermaid.plan import Need, Plan, PlannedStep, planned
from flowstate.workflows.mermaid.reading import read
from flowstate.workflows.mermaid.retries import text_of as retry_text
from flowstate.workflows.mermaid.wording import class_name, snake_case
from flowstate.workflows.mermaid.writing import write

__all__ = [
    "TERMINAL",
    "Diagram",
    "Direction",
    "Edge",
    "Given",
    "Grammar",
    "Need",
    "Node",
    "Plan",
    "PlannedStep",
    "Shape",
    "bound",
    "class_name",
    "differences",
    "drawn",
    "planned",
    "read",
    "retry_text",
    "shape_of",
    "snake_case",
    "text_of",
    "write",
]
