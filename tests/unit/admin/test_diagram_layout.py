"""Where the boxes and arrows of a diagram are: for any graph, in order and in each other's way nowhere."""

from __future__ import annotations

import sys
from itertools import combinations, pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from flowstate.admin.diagram.layout import Box, Layout, Room, arrange
from flowstate.admin.diagram.rows import put_in_rows
from flowstate.workflows.graph import Graph

ROOM = Room()


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """A graph of up to 40 steps without a circle."""
    size = draw(st.integers(1, 40))
    links = draw(st.lists(st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)), max_size=3 * size))
    needed: dict[int, set[int]] = {number: set() for number in range(size)}
    for one, other in links:
        if one != other:
            needed[max(one, other)].add(min(one, other))
    return {f"s{number}": tuple(f"s{other}" for other in sorted(needed[number])) for number in range(size)}


def drawn(graph: Graph) -> Layout:
    """With boxes of two heights, as where some steps are undone."""
    return arrange(graph, {name: 46 + 20 * (index % 3 == 0) for index, name in enumerate(graph)}, ROOM)


def overlap(one: Box, other: Box) -> bool:
    beside = one.x + one.width <= other.x or other.x + other.width <= one.x
    return not beside and not (one.y + one.height <= other.y or other.y + other.height <= one.y)


@given(graphs())
def test_every_step_has_one_box_below_all_that_it_waits_for(graph: Graph) -> None:
    boxes = {box.name: box for box in drawn(graph).boxes}

    assert list(boxes) == list(graph)
    for name, needed in graph.items():
        assert all(boxes[other].y + boxes[other].height < boxes[name].y for other in needed)


@given(graphs())
def test_no_two_boxes_overlap_and_none_leaves_the_picture(graph: Graph) -> None:
    layout = drawn(graph)

    assert [
        (one.name, other.name) for one, other in combinations(layout.boxes, 2) if overlap(one, other)
    ] == []
    for box in layout.boxes:
        assert ROOM.margin <= box.x <= layout.width - ROOM.margin - box.width
        assert ROOM.margin <= box.y <= layout.height - ROOM.margin - box.height


@given(graphs())
def test_every_dependency_is_an_arrow_that_leads_down_from_box_to_box(graph: Graph) -> None:
    layout = drawn(graph)
    boxes = {box.name: box for box in layout.boxes}

    ways = {(way.source, way.target): way.points for way in layout.ways}

    assert set(ways) == {(needed, name) for name in graph for needed in graph[name]}
    for (source, target), points in ways.items():
        assert points[0] == (boxes[source].middle, boxes[source].y + boxes[source].height)
        assert points[-1] == (boxes[target].middle, boxes[target].y)
        assert all(one[1] <= other[1] for one, other in pairwise(points))
        assert all(0 <= x <= layout.width for x, _ in points)


@given(graphs())
def test_an_arrow_runs_through_no_box(graph: Graph) -> None:
    """Where it goes straight down it passes boxes, where it is curved it is between two rows."""
    layout = drawn(graph)

    for way in layout.ways:
        for (x, top), (_, bottom) in (pair for pair in pairwise(way.points) if pair[0][0] == pair[1][0]):
            crossed = [
                box.name
                for box in layout.boxes
                if box.x < x < box.x + box.width and box.y < bottom and top < box.y + box.height
            ]
            assert crossed == []


@given(graphs())
def test_a_row_has_few_boxes_and_the_picture_is_no_wider_than_its_widest_row(graph: Graph) -> None:
    rows = put_in_rows(graph, most=ROOM.most).rows

    assert max(sum(not spot.bend for spot in row) for row in rows) <= ROOM.most
    widest = max(sum((ROOM.bend if spot.bend else ROOM.box) + ROOM.beside for spot in row) for row in rows)
    assert drawn(graph).width <= widest + ROOM.box + 2 * ROOM.margin


@given(graphs())
@settings(max_examples=20)
def test_the_same_graph_is_always_drawn_alike(graph: Graph) -> None:
    assert drawn(graph) == drawn(dict(graph))


def test_steps_one_after_the_other_stand_straight_below_each_other() -> None:
    chain: Graph = {f"s{number}": (f"s{number - 1}",) if number else () for number in range(100)}

    assert len({box.x for box in drawn(chain).boxes}) == 1


def test_a_hundred_steps_side_by_side_share_the_line_around_them() -> None:
    names = [f"s{number}" for number in range(98)]
    fork: Graph = {"first": (), **dict.fromkeys(names, ("first",)), "last": tuple(names)}

    rows = put_in_rows(fork, most=5).rows

    assert len(rows) == 22
    assert max(sum(bool(spot.bend) for spot in row) for row in rows) == 2
    assert drawn(fork).width < 1200


def test_a_circle_or_a_stranger_in_a_forged_journal_is_drawn_all_the_same() -> None:
    forged: Graph = {"a": ("b",), "b": ("a",), "c": ("c", "gone"), "d": ("b",)}

    assert [box.name for box in drawn(forged).boxes] == ["a", "b", "c", "d"]


def test_a_graph_without_steps_is_an_empty_picture() -> None:
    assert drawn({}).boxes == ()


def calls_for(number: int) -> int:
    """Return how many functions are called, Python's own too, to draw so many steps of three dependencies each."""
    graph: Graph = {
        f"s{n}": tuple({f"s{n - 1}", f"s{n // 2}", f"s{n // 3}"}) if n else () for n in range(number)
    }
    calls = 0

    def count(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        drawn(graph)
    finally:
        sys.setprofile(before)
    return calls


def test_twice_the_steps_take_little_more_than_four_times_the_calls() -> None:
    """The arrows that pass a layer take a place in it: their number grows as the square of the layers."""
    once, twice = calls_for(100), calls_for(200)

    assert once > 10_000
    assert twice <= 4.5 * once
