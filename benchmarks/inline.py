"""In the caller's process: peers take turns within each round, each in a process of its own."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.database import HOST, PORT, Database, Written
from benchmarks.numbers import Round
from benchmarks.processes import Talker
from benchmarks.proxy import CountingProxy

TURNS = 8  # in a round, so that a disturbance of a second falls on everybody
WARM_UP = 20

Rounds = dict[str, list[Round]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """How much is measured: so many rounds of so many runs, as long as the time lasts."""

    rounds: int
    runs: int
    seconds: float

    def rounds_within(self) -> Iterator[int]:
        """Count the rounds; no further one begins where it would not end in time."""
        began = time.monotonic()
        for number in range(self.rounds):
            spent = time.monotonic() - began
            if number and spent + spent / number > self.seconds:
                return
            yield number


def measure(room: Path, names: Sequence[str], environment: Mapping[str, str], *, amount: Amount) -> Rounds:
    """Return the rounds of each peer."""
    peers = {name: Talker(room, name, ("benchmarks.peer", name), environment) for name in names}
    try:
        for peer in peers.values():
            run(peer, WARM_UP)
        rounds = [_round(peers, amount.runs) for _number in amount.rounds_within()]
        return {name: [done[name] for done in rounds] for name in names}
    finally:
        for peer in peers.values():
            peer.kill()


def run(peer: Talker, runs: int) -> dict[str, Any]:
    """Have a peer carry out so many runs; return how long each took, and the CPU time of all."""
    peer.ask("orders", runs)
    answer: dict[str, Any] = peer.ask("run")
    return answer


def _round(peers: Mapping[str, Talker], runs: int) -> dict[str, Round]:
    done = {name: Round() for name in peers}
    for _turn in range(TURNS):
        for name, peer in peers.items():
            answer = run(peer, max(runs // TURNS, 1))
            done[name].seconds += answer["seconds"]
            done[name].cpu += answer["cpu"]
    return done


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


def _count(
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
