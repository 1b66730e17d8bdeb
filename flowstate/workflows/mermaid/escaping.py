"""Names and texts in Mermaid, both ways: whatever they hold, they stay names and texts.

Mermaid has no quoting that all its diagrams share, but in all of them `#59;` stands for the character 59. So a
text is written with nothing in it that could end it, begin a statement, a directive, a link or HTML.
"""

from __future__ import annotations

import re
from typing import Final

from flowstate.workflows.mermaid.diagram import Grammar

# Names that Mermaid reads as something else, some whatever their case.
_KEYWORDS: Final = {
    Grammar.FLOWCHART: frozenset(
        {
            *(
                "accdescr",
                "acctitle",
                "call",
                "class",
                "classdef",
                "click",
                "end",
                "flowchart",
                "graph",
                "href",
            ),
            *("interpolate", "linkstyle", "style", "subgraph", "_blank", "_parent", "_self", "_top"),
        }
    ),
    Grammar.STATES: frozenset(
        {
            *("accdescr", "acctitle", "class", "classdef", "click", "default", "direction", "hide", "href"),
            *("note", "scale", "state", "statediagram", "style"),
        }
    ),
}

_UNSAFE_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_]|_(?=0x)")
_CODE_IN_NAMES: Final = re.compile(r"_0x([0-9a-f]{2,6})_")

# What needs no code. "=" is there for the sake of `attempts=2`, which people write themselves.
_PLAIN: Final = frozenset(" _.,=")
_CODE_IN_TEXTS: Final = re.compile(r"#([0-9]{1,7}|[a-z]{1,8});|<br ?/?>|\\n")
_NAMED: Final = {"quot": '"', "amp": "&", "lt": "<", "gt": ">", "apos": "'", "nbsp": "\N{NO-BREAK SPACE}"}


def written_name(name: str, grammar: Grammar) -> str:
    """Return a name as Mermaid can read it; a letter that it could not is written as `_0xe9_`."""
    if name.lower() in _KEYWORDS[grammar]:
        return _code_in_name(name[0]) + name[1:]
    return _UNSAFE_IN_NAMES.sub(lambda found: _code_in_name(found[0]), name)


def read_name(text: str) -> str:
    """Return the name that was written as this; one that needed no code as it is."""
    return _CODE_IN_NAMES.sub(lambda found: _character(int(found[1], 16)) or found[0], text)


def written_text(text: str, *, newline: str = "<br/>") -> str:
    """Return a text in which nothing has a meaning to Mermaid; `newline` is how the diagram breaks a line."""
    last = len(text) - 1
    return "".join(
        character
        if (character.isalnum() or character in _PLAIN) and not (character == " " and index in (0, last))
        else newline
        if character == "\n"
        else f"#{ord(character)};"
        for index, character in enumerate(text)
    )


def read_text(text: str) -> str:
    """Return the text that was written as this. A code that stands for nothing stays as it is."""
    return _CODE_IN_TEXTS.sub(_meant, text)


def _code_in_name(character: str) -> str:
    return f"_0x{ord(character):02x}_"


def _meant(found: re.Match[str]) -> str:
    code = found[1]
    if code is None:
        return "\n"
    if code.isdigit():
        return _character(int(code)) or found[0]
    return _NAMED.get(code, found[0])


def _character(code: int) -> str:
    # Half of a pair of UTF-16 is no character, and could not be written to a file.
    return "" if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF else chr(code)
