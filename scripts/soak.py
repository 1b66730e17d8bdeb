"""The long forms of tests/growth, on PostgreSQL and Redis: `make soak`.

    python -m scripts.soak [--minutes 2] [--runs 500] [--rows 1000000] [--seed 1]

First workers are killed at random over so many runs, and rows, ledger and journal are compared. Then as many
finished runs as `--rows` are filled in, and statements and throughput beside them are held against those
beside none. Exits with 1 on any difference. `--runs 0` or `--rows 0` leaves a half out.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import tempfile
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
os.environ["FLOWSTATE_TEST_DATABASE"] = "postgres"

import django
from django.conf import settings

AT_LEAST = 0.85
"""What is to remain of the throughput beside the finished runs."""

ROUNDS, RUNS_A_ROUND = 9, 200
PATIENCE = 180.0
"""Seconds after the last kill within which every run must have ended."""


def soak(arguments: argparse.Namespace) -> list[str]:
    """Kill workers; return what does not agree."""
    from tests.growth.soaking import Soak  # noqa: PLC0415 - needs Django's apps

    with tempfile.TemporaryDirectory(prefix="flowstate-soak-") as folder:
        seconds = arguments.minutes * 60
        soak = Soak(
            folder=Path(folder),
            runs=arguments.runs,
            seconds=seconds,
            patience=PATIENCE,
            seed=arguments.seed,
        )
        differences = soak.carry_out()
    print(f"soak: {len(soak.ends)} runs in {seconds:.0f} s, {soak.figures}; {len(differences)} differences")
    return differences


def growth(rows: int) -> list[str]:
    """Compare an empty journal with a filled one; return what grew."""
    from tests.growth import filling, sides  # noqa: PLC0415 - needs Django's apps
    from tests.growth.scenes import Stage, play  # noqa: PLC0415

    print(f"growth: filling {rows:,} finished runs ...", flush=True)
    began = time.monotonic()
    with sides.on(sides.FILLED):
        stage = Stage(sides.FILLED)
        play(stage)
        filling.empty(sides.FILLED)
        filling.fill_finished(1000, using=sides.FILLED)
        filling.analyze(sides.FILLED)
        few = play(stage)
        filling.empty(sides.FILLED)
        filling.fill_finished(rows, using=sides.FILLED)
        filling.analyze(sides.FILLED)
        print(f"growth: filled in {time.monotonic() - began:.0f} s", flush=True)
        many = play(stage)
    filling.empty(sides.EMPTY)
    filling.analyze(sides.EMPTY)
    return [*grown(few, many), *throughput()]


def grown(few: dict[str, Any], many: dict[str, Any]) -> list[str]:
    """Print what each scene examines beside 1,000 finished runs and beside many; return those that grew."""
    found = []
    for scene, plans in few.items():
        totals = [
            (len(side), sum(plan.examined for plan in side), sum(plan.pages for plan in side))
            for side in (plans, many[scene])
        ]
        print(f"growth: {scene:32} statements, rows, pages {totals[0]} -> {totals[1]}")
        if totals[1][:2] > totals[0][:2]:
            found.append(f"{scene} needs {totals[1]} statements, rows and pages, not {totals[0]}")
        scanned = {table for plan in many[scene] for table in plan.scanned if table.startswith("flowstate_")}
        found += [f"{scene} reads all of {table}" for table in sorted(scanned)]
    return found


def throughput() -> list[str]:
    """Carry runs on both sides in turn; print the ratio, and return it if it is too low."""
    from tests.growth import sides  # noqa: PLC0415 - needs Django's apps

    seconds: dict[str, list[float]] = {sides.EMPTY: [], sides.FILLED: []}
    for _round in range(ROUNDS):
        for side, took in seconds.items():
            with sides.on(side):
                took.append(carried())
    rates = {side: RUNS_A_ROUND / statistics.median(took) for side, took in seconds.items()}
    ratio = rates[sides.FILLED] / rates[sides.EMPTY]
    print(f"growth: {rates} runs/s; filled to empty {ratio:.2f}, at least {AT_LEAST}")
    return [] if ratio >= AT_LEAST else [f"the throughput is {ratio:.2f} of the empty table's"]


def carried() -> float:
    """Queue runs, carry them, and return the seconds that carrying took."""
    from flowstate import SYSTEM  # noqa: PLC0415 - needs Django's apps
    from tests.engine.test_counts import Single  # noqa: PLC0415
    from tests.growth.scenes import drained  # noqa: PLC0415

    for _run in range(RUNS_A_ROUND):
        Single.enqueue(user=SYSTEM)
    began, done = time.perf_counter(), 0
    while done < RUNS_A_ROUND:
        done += drained()
    return time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(description="Soak, and growth with a large journal.")
    parser.add_argument("--minutes", type=float, default=2.0, help="how long workers are killed (2)")
    parser.add_argument("--runs", type=int, default=500, help="orders within these minutes (500)")
    parser.add_argument("--rows", type=int, default=1_000_000, help="finished runs to fill in (1000000)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the kills; printed")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    # An orderly way out, so that workers and databases are removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    filled = deepcopy(settings.DATABASES["default"])
    filled["TEST"]["NAME"] += "_filled"
    settings.DATABASES["filled"] = filled
    settings.DATABASE_ROUTERS = ["tests.growth.sides.Sides"]
    django.setup()
    from django.test.utils import override_settings, setup_databases, teardown_databases  # noqa: PLC0415

    databases = setup_databases(0, interactive=False, aliases=dict.fromkeys(("default", "filled"), False))
    try:
        differences = soak(arguments) if arguments.runs else []
        if arguments.rows:
            with override_settings(FLOWSTATE={"CARRIER": "tests.faults.post.Post"}):
                differences += growth(arguments.rows)
    finally:
        teardown_databases(databases, 0)
    for difference in differences:
        print(f"DIFFERENT: {difference}")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
