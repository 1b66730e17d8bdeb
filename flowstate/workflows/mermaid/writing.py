"""Writes a diagram as Mermaid text, so that the same diagram gives the same text and is read back as it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Final

from flowstate.workflows.mermaid.diagram import TERMINAL, Diagram, Edge, Grammar, Node, Shape
from flowstate.workflows.mermaid.escaping import written_name, written_text

OUTLINES: Final = {
    Shape.BOX: ("[", "]"),
    Shape.ROUNDED: ("(", ")"),
    Shape.STADIUM: ("([", "])"),
    Shape.SUBROUTINE: ("[[", "]]"),
    Shape.CYLINDER: ("[(", ")]"),
    Shape.CIRCLE: ("((", "))"),
    Shape.CHOICE: ("{", "}"),
    Shape.HEXAGON: ("{{", "}}"),
}
"""What stands around a node's text in a flowchart."""

# Each says its own text colour, so that it can be read on a light page and on a dark one.
_COLOURS: Final = {
    "blocked": "fill:#f3f4f6,stroke:#9ca3af,color:#374151",
    "ready": "fill:#e0f2fe,stroke:#0284c7,color:#075985",
    "running": "fill:#dbeafe,stroke:#2563eb,color:#1e3a8a,stroke-width:3px",
    "waiting": "fill:#fef3c7,stroke:#d97706,color:#78350f",
    "done": "fill:#dcfce7,stroke:#16a34a,color:#14532d",
    "skipped": "fill:#f3f4f6,stroke:#9ca3af,color:#6b7280,stroke-dasharray:4",
    "failed": "fill:#fee2e2,stroke:#dc2626,color:#7f1d1d",
    "cancelled": "fill:#e5e7eb,stroke:#6b7280,color:#374151",
    "unknown": "fill:#ffedd5,stroke:#ea580c,color:#7c2d12",
    "undo_pending": "fill:#fff,stroke:#7c3aed,color:#4c1d95,stroke-dasharray:4",
    "undo_running": "fill:#ede9fe,stroke:#7c3aed,color:#4c1d95,stroke-width:3px",
    "undo_done": "fill:#ede9fe,stroke:#7c3aed,color:#4c1d95",
    "undo_failed": "fill:#fee2e2,stroke:#dc2626,color:#7f1d1d,stroke-width:3px",
    "undo_waived": "fill:#fff,stroke:#9ca3af,color:#374151",
}


def write(diagram: Diagram) -> str:
    """Return the text of a diagram, with a newline at its end."""
    lines = _states(diagram) if diagram.grammar is Grammar.STATES else _flowchart(diagram)
    return "".join(f"{line}\n" for line in (*_title(diagram), *lines))


def _title(diagram: Diagram) -> Iterator[str]:
    if diagram.title:
        # A text of JSON is one of YAML too, and stays on its line.
        yield from ("---", f"title: {json.dumps(diagram.title)}", "---")


def _colours(diagram: Diagram) -> Iterator[str]:
    used = {node.css for node in diagram.nodes}
    yield from (f"    classDef {css} {colours}" for css, colours in _COLOURS.items() if css in used)


# --- flowcharts ----------------------------------------------------------------------------------

_named = partial(written_name, grammar=Grammar.FLOWCHART)


def _flowchart(diagram: Diagram) -> Iterator[str]:
    yield f"{diagram.grammar} {diagram.direction}"
    for node in diagram.nodes:
        yield f"    {_named(node.name)}{_outlined(node)}{_class_of(node)}"
    for edge in diagram.edges:
        arrow = "-.->" if edge.dotted else "-->"
        label = f'|"{written_text(edge.label)}"|' if edge.label else ""
        yield f"    {_named(edge.source)} {arrow}{label} {_named(edge.target)}"
    yield from _colours(diagram)


def _outlined(node: Node) -> str:
    if node.shape is Shape.BOX and not node.label and _named(node.name) == node.name:
        return ""
    before, after = OUTLINES[node.shape]
    return f'{before}"{written_text(node.text)}"{after}'


def _class_of(node: Node) -> str:
    return f":::{node.css}" if node.css else ""


# --- state diagrams ------------------------------------------------------------------------------

_called = partial(written_name, grammar=Grammar.STATES)


def _states(diagram: Diagram) -> Iterator[str]:
    yield diagram.grammar
    # In a state diagram "TD" is written "TB", and is what goes without saying.
    if diagram.direction != "TD":
        yield f"    direction {diagram.direction}"
    for node in diagram.nodes:
        yield f"    {_state(node)}"
    for edge in diagram.edges:
        yield f"    {_transition(edge)}"
    yield from (f"    class {_called(node.name)} {node.css}" for node in diagram.nodes if node.css)
    yield from _colours(diagram)


def _state(node: Node) -> str:
    name = _called(node.name)
    if node.shape is Shape.CHOICE:
        return f"state {name} <<choice>>"
    if node.label or name != node.name:
        return f'state "{written_text(node.text)}" as {name}'
    return name


def _transition(edge: Edge) -> str:
    label = written_text(edge.label, newline=r"\n")
    named = f" : {label}" if label else ""
    return f"{_end(edge.source)} --> {_end(edge.target)}{named}"


def _end(name: str) -> str:
    return name if name == TERMINAL else _called(name)
