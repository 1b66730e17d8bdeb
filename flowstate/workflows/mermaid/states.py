"""Reads the statements of a `stateDiagram-v2`."""

from __future__ import annotations

from typing import Final

from flowstate.workflows.mermaid.diagram import TERMINAL, Direction, Shape
from flowstate.workflows.mermaid.draft import Draft
from flowstate.workflows.mermaid.escaping import read_name, read_text
from flowstate.workflows.mermaid.source import WORD, Line, Source

_FOR_THE_EYE: Final = {"classDef", "style", "accTitle", "accDescr", "scale", "hide"}


def read_states(source: Source, draft: Draft) -> None:
    """Add what the lines draw to the draft. Raises DiagramInvalid."""
    for line in source.lines():
        _statement(source, line, draft)
        if not line.spaces().ended:
            line.fail_here("a statement ends with its line.")


def _statement(source: Source, line: Line, draft: Draft) -> None:
    if line.skip(TERMINAL):
        css_class(line, TERMINAL, draft)
        _transition(line, TERMINAL, draft)
        return
    word = line.take(WORD)
    match word:
        case "":
            line.fail_here(
                "a statement begins with a state, as in 'a --> b', or with state, note or direction."
            )
        case "state":
            _state(line.spaces(), draft)
        case "note":
            _note(source, line.spaces())
        case "direction":
            _direct(line.spaces(), draft)
        case "class":
            colour(line.spaces(), draft)
        case _ if word in _FOR_THE_EYE:
            line.rest()
        case _:
            _after_name(line, read_name(word), draft)


def _after_name(line: Line, name: str, draft: Draft) -> None:
    css_class(line, name, draft)
    line.spaces()
    if line.skip(":"):
        draft.label(name, read_text(line.rest()))
    elif line.ended:
        draft.mention(name)
    else:
        _transition(line, name, draft)


def _transition(line: Line, source: str, draft: Draft) -> None:
    if not line.spaces().skip("-->"):
        line.fail_here(
            f"after the state {source} there is an arrow, as in '{source} --> b', a text, or nothing."
        )
    target = TERMINAL if line.spaces().skip(TERMINAL) else _name(line)
    css_class(line, target, draft)
    label = read_text(line.rest()) if line.spaces().skip(":") else ""
    draft.connect(source, target, label)


def _name(line: Line) -> str:
    name = line.take(WORD)
    if not name:
        line.fail_here("the name of a state is expected: letters, digits and _.")
    return read_name(name)


def _state(line: Line, draft: Draft) -> None:
    """`state "text" as a`, `state a : text`, `state a <<choice>>` or `state a`."""
    if line.skip('"'):
        text = line.until('"', "the text of the state")
        if line.spaces().take(WORD) != "as":
            line.fail_here("the name of the state is expected, as in 'state \"text\" as a'.")
        name = _name(line.spaces())
        draft.label(name, read_text(text))
    else:
        name = _name(line)
        draft.mention(name)
        _kind(line.spaces(), name, draft)
    if line.spaces().skip("{"):
        line.fail(f"the state {name} holds others; states in states are not known, draw them side by side.")


def _kind(line: Line, name: str, draft: Draft) -> None:
    for opening, closing in (("<<", ">>"), ("[[", "]]")):
        if not line.skip(opening):
            continue
        kind = line.until(closing, "the kind of the state").strip()
        if kind != "choice":
            line.fail(
                f"the state {name} is a {kind}; there are choices only. Branches part and join by arrows alone."
            )
        draft.shape(name, Shape.CHOICE)
        return
    if line.skip(":"):
        draft.label(name, read_text(line.rest()))


def _note(source: Source, line: Line) -> None:
    """Pass over a note: `note right of a : text`, the same over several lines, or `note "text" as N`."""
    if line.skip('"'):
        line.until('"', "the text of the note")
        line.rest()
        return
    side = line.take(WORD)
    if side not in ("left", "right") or line.spaces().take(WORD) != "of":
        line.fail_here("a note stands right of or left of a state, as in 'note right of a : text'.")
    name = _name(line.spaces())
    if line.spaces().skip(":"):
        line.rest()
        return
    if not line.ended:
        line.fail_here(
            f"after the state {name} there is the text of the note, as in 'note right of {name} : text'."
        )
    while source.next_line().rest() != "end note":
        pass


def _direct(line: Line, draft: Draft) -> None:
    word = line.take(WORD)
    direction = "TD" if word == "TB" else word
    if direction not in set(Direction):
        line.fail(f"a direction is TB, TD, BT, LR or RL, not {word!r}.")
    draft.direction = Direction(direction)


def colour(line: Line, draft: Draft) -> None:
    """`class a,b name`."""
    names = [_name(line)]
    while line.spaces().skip(","):
        names.append(_name(line.spaces()))
    css = line.spaces().take(WORD)
    if not css:
        line.fail_here("the name of a class is expected, as in 'class a,b name'.")
    for name in names:
        draft.colour(name, css)


def css_class(line: Line, name: str, draft: Draft) -> None:
    """`:::name` behind a node."""
    if not line.skip(":::"):
        return
    css = line.take(WORD)
    if not css:
        line.fail_here(f"the name of a class is expected, as in '{name}:::name'.")
    if name != TERMINAL:
        draft.colour(name, css)
