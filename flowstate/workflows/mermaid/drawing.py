"""Draws what a workflow declares."""

from __future__ import annotations

from flowstate.workflows.declaration import Declaration
from flowstate.workflows.mermaid.diagram import Diagram, Edge, Node, shape_of


def drawn(declaration: Declaration) -> Diagram:
    """Return a node for each step in declared order, and an edge for each dependency."""
    return Diagram(
        nodes=tuple(Node(name=step.name, shape=shape_of(step.kind)) for step in declaration.steps),
        edges=tuple(
            Edge(source=needed, target=step.name) for step in declaration.steps for needed in step.depends_on
        ),
    )
