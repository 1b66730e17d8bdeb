"""The graph: any order of any steps, found to be possible or shown to be a circle."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from flowstate.workflows.graph import (
    Graph,
    ancestors,
    cycle,
    dependents,
    loose_ends,
    order,
    reverse_order,
)


@st.composite
def acyclic(draw: st.DrawFn) -> Graph:
    """A graph of up to 200 steps without a circle, declared in any order."""
    size = draw(st.integers(1, 200))
    links = draw(st.lists(st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)), max_size=3 * size))
    needed: dict[int, set[int]] = {number: set() for number in range(size)}
    for one, other in links:
        if one != other:
            needed[max(one, other)].add(min(one, other))
    numbers = draw(st.permutations(range(size)))
    return {f"s{number}": tuple(f"s{other}" for other in sorted(needed[number])) for number in numbers}


def in_possible_order(graph: Graph) -> Graph:
    """The same graph, declared so that each step comes after what it waits for."""
    return {name: graph[name] for name in order(graph)}


@given(acyclic())
def test_every_step_comes_after_all_that_it_waits_for(graph: Graph) -> None:
    place = {name: index for index, name in enumerate(order(graph))}

    assert set(place) == set(graph)
    assert all(place[needed] < place[name] for name in graph for needed in graph[name])


@given(acyclic())
def test_a_declared_order_that_is_possible_is_kept(graph: Graph) -> None:
    declared = in_possible_order(graph)

    assert order(declared) == tuple(declared)


@given(acyclic())
def test_the_order_is_the_same_every_time_and_takes_the_first_declared_of_those_that_could_be_next(
    graph: Graph,
) -> None:
    found = order(graph)

    done: set[str] = set()
    for name in found:
        possible = [other for other in graph if other not in done and done.issuperset(graph[other])]
        assert name == possible[0]
        done.add(name)


@given(acyclic())
def test_undoing_goes_the_opposite_way(graph: Graph) -> None:
    assert list(reverse_order(graph)) == list(reversed(order(graph)))


@given(acyclic())
def test_a_graph_without_a_circle_shows_none(graph: Graph) -> None:
    assert cycle(graph) == ()


@given(acyclic(), st.data())
def test_a_circle_is_found_and_shown_from_its_first_declared_step(graph: Graph, data: st.DataObject) -> None:
    last = data.draw(st.sampled_from(sorted(graph)))
    first = data.draw(st.sampled_from(sorted({last, *ancestors(graph, last)})))
    closed = {**graph, first: (*graph[first], last)}

    path = cycle(closed)

    assert path[0] == path[-1]
    assert len(path) > 1
    assert all(needed in closed[name] for name, needed in pairwise(path))
    assert len(set(path)) == len(path) - 1
    assert path[0] == min(path, key=list(closed).index)


@given(acyclic())
def test_dependents_are_the_dependencies_seen_from_the_other_side(graph: Graph) -> None:
    there = {(name, needed) for name in graph for needed in graph[name]}
    back = {(follower, name) for name, followers in dependents(graph).items() for follower in followers}

    assert back == there


@given(acyclic())
def test_ancestors_are_the_dependencies_and_theirs(graph: Graph) -> None:
    for name in graph:
        direct = set(graph[name])
        assert ancestors(graph, name) == direct.union(*(ancestors(graph, needed) for needed in direct))


def test_a_chain_of_many_thousand_steps_needs_no_recursion() -> None:
    names = [f"s{number}" for number in range(5000)]
    chain: Graph = {
        name: (above,) if above else () for above, name in zip([None, *names], names, strict=False)
    }

    assert order(chain) == tuple(names)
    assert cycle({**chain, "s0": ("s4999",)}) == ("s0", *reversed(names))
    assert len(ancestors(chain, "s4999")) == 4999


def test_a_step_behind_a_circle_is_not_shown_as_part_of_it() -> None:
    assert cycle({"behind": ("b",), "a": ("b",), "b": ("a",)}) == ("a", "b", "a")


def test_a_step_that_waits_for_itself_is_a_circle() -> None:
    assert cycle({"a": ("a",)}) == ("a", "a")


def test_what_nothing_waits_for_is_a_loose_end_unless_it_is_last() -> None:
    graph = {"a": (), "left": ("a",), "right": ("a",), "join": ("left",), "end": ("join",)}

    assert loose_ends(graph) == ("right",)
