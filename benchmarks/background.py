"""In the background: the same burst of runs for each crew, with one worker process and with two."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import redis

from benchmarks.database import HOST, PORT, Database
from benchmarks.inline import Amount, Counted
from benchmarks.processes import Talker, Worker, celery_worker
from benchmarks.proxy import CountingProxy

CREWS = ("raw", "flowstate", "celery")
WARM_UP = 20
_CONNECTIONS = {"info", "client", "ping", "hello", "select", "config"}


@dataclass(slots=True)
class Burst:
    """How a crew worked off what was queued at once."""

    runs: int
    seconds: float
    first: float
    """Seconds from the commit until the first run was done."""
    enqueued: float
    """Runs enqueued per second."""

    @property
    def rate(self) -> float:
        """Runs per second, from the commit that made them visible."""
        return self.runs / self.seconds


@dataclass(slots=True)
class Background:
    """What the rounds gave, by crew."""

    one: dict[str, list[Burst]] = field(default_factory=dict)
    two: dict[str, list[Burst]] = field(default_factory=dict)
    low_load: dict[str, list[float]] = field(default_factory=dict)
    counted: dict[str, Counted] = field(default_factory=dict)
    redis_queued: dict[str, float] = field(default_factory=dict)
    redis_single: dict[str, float] = field(default_factory=dict)


class Site:
    """Where the crews work: a database, a broker, and the processes that enqueue and watch."""

    def __init__(self, room: Path, environment: Mapping[str, str]) -> None:
        self.room, self.environment = room, environment
        self._client = Talker(room, "client", ("benchmarks.crew",), environment)
        self._watcher = Talker(room, "watcher", ("benchmarks.crew",), environment)

    def close(self) -> None:
        """End the processes."""
        self._client.kill()
        self._watcher.kill()

    def worker(self, crew: str, number: int, environment: Mapping[str, str] | None = None) -> Worker:
        """Return a starting worker of a crew."""
        environment = {**self.environment, **(environment or {})}
        name = f"{crew}{number}"
        if crew == "raw":
            return Worker(self.room, name, ("benchmarks.raw_worker",), environment)
        return celery_worker(self.room, name, {"celery": "chain"}.get(crew, crew), environment)

    def begin(self, crew: str, runs: int) -> tuple[int, int, dict[str, float]]:
        """Enqueue a burst; return the first and last order, and what the client says of it."""
        first, last = self._client.ask("orders", runs)
        self._watcher.tell("watch", first, last)
        return first, last, self._client.ask("burst", crew)

    def end(self) -> dict[str, float]:
        """Return what the watcher saw of the burst that was begun last."""
        seen: dict[str, float] = self._watcher.answer()
        return seen

    def burst(self, crew: str, runs: int) -> Burst:
        """Enqueue so many runs at once and wait for all."""
        _first, _last, begun = self.begin(crew, runs)
        seen = self.end()
        if seen["paid"] != runs:
            message = f"{crew} left {runs - seen['paid']} of {runs} runs undone"
            raise AssertionError(message)
        return Burst(runs, seen["last"] - begun["at"], seen["first"] - begun["at"], runs / begun["seconds"])

    def singles(self, crew: str, runs: int) -> list[float]:
        """Return the seconds from start to finish of runs that each find the worker idle."""
        self._client.ask("orders", runs)
        seconds: list[float] = self._client.ask("single", crew)
        return seconds


@contextmanager
def at_work(site: Site, crews: Sequence[str], number: int) -> Iterator[None]:
    """Have one worker process more of each crew."""
    with ExitStack() as stack:
        workers = []
        for crew in crews:
            workers.append(site.worker(crew, number))
            stack.callback(workers[-1].stop)
        for worker in workers:
            worker.wait_ready()
        yield


def measure(site: Site, crews: Sequence[str], *, amount: Amount, singles: int) -> Background:
    """Return bursts with one worker and with two, in turns, and the latency at low load."""
    found = Background(
        one={crew: [] for crew in crews},
        two={crew: [] for crew in crews},
        low_load={crew: [] for crew in crews},
    )
    with at_work(site, crews, 1):
        for crew in crews:
            site.burst(crew, WARM_UP)
            site.singles(crew, 5)
        for _round in amount.rounds_within():
            for crew in crews:
                found.one[crew].append(site.burst(crew, amount.runs))
            for crew in crews:
                found.low_load[crew] += site.singles(crew, singles)
            with at_work(site, crews, 2):
                for crew in crews:
                    site.burst(crew, WARM_UP)
                    found.two[crew].append(site.burst(crew, amount.runs))
    return found


def count(
    site: Site, crews: Sequence[str], database: Database, broker: str, found: Background, *, runs: int
) -> None:
    """Add what a run costs: statements and commits of the workers, Redis commands of everybody."""
    proxy = CountingProxy(HOST, PORT)
    try:
        for crew in crews:
            worker = site.worker(crew, 9, {"BENCH_PG_PORT": str(proxy.port)})
            try:
                worker.wait_ready()
                site.burst(crew, WARM_UP)
                position, before = database.position(), Counter(proxy.counts)
                commands = redis_commands(broker)
                site.burst(crew, runs)
                found.redis_queued[crew] = (redis_commands(broker) - commands) / runs
                cost, written = proxy.counts - before, database.written_since(position)
                found.counted[crew] = Counted(cost["sql"] / runs, cost["tx"] / runs, written, runs)
                commands = redis_commands(broker)
                site.singles(crew, WARM_UP)
                found.redis_single[crew] = (redis_commands(broker) - commands) / WARM_UP
            finally:
                worker.stop()
    finally:
        proxy.close()


def redis_commands(broker: str) -> int:
    """Return how many commands the broker has carried out, those of opening connections aside."""
    time.sleep(0.1)  # a worker acknowledges after the order is paid
    with redis.Redis.from_url(broker) as client:
        stats = client.info("commandstats")
    return sum(
        of_command["calls"]
        for name, of_command in stats.items()
        if name.removeprefix("cmdstat_").partition("|")[0] not in _CONNECTIONS
    )
