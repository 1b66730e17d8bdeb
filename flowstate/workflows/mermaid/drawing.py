"""Draws what a workflow declares: a flowchart, or a state diagram where there is a choice."""

from __future__ import annotations

from collections.abc import Iterator

from flowstate.workflows.choices import ChoiceStep
from flowstate.workflows.declaration import Declaration
from flowstate.workflows.mermaid.diagram import TERMINAL, Diagram, Edge, Grammar, Node, Shape, shape_of
from flowstate.workflows.mermaid.retries import text_of
from flowstate.workflows.steps import Step


def drawn(declaration: Declaration) -> Diagram:
    """Return a node for each step in declared order, and an arrow for each dependency.

    A retry is an arrow from a step to itself. In a state diagram each choice has a node of its own behind its
    step, and the arrows that leave it are its options.
    """
    choices = _choices(declaration)
    if choices:
        return _states(declaration, choices)
    edges = (edge for step in declaration.steps for edge in (*_needs(step, choices), *_loop(step)))
    return Diagram(nodes=tuple(_node(step) for step in declaration.steps), edges=tuple(edges))


def _choices(declaration: Declaration) -> dict[str, str]:
    """Return what the node of each choice is called: like its step, and like no other."""
    taken = set(declaration.by_name)
    found: dict[str, str] = {}
    for step in declaration.steps:
        if isinstance(step, ChoiceStep):
            name = f"{step.name}_choice"
            while name in taken:
                name += "_"
            taken.add(name)
            found[step.name] = name
    return found


def _states(declaration: Declaration, choices: dict[str, str]) -> Diagram:
    nodes: list[Node] = []
    edges: list[Edge] = []
    for step in declaration.steps:
        nodes.append(Node(name=step.name))
        edges += [*_needs(step, choices), *_loop(step)]
        if not step.depends_on:
            edges.append(Edge(source=TERMINAL, target=step.name))
        if isinstance(step, ChoiceStep):
            nodes.append(Node(name=choices[step.name], shape=Shape.CHOICE))
            edges += _options(step, choices[step.name], declaration)
        elif not declaration.dependents[step.name]:
            edges.append(Edge(source=step.name, target=TERMINAL))
    return Diagram(grammar=Grammar.STATES, nodes=tuple(nodes), edges=tuple(edges))


def _node(step: Step) -> Node:
    return Node(name=step.name, shape=shape_of(step.kind))


def _needs(step: Step, choices: dict[str, str]) -> Iterator[Edge]:
    """Yield the arrows from what a step waits for; those of choices are drawn with the choice."""
    yield from (Edge(source=needed, target=step.name) for needed in step.depends_on if needed not in choices)


def _loop(step: Step) -> Iterator[Edge]:
    if step.retry is not None:
        yield Edge(source=step.name, target=step.name, label=text_of(step.retry))


def _options(step: ChoiceStep, choice: str, declaration: Declaration) -> Iterator[Edge]:
    """Yield the arrow to the choice, then those of its options in their order; one without followers ends."""
    yield Edge(source=step.name, target=choice)
    for option in step.options:
        followers = [
            name
            for name in declaration.dependents[step.name]
            if option in declaration.by_name[name].branches[step.name]
        ]
        for target in followers or [TERMINAL]:
            yield Edge(source=choice, target=target, label=option)
