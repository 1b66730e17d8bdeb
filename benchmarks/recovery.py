"""What a worker that is killed costs: nothing lost, nothing doubled, and how long until all is done."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from benchmarks.background import Site
from benchmarks.database import Database

STEPS = 3
STEP_TIMEOUT = 3.0  # seconds; the lease is one more
LEASE = STEP_TIMEOUT + 1.0
HALF_WITHIN = (
    300.0  # seconds for the first half of the steps; a machine that needs more is not worth measuring
)

_DONE = "SELECT count(*) FROM flowstate_steprun WHERE status = 'done' AND started_at IS NOT NULL"
_DOUBLED = """SELECT
    (SELECT count(*) - count(DISTINCT order_id) FROM shop_reservation WHERE order_id BETWEEN %(f)s AND %(l)s)
  + (SELECT count(*) - count(DISTINCT order_id) FROM shop_payment WHERE order_id BETWEEN %(f)s AND %(l)s)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """One worker, killed with -9 at half of the steps and started again at once."""

    runs: int
    finished: int
    twice: int
    """Step bodies that ran more than once."""
    doubled: int
    """Reservations and payments beyond one per order."""
    seconds: float
    """From the restart until the last run was done."""
    expected: float
    """Seconds that the rest would have taken at the speed before the kill."""


def measure(site: Site, database: Database, room: Path, *, runs: int) -> Recovery:
    """Kill the only worker half way and return what became of the runs."""
    bodies = room / "bodies.log"
    environment = {"BENCH_BODY_LOG": str(bodies), "BENCH_STEP_TIMEOUT": str(STEP_TIMEOUT)}
    worker = site.worker("flowstate", 1, environment)
    try:
        worker.wait_ready()
        before = database.query(_DONE)[0]
        first, last, begun = site.begin("flowstate", runs)
        give_up = time.monotonic() + HALF_WITHIN
        while database.query(_DONE)[0] - before < runs * STEPS // 2:
            if time.monotonic() > give_up:
                message = f"half of the {runs * STEPS} steps were not done within {HALF_WITHIN} s"
                raise TimeoutError(message)
            time.sleep(0.01)  # the rows say how far the worker is; nothing else does
        worker.kill()
        killed = time.monotonic()
        done = database.query(_DONE)[0] - before
        worker = site.worker("flowstate", 2, environment)
        worker.wait_ready()
        seen = site.end()
    finally:
        worker.stop()
    repeated = Counter(bodies.read_text().splitlines())
    keys = {"f": first, "l": last}
    doubled: int = database.connection.execute(_DOUBLED, keys).fetchone()[0]  # type: ignore[index]
    return Recovery(
        runs=runs,
        finished=int(seen["paid"]),
        twice=sum(times - 1 for times in repeated.values()),
        doubled=doubled,
        seconds=seen["last"] - killed,
        expected=(runs * STEPS - done) / done * (killed - begun["at"]),
    )
