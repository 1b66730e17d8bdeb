"""Reads Mermaid text: the title in front, the header, and then the diagram that the header names.

What is not known is refused with its line and column, so that nothing of a diagram is silently without effect;
only what is there for the eye alone (styles, notes, descriptions) is passed over.
"""

from __future__ import annotations

import json
import re
from typing import Final

from flowstate.workflows.mermaid.diagram import Diagram, Direction, Grammar
from flowstate.workflows.mermaid.draft import Draft
from flowstate.workflows.mermaid.flowchart import read_flowchart
from flowstate.workflows.mermaid.source import WORD, Line, Source
from flowstate.workflows.mermaid.states import read_states

_HEADER: Final = re.compile(r"[\w-]*")
_HEADERS: Final = {
    "flowchart": Grammar.FLOWCHART,
    "graph": Grammar.FLOWCHART,
    "stateDiagram": Grammar.STATES,
    "stateDiagram-v2": Grammar.STATES,
}


def read(text: str) -> Diagram:
    """Return the diagram that was drawn. Raises DiagramInvalid with line and column."""
    return read_source(Source(text))


def read_source(source: Source) -> Diagram:
    """Return the diagram of a text that counts how often it is looked at. Raises DiagramInvalid."""
    title, line = _front(source)
    header = line.take(_HEADER)
    grammar = _HEADERS.get(header)
    if grammar is None:
        line.fail_here(f"a diagram begins with stateDiagram-v2, flowchart or graph, not with {header!r}.")
    draft = Draft(grammar)
    if grammar is Grammar.STATES:
        _end(line)
        read_states(source, draft)
    else:
        draft.direction = _direction(line)
        read_flowchart(source, line, draft)
    return draft.finished(title)


def _front(source: Source) -> tuple[str, Line]:
    """Return the title, and the line of the header."""
    title = ""
    line = _begun(source)
    if line.skip("---"):
        _end(line)
        title = _title(source)
        line = _begun(source)
    return title, line


def _begun(source: Source) -> Line:
    """Return the next line that says something."""
    for line in source.lines():
        return line
    return source.fail_at_end(
        "the text ends before a diagram begins, by stateDiagram-v2, flowchart or graph."
    )


def _title(source: Source) -> str:
    title = ""
    while True:
        line = source.next_line().spaces()
        if line.skip("---"):
            _end(line)
            return title
        if line.ended:
            continue
        if line.take(WORD) != "title" or not line.spaces().skip(":"):
            line.fail_here(
                "in front of a diagram there is a title, as in 'title: Checkout', and nothing else."
            )
        title = _unquoted(line)


def _unquoted(line: Line) -> str:
    text = line.rest()
    if text.startswith('"'):
        try:
            return str(json.loads(text))
        except ValueError:
            line.fail('the title begins with " and is no text that YAML could read.')
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    return text


def _direction(line: Line) -> Direction:
    word = line.spaces().take(WORD) or "TD"
    direction = "TD" if word == "TB" else word
    if direction not in set(Direction):
        line.fail(f"a flowchart grows to TD, TB, BT, LR or RL, not to {word}.")
    return Direction(direction)


def _end(line: Line) -> None:
    if not line.spaces().ended:
        line.fail_here("the line ends before.")
