"""Draws where a run stands: its steps by their status, and the way back where they are undone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from flowstate.models.statuses import Compensation, RunStatus, StepStatus
from flowstate.workflows import graph
from flowstate.workflows.mermaid import Diagram, Edge, Node, Shape, shape_of

if TYPE_CHECKING:
    from flowstate.models.run import Run
    from flowstate.models.step_run import StepRun

_TRIED = (Compensation.RUNNING, Compensation.DONE, Compensation.FAILED, Compensation.WAIVED)
_HAPPENED = (StepStatus.DONE, StepStatus.UNKNOWN)
_UNDOING = (RunStatus.COMPENSATING, RunStatus.ATTENTION)


def drawn_run(run: Run) -> Diagram:
    """Return the diagram of a run from its rows alone: it needs no code that declares them.

    It says nothing that a run was given or has returned: names and statuses only.
    """
    rows = run.steps
    undone = {row.name: row for row in rows if _is_undone(row, run)}
    nodes = [_node(row) for row in rows]
    edges = [edge for row in rows for needed in row.depends_on for edge in _edges(needed, row)]
    nodes += [_undo_node(row) for row in undone.values()]
    edges += _way_back(rows, undone)
    return Diagram(nodes=tuple(nodes), edges=tuple(edges))


def _edges(needed: str, row: StepRun) -> Iterator[Edge]:
    """Yield the arrows from a step to one that waits for it: of a choice, one for each option that it follows."""
    for option in (row.branches or {}).get(needed, ("",)):
        yield Edge(source=needed, target=row.name, label=option)


def _is_undone(row: StepRun, run: Run) -> bool:
    due = row.compensation == Compensation.PENDING and row.status in _HAPPENED and run.status in _UNDOING
    return due or row.compensation in _TRIED


def _node(row: StepRun) -> Node:
    return Node(name=row.name, label=f"{row.name}\n{row.status}", shape=shape_of(row.kind), css=row.status)


def _undo_node(row: StepRun) -> Node:
    return Node(
        name=undo_of(row.name),
        label=f"undo {row.name}\n{row.compensation}",
        shape=Shape.STADIUM,
        css=f"undo_{row.compensation}",
    )


def undo_of(name: str) -> str:
    """Return the name of the node that draws how this step is undone."""
    # No step's name begins with two underscores, so that none can have this one.
    return f"__undo_{name}"


def _way_back(rows: Sequence[StepRun], undone: dict[str, StepRun]) -> Iterator[Edge]:
    """Yield dotted edges: from what was undone last before, from the step itself where nothing was."""
    known = {row.name for row in rows}
    needs = {row.name: tuple(need for need in row.depends_on if need in known) for row in rows}
    dependents = graph.dependents(needs)
    nearest: dict[str, dict[str, None]] = {}
    for name in graph.reverse_order(needs):
        nearest[name] = {}
        for dependent in dependents[name]:
            nearest[name] |= {dependent: None} if dependent in undone else nearest[dependent]
    for name in undone:
        before_it = nearest.get(name, {})  # nothing is known in a circle, which only a forged journal holds
        for before in before_it:
            yield Edge(source=undo_of(before), target=undo_of(name), dotted=True)
        if not before_it:
            yield Edge(source=name, target=undo_of(name), dotted=True)
