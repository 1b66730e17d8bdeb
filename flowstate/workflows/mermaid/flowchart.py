"""Reads the statements of a flowchart: nodes, and chains of arrows between them."""

from __future__ import annotations

import re
from typing import Final

from flowstate.workflows.mermaid.draft import Draft
from flowstate.workflows.mermaid.escaping import read_name, read_text
from flowstate.workflows.mermaid.source import Line, Source
from flowstate.workflows.mermaid.states import colour, css_class
from flowstate.workflows.mermaid.writing import OUTLINES

_NAME: Final = re.compile(r"\w*(?:-\w+)*")
_DASHES: Final = re.compile(r"-*")
_DOTS: Final = re.compile(r"\.*")
_EQUALS: Final = re.compile(r"=*")
_BRACKETS: Final = re.compile(r'[][(){}"]')

_FOR_THE_EYE: Final = {"classDef", "style", "linkStyle", "accTitle", "accDescr"}
_REFUSED: Final = {
    "subgraph": "groups are not known; draw the steps side by side.",
    "end": "end belongs to Mermaid and is no name of a step.",
    "click": "links are not known.",
    "direction": "the direction stands in the first line, as in 'flowchart LR'.",
}

# The longest first, since some begin like others.
_OUTLINES: Final = sorted(OUTLINES.items(), key=lambda item: -len(item[1][0]))


def read_flowchart(source: Source, header: Line, draft: Draft) -> None:
    """Add what the lines draw to the draft, what is left of the header's first. Raises DiagramInvalid."""
    _statements(header, draft)
    for line in source.lines():
        _statement(line, draft)
        _statements(line, draft)


def _statements(line: Line, draft: Draft) -> None:
    """Read what is left of a line: statements, each behind a semicolon."""
    while line.spaces().skip(";"):
        if not line.spaces().ended:
            _statement(line, draft)
    if not line.ended:
        line.fail_here("after a node there is an arrow, as in 'a --> b', or the end of the line.")


def _statement(line: Line, draft: Draft) -> None:
    word = line.take(_NAME)
    if word in _REFUSED:
        line.fail(_REFUSED[word])
    if word == "class":
        colour(line.spaces(), draft)
    elif word in _FOR_THE_EYE:
        line.rest()
    else:
        _chain(line, word, draft)


def _chain(line: Line, word: str, draft: Draft) -> None:
    """`a --> b & c`, then maybe more arrows."""
    sources = _group(line, word, draft)
    while (arrow := _arrow(line.spaces())) is not None:
        label, dotted = arrow
        targets = _group(line.spaces(), line.take(_NAME), draft)
        if len(sources) > 1 and len(targets) > 1:
            # As many arrows as the names on both sides multiplied, out of one line.
            line.fail(
                "there are several nodes on both sides of an arrow; draw the arrows of each on a line of its own."
            )
        for source in sources:
            for target in targets:
                draft.connect(source, target, label, dotted=dotted)
        sources = targets


def _group(line: Line, word: str, draft: Draft) -> list[str]:
    names = [_node(line, word, draft)]
    while line.spaces().skip("&"):
        names.append(_node(line, line.spaces().take(_NAME), draft))
    return names


def _node(line: Line, word: str, draft: Draft) -> str:
    """`a`, `a[text]`, `a["text"]`, and the same in other outlines."""
    if not word:
        line.fail_here("the name of a node is expected: letters, digits, _ and -.")
    name = read_name(word)
    draft.mention(name)
    for shape, (before, after) in _OUTLINES:
        if line.skip(before):
            draft.label(name, _text(line, after))
            draft.shape(name, shape)
            break
    css_class(line, name, draft)
    return name


def _text(line: Line, end: str) -> str:
    if line.skip('"'):
        text = line.until('"', "the text")
        if not line.skip(end):
            line.fail_here(f"behind its text a node is closed by {end}.")
        return read_text(text)
    text = line.until(end, "the node")
    if _BRACKETS.search(text):
        line.fail(f"the text {text!r} holds brackets or quotes; write it in quotes, with #34; for a quote.")
    return read_text(text.strip())


# --- arrows --------------------------------------------------------------------------------------


def _arrow(line: Line) -> tuple[str, bool] | None:
    """Return the label of an arrow and whether it is dotted; None where there is no arrow."""
    if line.skip("-."):
        line.take(_DOTS)
        return _labelled(line, "->", ".->"), True
    if line.skip("--"):
        line.take(_DASHES)
        return _labelled(line, ">", "-->"), False
    if line.skip("=="):
        line.take(_EQUALS)
        return _labelled(line, ">", "==>"), False
    return None


def _labelled(line: Line, head: str, end: str) -> str:
    """Return what an arrow is called: `-- text -->`, `-->|text|`, or nothing."""
    if not line.skip(head):
        text = line.until(end, "the arrow")
        return read_text(text.strip(" -=.").strip('"'))
    if not line.spaces().skip("|"):
        return ""
    if not line.spaces().skip('"'):
        return read_text(line.until("|", "the name of the arrow").strip())
    text = line.until('"', "the name of the arrow")
    if not line.spaces().skip("|"):
        line.fail_here("behind its name an arrow goes on with |.")
    return read_text(text)
