"""The graph of steps: pure functions over `{name: names it depends on}`, in declared order."""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heapify, heappop, heappush
from typing import TypeAlias

Graph: TypeAlias = Mapping[str, tuple[str, ...]]
"""Each step's name with the names that it depends on; the order of the keys is the declared order."""


def order(graph: Graph) -> tuple[str, ...]:
    """Return the names so that each comes after all it depends on; among equals as declared.

    A graph declared in a possible order comes back as it is. Names in a cycle, and after one, are left out.
    """
    place = {name: index for index, name in enumerate(graph)}
    names = list(graph)
    followers = dependents(graph)
    missing = {name: len(set(needed)) for name, needed in graph.items()}
    ready = [place[name] for name, count in missing.items() if count == 0]
    heapify(ready)
    found: list[str] = []
    while ready:
        name = names[heappop(ready)]
        found.append(name)
        for follower in followers[name]:
            missing[follower] -= 1
            if missing[follower] == 0:
                heappush(ready, place[follower])
    return tuple(found)


def reverse_order(graph: Graph) -> tuple[str, ...]:
    """Return the names so that each comes before all it depends on: the order of undoing."""
    return order(graph)[::-1]


def cycle(graph: Graph) -> tuple[str, ...]:
    """Return a way along the dependencies that ends where it began, as ("a", "b", "a"); empty without one."""
    stuck = set(graph).difference(order(graph))
    if not stuck:
        return ()
    # Each stuck step depends on another stuck one: who follows these must meet a step again.
    place = {name: index for index, name in enumerate(graph)}
    name = next(name for name in graph if name in stuck)
    way: dict[str, int] = {}
    while name not in way:
        way[name] = len(way)
        name = next(needed for needed in graph[name] if needed in stuck)
    circle = list(way)[way[name] :]
    first = min(circle, key=place.__getitem__)
    start = circle.index(first)
    return (*circle[start:], *circle[:start], first)


def dependents(graph: Graph) -> dict[str, tuple[str, ...]]:
    """Return for each name those that depend on it directly, in declared order."""
    found: dict[str, list[str]] = {name: [] for name in graph}
    for name, needed in graph.items():
        for dependency in dict.fromkeys(needed):
            found[dependency].append(name)
    return {name: tuple(followers) for name, followers in found.items()}


def ancestors(graph: Graph, name: str) -> frozenset[str]:
    """Return all that a step depends on, directly or not."""
    found: set[str] = set()
    left = list(graph[name])
    while left:
        needed = left.pop()
        if needed not in found:
            found.add(needed)
            left.extend(graph[needed])
    return frozenset(found)


def loose_ends(graph: Graph) -> tuple[str, ...]:
    """Return the steps that nothing waits for although others are declared below them."""
    followers = dependents(graph)
    return tuple(name for name in list(graph)[:-1] if not followers[name])
