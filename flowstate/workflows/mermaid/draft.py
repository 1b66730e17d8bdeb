"""A diagram while it is read: what is mentioned is there, and what is said later of it is added."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from flowstate.workflows.mermaid.diagram import TERMINAL, Diagram, Direction, Edge, Grammar, Node, Shape


class Draft:
    """Collects nodes in the order in which they are first mentioned, and edges."""

    def __init__(self, grammar: Grammar) -> None:
        self._grammar: Final = grammar
        self._nodes: Final[dict[str, Node]] = {}
        self._edges: Final[list[Edge]] = []
        self.direction = Direction.DOWN

    def mention(self, name: str) -> None:
        """Have the node, if only by its name."""
        if name != TERMINAL:
            self._nodes.setdefault(name, Node(name=name))

    def label(self, name: str, text: str) -> None:
        """Say what stands in the node."""
        self.mention(name)
        self._nodes[name] = replace(self._nodes[name], label="" if text == name else text)

    def shape(self, name: str, shape: Shape) -> None:
        """Say how the node is drawn."""
        self.mention(name)
        self._nodes[name] = replace(self._nodes[name], shape=shape)

    def colour(self, name: str, css: str) -> None:
        """Say which class the node has."""
        self.mention(name)
        self._nodes[name] = replace(self._nodes[name], css=css)

    def connect(self, source: str, target: str, label: str = "", *, dotted: bool = False) -> None:
        """Draw an arrow."""
        self.mention(source)
        self.mention(target)
        self._edges.append(Edge(source=source, target=target, label=label, dotted=dotted))

    def finished(self, title: str) -> Diagram:
        """Return what was drawn."""
        return Diagram(
            grammar=self._grammar,
            direction=self.direction,
            title=title,
            nodes=tuple(self._nodes.values()),
            edges=tuple(self._edges),
        )
