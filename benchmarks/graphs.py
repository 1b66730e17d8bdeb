"""Graphs: what a step costs in a large run beside a small one, and branches on two workers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.background import Site, at_work
from benchmarks.processes import Talker
from benchmarks.targets import Verdict

SMALL, LARGE = 50, 500
CRITICAL_PATH = 1.0  # seconds
ROUNDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Graphs:
    """Seconds, by shape: of a step in a run of 50 and in one of 500; and of two branches of a second each."""

    small: dict[str, float]
    large: dict[str, float]
    branches: float


def measure(site: Site, room: Path) -> Graphs:
    """Run chains and fans in one process, and two branches on two workers."""
    with at_work(site, ["flowstate"], 1), at_work(site, ["flowstate"], 2):
        grapher = Talker(room, "grapher", ("benchmarks.grapher",), site.environment)
        try:
            small = {shape: grapher.ask("steps", shape, SMALL) for shape in ("chain", "fan")}
            large = {shape: grapher.ask("steps", shape, LARGE) for shape in ("chain", "fan")}
            grapher.ask("branches")
            seconds = median(grapher.ask("branches") for _round in range(ROUNDS))
        finally:
            grapher.kill()
    return Graphs(small=small, large=large, branches=seconds)


def verdicts(found: Graphs) -> Iterator[Verdict]:
    """Judge the targets of graphs."""
    for shape, large in found.large.items():
        small = found.small[shape]
        yield Verdict(
            "G1",
            f"a step in a {shape} of {LARGE} / of {SMALL}",
            "<= 1.3x",
            f"{large / small:.2f}x ({1e3 * large:.2f} / {1e3 * small:.2f} ms)",
            large / small <= 1.3,
        )
    ratio = found.branches / CRITICAL_PATH
    yield Verdict(
        "G2",
        "two branches of 1 s on two workers, to the critical path",
        "<= 1.25x",
        f"{ratio:.2f}x ({found.branches:.2f} s)",
        ratio <= 1.25,
    )
