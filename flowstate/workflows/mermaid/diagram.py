"""A diagram as plain values: what was drawn, whatever it means; the writers and readers of Mermaid share it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

TERMINAL: Final = "[*]"
"""The name of the point where a state diagram begins, and of the one where it ends."""


class Grammar(StrEnum):
    """How a diagram is written; the value is its header."""

    FLOWCHART = "flowchart"
    STATES = "stateDiagram-v2"


class Direction(StrEnum):
    """Where a diagram grows to."""

    DOWN = "TD"
    UP = "BT"
    RIGHT = "LR"
    LEFT = "RL"


class Shape(StrEnum):
    """The outline of a node."""

    BOX = "box"
    ROUNDED = "rounded"
    STADIUM = "stadium"
    # A workflow in a workflow.
    SUBROUTINE = "subroutine"
    # Rows are written.
    CYLINDER = "cylinder"
    # Whoever comes first goes on.
    CIRCLE = "circle"
    # One way of several is taken.
    CHOICE = "choice"
    # Somebody or something is waited for.
    HEXAGON = "hexagon"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One box. `label` is what stands in it, `css` the class that gives it its colours."""

    name: str
    label: str = ""
    shape: Shape = Shape.BOX
    css: str = ""

    @property
    def text(self) -> str:
        """What is read in the box."""
        return self.label or self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """One arrow, from `source` to `target`; either may be `TERMINAL` in a state diagram."""

    source: str
    target: str
    label: str = ""
    dotted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagram:
    """Nodes and edges in the order in which they were drawn."""

    grammar: Grammar = Grammar.FLOWCHART
    direction: Direction = Direction.DOWN
    title: str = ""
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


_SHAPES: Final = {
    "create": Shape.CYLINDER,
    "update": Shape.CYLINDER,
    "delete": Shape.CYLINDER,
    "choice": Shape.CHOICE,
    "first": Shape.CIRCLE,
    "approval": Shape.HEXAGON,
    "delay": Shape.HEXAGON,
    "event": Shape.HEXAGON,
    "workflow": Shape.SUBROUTINE,
    "function": Shape.SUBROUTINE,
}


def shape_of(kind: str) -> Shape:
    """Return how a step of this kind is drawn; one that only calls a function is a box."""
    return _SHAPES.get(kind, Shape.BOX)
