"""Where the boxes and arrows of a graph are, in pixels. Pure: a graph and the heights of its boxes in, numbers out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TypeAlias

from flowstate.admin.diagram.rows import Rows, Spot, put_in_rows
from flowstate.workflows.graph import Graph

Point: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How much room things take, in pixels."""

    box: int = 172
    """Width of a box."""
    bend: int = 10
    beside: int = 22
    """Between two boxes of a row."""
    between: int = 40
    """Between two rows."""
    margin: int = 8
    most: int = 5
    """Boxes in a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """One step; `x` and `y` are its upper left corner."""

    name: str
    x: int
    y: int
    width: int
    height: int

    @property
    def middle(self) -> int:
        """The x of its centre."""
        return self.x + self.width // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One arrow: from the bottom of a box by bends to the top of another. It goes straight down where x stays."""

    source: str
    target: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The whole picture."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    ways: tuple[Way, ...]


def arrange(graph: Graph, heights: Mapping[str, int], room: Room | None = None) -> Layout:
    """Return where the steps of the graph are; `heights` are those of their boxes.

    Boxes never overlap, arrows lead down and through no box, and everything is within the picture.
    """
    room = room or Room()
    rows = put_in_rows(graph, most=room.most)
    centres = _centres(rows, room)
    tops, bottom = _tops(rows, heights, room)
    left = min((centres[spot] - _width(spot, room) / 2 for row in rows.rows for spot in row), default=0)
    shifted = {spot: round(centre - left) + room.margin for spot, centre in centres.items()}
    boxes = tuple(
        _box(spot, shifted, tops, heights, room) for row in rows.rows for spot in row if not spot.bend
    )
    by_name = {box.name: box for box in boxes}
    ways = tuple(
        Way(
            source=arrow.source,
            target=arrow.target,
            points=_points(arrow.spots, by_name, shifted, tops, bottom),
        )
        for arrow in rows.arrows
    )
    place = {name: index for index, name in enumerate(graph)}
    right = max((shifted[spot] + _width(spot, room) // 2 for row in rows.rows for spot in row), default=0)
    return Layout(
        width=right + room.margin,
        height=(bottom[-1] if bottom else 0) + room.margin,
        boxes=tuple(sorted(boxes, key=lambda box: place[box.name])),
        ways=ways,
    )


def _width(spot: Spot, room: Room) -> int:
    return room.bend if spot.bend else room.box


def _tops(rows: Rows, heights: Mapping[str, int], room: Room) -> tuple[list[int], list[int]]:
    """Return where each row begins and ends."""
    tall = [max((heights[spot.name] for spot in row if not spot.bend), default=0) for row in rows.rows]
    tops = list(accumulate((height + room.between for height in tall), initial=room.margin))[: len(tall)]
    return tops, [top + height for top, height in zip(tops, tall, strict=True)]


def _box(
    spot: Spot, centres: Mapping[Spot, int], tops: Sequence[int], heights: Mapping[str, int], room: Room
) -> Box:
    return Box(
        name=spot.name,
        x=centres[spot] - room.box // 2,
        y=tops[spot.row],
        width=room.box,
        height=heights[spot.name],
    )


def _points(
    spots: Sequence[Spot],
    boxes: Mapping[str, Box],
    centres: Mapping[Spot, int],
    tops: Sequence[int],
    bottoms: Sequence[int],
) -> tuple[Point, ...]:
    source, target = boxes[spots[0].name], boxes[spots[-1].name]
    points = [(source.middle, source.y + source.height)]
    if points[0][1] != bottoms[spots[0].row]:
        points.append((source.middle, bottoms[spots[0].row]))  # straight down past taller boxes beside it
    for spot in spots[1:-1]:
        points += [(centres[spot], tops[spot.row]), (centres[spot], bottoms[spot.row])]
    return (*points, (target.middle, target.y))


# --- from left to right --------------------------------------------------------------------------


def _centres(rows: Rows, room: Room) -> dict[Spot, float]:
    """Return the x of each spot: near the middle of what it is connected to, in the order of its row."""
    above, below = rows.above, rows.below
    offsets = {row: _offsets(row, room) for row in rows.rows}
    centres: dict[Spot, float] = {}
    for row in rows.rows:
        middle = offsets[row][-1] / 2
        centres |= {spot: offset - middle for spot, offset in zip(row, offsets[row], strict=True)}
    # No row leaves the width that the widest one needs, or a long way round would draw them all aside.
    half = max((row_offsets[-1] / 2 for row_offsets in offsets.values()), default=0.0)
    for sweep in range(6):
        down = sweep % 2 == 0
        connected = above if down else below
        for row in rows.rows if down else rows.rows[::-1]:
            wanted = [
                _mean((centres[other] for other in connected.get(spot, ())), centres[spot]) for spot in row
            ]
            centres |= zip(row, _spread(wanted, offsets[row], half), strict=True)
    return centres


def _offsets(row: Sequence[Spot], room: Room) -> list[float]:
    """Return how far right of the first each spot is at least."""
    steps = (
        (_width(one, room) + _width(other, room)) / 2 + (room.beside if not (one.bend and other.bend) else 2)
        for one, other in pairwise(row)
    )
    return list(accumulate(steps, initial=0.0))


def _mean(values: Iterable[float], otherwise: float) -> float:
    found = list(values)
    return sum(found) / len(found) if found else otherwise


def _spread(wanted: Sequence[float], offsets: Sequence[float], half: float) -> list[float]:
    """Return the places nearest to those wanted that keep the order, the distances, and within `half` of 0.

    Neighbours that are too near are pooled, and a pool stands at the mean of what its members want.
    """
    pools: list[tuple[float, int]] = []
    for place, offset in zip(wanted, offsets, strict=True):
        mean, size = place - offset, 1
        while pools and pools[-1][0] > mean:
            before, count = pools.pop()
            mean, size = (before * count + mean * size) / (count + size), count + size
        pools.append((mean, size))
    leftmost, rightmost = -half, half - offsets[-1]
    starts = [min(max(mean, leftmost), rightmost) for mean, size in pools for _ in range(size)]
    return [start + offset for start, offset in zip(starts, offsets, strict=True)]
