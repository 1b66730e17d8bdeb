"""Workflows as Mermaid diagrams.

`diagram` holds the values; `drawing` makes them of a declaration and `writing` text of them.
"""

from __future__ import annotations

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
from flowstate.workflows.mermaid.writing import write

__all__ = [
    "TERMINAL",
    "Diagram",
    "Direction",
    "Edge",
    "Grammar",
    "Node",
    "Shape",
    "drawn",
    "shape_of",
    "write",
]
