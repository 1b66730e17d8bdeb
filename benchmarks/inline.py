"""In the caller's process: peers take turns within each round, each in a process of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.database import HOST, PORT, Database, Written
from benchmarks.numbers import Round
from benchmarks.processes import Talker
from benchmarks.proxy import CountingProxy

TURNS = 4  # in a round, so that a disturbance of a second falls on everybody
WARM_UP = 20

Rounds = dict[str, list[Round]]


def measure(
    room: Path, names: Sequence[str], environment: Mapping[str, str], *, rounds: int, runs: int
) -> Rounds:
    """Return the rounds of each peer."""
    peers = {name: Talker(room, name, ("benchmarks.peer", name), environment) for name in names}
    try:
        for peer in peers.values():
            run(peer, WARM_UP)
        return {
            name: list(of_peer)
            for name, of_peer in zip(
                names, zip(*(_round(peers, runs) for _ in range(rounds)), strict=True), strict=True
            )
        }
    finally:
        for peer in peers.values():
            peer.kill()


def run(peer: Talker, runs: int) -> dict[str, Any]:
    """Have a peer carry out so many runs; return how long each took, and the CPU time of all."""
    peer.ask("orders", runs)
    answer: dict[str, Any] = peer.ask("run")
    return answer


def _round(peers: Mapping[str, Talker], runs: int) -> list[Round]:
    done = {name: Round() for name in peers}
    for _turn in range(TURNS):
        for name, peer in peers.items():
            answer = run(peer, max(runs // TURNS, 1))
            done[name].seconds += answer["seconds"]
            done[name].cpu += answer["cpu"]
    return list(done.values())


@dataclass(frozen=True, slots=True)
class Counted:
    """What one run costs."""

    sql: float
    tx: float
    written: Written | None
    runs: int

    @property
    def commits(self) -> float | None:
        """Writing commits per run."""
        return None if self.written is None else self.written.commits / self.runs

    @property
    def wal(self) -> float | None:
        """Bytes in the log of changes per run."""
        return None if self.written is None else self.written.wal_bytes / self.runs


def count(room: Path, names: Sequence[str], database: Database, *, runs: int = 20) -> dict[str, Counted]:
    """Return what each peer's runs cost; counted through a proxy, timed elsewhere."""
    proxy = CountingProxy(HOST, PORT)
    environment = {**database.environment, "BENCH_PG_PORT": str(proxy.port)}
    try:
        return {name: _count(room, name, environment, database, proxy.counts, runs) for name in names}
    finally:
        proxy.close()


def _count(  # noqa: PLR0913 - private, one caller
    room: Path, name: str, environment: Mapping[str, str], database: Database, counts: Counter[str], runs: int
) -> Counted:
    peer = Talker(room, name, ("benchmarks.peer", name), environment)
    try:
        run(peer, WARM_UP)
        peer.ask("orders", runs)
        position, before = database.position(), Counter(counts)
        peer.ask("run")
        cost, written = counts - before, database.written_since(position)
    finally:
        peer.kill()
    return Counted(sql=cost["sql"] / runs, tx=cost["tx"] / runs, written=written, runs=runs)
