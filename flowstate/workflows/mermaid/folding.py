"""Folds a state diagram to arrows between steps: the state before a <<choice>> and the choice are one step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NoReturn

from flowstate.exceptions import DiagramInvalid
from flowstate.workflows.mermaid.diagram import TERMINAL, Diagram, Edge


def folded(diagram: Diagram, choices: Mapping[str, str]) -> tuple[list[str], list[Edge], dict[str, str]]:
    """Return the names of the steps, the arrows between them, and of those that choose what the choice is called.

    Where the diagram begins and ends is checked and left out. Raises DiagramInvalid.
    """
    deciders = _deciders(diagram, choices)
    decides = {state: choice for choice, state in deciders.items()}
    _refuse_loose_ends(diagram, choices)
    edges = []
    for edge in diagram.edges:
        if edge.source in choices:
            edges.append(replace(edge, source=deciders[edge.source]))
        elif edge.target in choices or TERMINAL in (edge.source, edge.target):
            continue
        elif edge.source in decides and edge.source != edge.target:
            choice = decides[edge.source]
            _refuse(
                f"{edge.source} leads to the choice {choice} and to {edge.target}; draw an arrow from {choice} to "
                f"{edge.target} for each option that goes there."
            )
        else:
            edges.append(edge)
    return [node.name for node in diagram.nodes if node.name not in choices], edges, decides


def _deciders(diagram: Diagram, choices: Mapping[str, str]) -> dict[str, str]:
    """Return for each choice the state that picks its option."""
    found: dict[str, str] = {}
    decides: dict[str, str] = {}
    for edge in diagram.edges:
        if edge.target in choices:
            _refuse_no_state(edge, choices)
            if edge.target in found:
                both = f"{found[edge.target]} and {edge.source}"
                _refuse(f"{both} lead to the choice {edge.target}, but one state picks its option.")
            if edge.source in decides:
                both = f"{decides[edge.source]} and {edge.target}"
                _refuse(f"{edge.source} leads to the choices {both}, but a state picks one option.")
            found[edge.target] = edge.source
            decides[edge.source] = edge.target
    for choice in choices:
        if choice not in found:
            _refuse(f"no state leads to the choice {choice}; the one that does picks its option.")
    return found


def _refuse_no_state(edge: Edge, choices: Mapping[str, str]) -> None:
    if edge.source == edge.target:
        _refuse(f"the choice {edge.target} leads to itself; only states are tried again.")
    if edge.source == TERMINAL or edge.source in choices:
        first = "the beginning" if edge.source == TERMINAL else f"the choice {edge.source}"
        _refuse(
            f"{first} leads straight to the choice {edge.target}; draw the state between them that picks its option."
        )


def _refuse_loose_ends(diagram: Diagram, choices: Mapping[str, str]) -> None:
    """Each state is where the diagram begins or comes after another, and ends it or leads on; never both."""
    arrows = [edge for edge in diagram.edges if edge.source != edge.target]
    if len(arrows) < len(diagram.edges) and any(
        edge.source == edge.target == TERMINAL for edge in diagram.edges
    ):
        _refuse("the beginning leads straight to the end; draw a state between them.")
    begins = {edge.target for edge in arrows if edge.source == TERMINAL}
    comes = {edge.target: edge.source for edge in arrows if edge.source != TERMINAL}
    ends = {edge.source for edge in arrows if edge.target == TERMINAL}
    leads = {edge.source: edge.target for edge in arrows if edge.target != TERMINAL}
    for node in diagram.nodes:
        name = node.name
        if name in choices:
            continue
        if name in begins and name in comes:
            _refuse(f"{name} is where the diagram begins, but it comes after {comes[name]} as well.")
        if name not in begins and name not in comes:
            _refuse(f"nothing leads to {name}; draw '[*] --> {name}' if the diagram begins there.")
        if name in ends and name in leads:
            _refuse(f"{name} is where the diagram ends, but it leads to {leads[name]} as well.")
        if name not in ends and name not in leads:
            _refuse(f"{name} leads nowhere; draw '{name} --> [*]' if the diagram ends there.")


def _refuse(message: str) -> NoReturn:
    raise DiagramInvalid(message)
