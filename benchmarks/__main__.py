"""`python -m benchmarks`: measure everything and print it."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import background, graphs, inline, recovery, report, targets
from benchmarks.database import Database
from benchmarks.processes import ROOT
from scripts import servers

STEP, RUN, UNDO = "raw/journal-step", "raw/journal-run", "raw/undo"
POSTGRES = {
    "raw/none": RUN,
    "raw/journal-run": RUN,
    "raw/journal-step": STEP,
    "django/atomic": RUN,
    "django/atomic-step": STEP,
    "flowstate/atomic": RUN,
    "flowstate/atomic-exclusive": RUN,
    "flowstate/step": STEP,
    "flowstate/step-exclusive": STEP,
    "flowstate/entities": STEP,
    "dbos/step": STEP,
    "raw/undo": UNDO,
    "django/undo": UNDO,
    "flowstate/undo": UNDO,
    "flowstate/undo-derived": UNDO,
    "dbos/undo": UNDO,
}
"""The peers, and the limit that each is compared with."""

SQLITE = {name: limit for name, limit in POSTGRES.items() if "undo" not in name and "exclusive" not in name}
SUITES = ("sync", "sqlite", "background", "graphs", "recovery")


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is measured."""

    inline: int
    burst: int
    singles: int
    recovery: int
    seconds: float
    """Of a suite, after which no further round begins."""


FULL = Size(inline=200, burst=1000, singles=50, recovery=1000, seconds=200)
QUICK = Size(inline=80, burst=200, singles=20, recovery=200, seconds=30)


@dataclass(slots=True)
class Bench:
    """One call of the benchmark, and what it has found so far."""

    room: Path
    size: Size
    rounds: int
    match: str
    postgres: inline.Rounds = field(default_factory=dict)
    sqlite: inline.Rounds = field(default_factory=dict)
    verdicts: list[targets.Verdict] = field(default_factory=list)

    def in_process(self) -> None:
        """PostgreSQL, in the caller's process."""
        names = self._named(POSTGRES)
        with _database() as database:
            counted = inline.count(self.room, names, database)
            self.postgres = inline.measure(
                self.room, names, database.environment, amount=self._amount(self.size.inline)
            )
        report.inline("In the caller's process, PostgreSQL", self.postgres, POSTGRES, counted)

    def in_process_sqlite(self) -> None:
        """SQLite, in the caller's process."""
        environment = {"BENCH_SQLITE": str(self.room / "bench.sqlite3")}
        _lay_out(environment)
        self.sqlite = inline.measure(
            self.room, self._named(SQLITE), environment, amount=self._amount(self.size.inline)
        )
        report.inline("In the caller's process, SQLite", self.sqlite, SQLITE, {})

    def in_background(self) -> None:
        """Workers: bursts, latency and counts."""
        crews = [crew for crew in background.CREWS if self.match in crew or crew == "raw"]
        with _database() as database, _broker() as broker, self._site(database, broker) as site:
            size = self.size
            found = background.measure(site, crews, amount=self._amount(size.burst), singles=size.singles)
            background.count(site, crews, database, broker, found, runs=min(size.burst, 200))
        report.background(found)
        self.verdicts += targets.of_background(found)

    def graphs(self) -> None:
        """Large runs, and branches on two workers."""
        with _database() as database, _broker() as broker, self._site(database, broker) as site:
            self.verdicts += graphs.verdicts(graphs.measure(site, self.room))

    def recover(self) -> None:
        """A worker is killed."""
        with _database() as database, _broker() as broker, self._site(database, broker) as site:
            found = recovery.measure(site, database, self.room, runs=self.size.recovery)
        self.verdicts += targets.of_recovery(found)

    def _amount(self, runs: int) -> inline.Amount:
        return inline.Amount(rounds=self.rounds, runs=runs, seconds=self.size.seconds)

    def _named(self, names: dict[str, str]) -> list[str]:
        chosen = [name for name in names if self.match in name]
        limits = [names[name] for name in chosen]
        return [name for name in names if name in chosen or name in limits]

    @contextmanager
    def _site(self, database: Database, broker: str) -> Iterator[background.Site]:
        site = background.Site(self.room, {**database.environment, "BENCH_REDIS": broker})
        try:
            yield site
        finally:
            site.close()


@contextmanager
def _database() -> Iterator[Database]:
    database = Database(f"flowstate_bench_{os.getpid()}")
    try:
        _lay_out(database.environment)
        yield database
    finally:
        database.drop()


def _lay_out(environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "benchmarks.layout"]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, check=True)  # noqa: S603 - fixed


@contextmanager
def _broker() -> Iterator[str]:
    """Have a Redis of our own, so that nobody else's commands are counted."""
    room = servers.Room()
    try:
        url = servers.redis(room)
        if url is None:
            sys.exit("The background suites need redis-server on PATH; `--only sync` and `sqlite` do not.")
        yield url
    finally:
        room.close()


def main() -> None:
    """Read the command line, measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=0, help="default: 3, with --quick 1")
    parser.add_argument("--only", nargs="+", choices=SUITES, default=SUITES, help="these suites")
    parser.add_argument("--match", default="", help="only peers whose name contains this, and their limits")
    parser.add_argument("--quick", action="store_true", help="less of everything: under 3 minutes")
    given = parser.parse_args()
    began = time.monotonic()
    room = Path(tempfile.mkdtemp(prefix="flowstate-bench-"))
    bench = Bench(
        room=room,
        size=QUICK if given.quick else FULL,
        rounds=given.rounds or (1 if given.quick else 3),
        match=given.match,
    )
    suites: dict[str, Callable[[], None]] = {
        "sync": bench.in_process,
        "sqlite": bench.in_process_sqlite,
        "background": bench.in_background,
        "graphs": bench.graphs,
        "recovery": bench.recover,
    }
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, room, ignore_errors=True)
        for name in SUITES:
            if name in given.only:
                suites[name]()
    report.targets([*targets.of_inline(bench.postgres, bench.sqlite), *bench.verdicts])
    report.say(f"\n{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
