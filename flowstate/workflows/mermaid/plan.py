"""What a diagram means: steps, what each waits for, and which options the choices have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

from flowstate.exceptions import DiagramInvalid
from flowstate.workflows import graph
from flowstate.workflows.mermaid.diagram import TERMINAL, Diagram, Edge, Grammar, Shape
from flowstate.workflows.mermaid.folding import folded
from flowstate.workflows.mermaid.retries import retry_of
from flowstate.workflows.policies import Retry


class Need(NamedTuple):
    """A step that another waits for and, where that is a choice, the option that it follows."""

    step: str
    option: str = ""

    def __str__(self) -> str:
        return f"{self.step}[{self.option}]" if self.option else self.step


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """One step as it is drawn."""

    name: str
    needs: tuple[Need, ...]
    options: tuple[str, ...]
    """Of a choice, in the order of its arrows; empty for any other step."""
    choice: str
    """What the diagram calls the choice: the rhombus itself, or the <<choice>> that the state leads to."""
    retry: Retry | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The workflow that a diagram draws."""

    title: str
    steps: tuple[PlannedStep, ...]
    """In the order in which they were first mentioned."""
    remarks: tuple[str, ...]
    """What is drawn and has no effect, for people."""

    @property
    def ordered(self) -> tuple[PlannedStep, ...]:
        """The steps so that each comes after all it waits for."""
        by_name = {step.name: step for step in self.steps}
        needs = {step.name: tuple({need.step: None for need in step.needs}) for step in self.steps}
        return tuple(by_name[name] for name in graph.order(needs))


def planned(diagram: Diagram) -> Plan:
    """Return what a diagram means. Raises DiagramInvalid where it means nothing, or two things at once."""
    _refuse_dots_and_cycles(diagram)
    choices = {node.name: node.name for node in diagram.nodes if node.shape is Shape.CHOICE}
    names, edges = [node.name for node in diagram.nodes], list(diagram.edges)
    remarks = tuple(_remarks(diagram, choices))
    if diagram.grammar is Grammar.STATES:
        names, edges, choices = folded(diagram, choices)
    if not names:
        _refuse("the diagram is empty: it needs at least one step.")
    needs: dict[str, dict[Need, None]] = {name: {} for name in names}
    options: dict[str, dict[str, None]] = {name: {} for name in choices}
    loops: dict[str, list[str]] = {}
    for edge in edges:
        if edge.source == edge.target:
            _loop(edge, choices, diagram, loops)
        else:
            _arrow(edge, needs, options)
    _refuse_few(options, choices)
    steps = (
        PlannedStep(
            name=name,
            needs=tuple(needs[name]),
            options=tuple(options.get(name, ())),
            choice=choices.get(name, ""),
            retry=retry_of("\n".join(loops[name]), name) if name in loops else None,
        )
        for name in names
    )
    return Plan(title=diagram.title, steps=tuple(steps), remarks=remarks)


def _loop(edge: Edge, choices: dict[str, str], diagram: Diagram, loops: dict[str, list[str]]) -> None:
    # The state before a <<choice>> may be tried again; a rhombus has names on its arrows for another purpose.
    if edge.source in choices and diagram.grammar is Grammar.FLOWCHART and "=" not in edge.label:
        _refuse(
            f"the choice {edge.source} leads to itself; only what failed is tried again, as in 'attempts=3'."
        )
    loops.setdefault(edge.source, []).append(edge.label)


def _arrow(edge: Edge, needs: dict[str, dict[Need, None]], options: dict[str, dict[str, None]]) -> None:
    need = Need(edge.source)
    if edge.source in options:
        if not edge.label:
            _refuse(
                f"the arrow from the choice {edge.source} to {edge.target} has no name, but that is the option it stands for."
            )
        options[edge.source][edge.label] = None
        need = Need(edge.source, edge.label)
    if edge.target == TERMINAL:
        return  # an option that nothing follows
    if need in needs[edge.target]:
        _refuse(f"the arrow from {edge.source} to {edge.target} is drawn twice.")
    needs[edge.target][need] = None


def _remarks(diagram: Diagram, choices: dict[str, str]) -> Iterator[str]:
    for edge in diagram.edges:
        if edge.label and edge.source != edge.target and edge.source not in choices:
            yield (
                f"the name {edge.label!r} of the arrow from {edge.source} to {edge.target} has no effect: "
                f"{edge.source} is no choice."
            )


def _refuse_dots_and_cycles(diagram: Diagram) -> None:
    needs: dict[str, dict[str, None]] = {node.name: {} for node in diagram.nodes}
    for edge in diagram.edges:
        if edge.dotted:
            _refuse(
                f"the arrow from {edge.source} to {edge.target} is dotted, as the way back in the diagram of a run; "
                "what waits for something is drawn by a solid one."
            )
        if edge.source != edge.target and TERMINAL not in (edge.source, edge.target):
            needs[edge.target][edge.source] = None
    circle = graph.cycle({name: tuple(sources) for name, sources in needs.items()})
    if circle:
        _refuse(f"the arrows go round: {' --> '.join(reversed(circle))}.")


def _refuse_few(options: dict[str, dict[str, None]], choices: dict[str, str]) -> None:
    for name, found in options.items():
        if len(found) < 2:
            _refuse(
                f"the choice {choices[name]} needs two options or more: arrows of different names that leave it."
            )


def _refuse(message: str) -> NoReturn:
    raise DiagramInvalid(message)
