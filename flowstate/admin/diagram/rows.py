"""Puts the steps of a graph into rows, one below the other, so that all arrows lead down. Pure: no pixels yet.

An arrow that passes rows has a bend in each of them, so that it never crosses a box. Arrows that leave one step, or
lead to one, share their bends: a hundred steps side by side need one line around them, not a hundred.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import NamedTuple

from flowstate.workflows import graph as graphs
from flowstate.workflows.graph import Graph

SWEEPS = 6
"""How often the rows are sorted again by their neighbours; more hardly changes anything."""


class Spot(NamedTuple):
    """A place in a row: of a step's box, or of a bend of the arrows that leave it or lead to it."""

    row: int
    name: str
    bend: str = ""
    """"out" or "in" for a bend; empty for the box."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrow:
    """One dependency, as the spots that it touches from above to below."""

    source: str
    target: str
    spots: tuple[Spot, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The spots of each row from left to right, and the arrows between them."""

    rows: tuple[tuple[Spot, ...], ...]
    arrows: tuple[Arrow, ...]

    @property
    def above(self) -> dict[Spot, list[Spot]]:
        """Each spot with those in the row above that it is connected to."""
        return _connected(self.arrows, upwards=True)

    @property
    def below(self) -> dict[Spot, list[Spot]]:
        """Each spot with those in the row below that it is connected to."""
        return _connected(self.arrows, upwards=False)


def put_in_rows(graph: Graph, *, most: int) -> Rows:
    """Return the steps in rows of at most `most` boxes; a layer of more of them takes several rows.

    Each step stands below all that it depends on. The order within a row keeps crossings few; the same graph
    always gives the same rows. A circle, which no journal holds, is cut open.
    """
    graph = _without_circles(graph)
    row_of = _rows_of(graph, most)
    arrows = tuple(_arrows(graph, row_of))
    rows: list[list[Spot]] = [[] for _ in range(max(row_of.values(), default=-1) + 1)]
    spots = dict.fromkeys(Spot(row, name) for name, row in row_of.items())
    for spot in spots | dict.fromkeys(spot for arrow in arrows for spot in arrow.spots):
        rows[spot.row].append(spot)
    return Rows(rows=_sorted(rows, arrows), arrows=arrows)


def _without_circles(graph: Graph) -> Graph:
    known = {name: tuple(need for need in needed if need in graph) for name, needed in graph.items()}
    possible = set(graphs.order(known))
    return {name: needed if name in possible else () for name, needed in known.items()}


def _rows_of(graph: Graph, most: int) -> dict[str, int]:
    layer: dict[str, int] = {}
    for name in graphs.order(graph):
        layer[name] = 1 + max((layer[needed] for needed in graph[name]), default=-1)
    layers: dict[int, list[str]] = {}
    for name in graph:
        layers.setdefault(layer[name], []).append(name)
    row_of: dict[str, int] = {}
    row = 0
    for number in sorted(layers):
        names = layers[number]
        size = ceil(len(names) / ceil(len(names) / most))  # 6 at most 5 a row: 3 and 3
        for index, name in enumerate(names):
            row_of[name] = row + index // size
        row += ceil(len(names) / size)
    return row_of


def _arrows(graph: Graph, row_of: Mapping[str, int]) -> Iterable[Arrow]:
    followers = graphs.dependents(graph)
    for target, needed in graph.items():
        for source in dict.fromkeys(needed):
            first, last = row_of[source], row_of[target]
            fans_out = len(followers[source]) >= len(needed)
            shared = (source, "out") if fans_out else (target, "in")
            bends = (Spot(row, *shared) for row in range(first + 1, last))
            spots = (Spot(first, source), *bends, Spot(last, target))
            yield Arrow(source=source, target=target, spots=spots)


def _connected(arrows: Iterable[Arrow], *, upwards: bool) -> dict[Spot, list[Spot]]:
    found: dict[Spot, dict[Spot, None]] = {}
    for arrow in arrows:
        for upper, lower in pairwise(arrow.spots):
            one, other = (lower, upper) if upwards else (upper, lower)
            found.setdefault(one, {})[other] = None
    return {spot: list(others) for spot, others in found.items()}


# --- the order within rows -----------------------------------------------------------------------


def _sorted(rows: Sequence[Sequence[Spot]], arrows: Iterable[Arrow]) -> tuple[tuple[Spot, ...], ...]:
    """Sort each row by the middle of what its spots are connected to, down and up, and keep the best."""
    arrows = tuple(arrows)
    above, below = _connected(arrows, upwards=True), _connected(arrows, upwards=False)
    current = [list(row) for row in rows]
    best, fewest = _frozen(current), None
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        numbers = range(1, len(current)) if down else range(len(current) - 2, -1, -1)
        for number in numbers:
            beside = current[number - 1] if down else current[number + 1]
            current[number] = _by_neighbours(current[number], beside, above if down else below)
        crossings = sum(_crossings(upper, lower, below) for upper, lower in pairwise(current))
        if fewest is None or crossings < fewest:
            best, fewest = _frozen(current), crossings
        if not fewest:
            break
    return best


def _frozen(rows: Iterable[Iterable[Spot]]) -> tuple[tuple[Spot, ...], ...]:
    return tuple(map(tuple, rows))


def _by_neighbours(
    row: Sequence[Spot], beside: Sequence[Spot], connected: Mapping[Spot, Sequence[Spot]]
) -> list[Spot]:
    place = _centred(beside)
    own = _centred(row)

    def wanted(spot: Spot) -> float:
        others = [place[other] for other in connected.get(spot, ())]
        return sum(others) / len(others) if others else own[spot]

    return sorted(row, key=wanted)


def _centred(row: Sequence[Spot]) -> dict[Spot, float]:
    middle = (len(row) - 1) / 2
    return {spot: index - middle for index, spot in enumerate(row)}


def _crossings(upper: Sequence[Spot], lower: Sequence[Spot], below: Mapping[Spot, Sequence[Spot]]) -> int:
    place = {spot: index for index, spot in enumerate(lower)}
    passed: list[int] = []
    crossings = 0
    for spot in upper:
        ends = [place[other] for other in below.get(spot, ())]
        crossings += sum(len(passed) - bisect_right(passed, end) for end in ends)
        for end in ends:
            insort(passed, end)
    return crossings
