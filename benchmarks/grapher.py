"""Runs graphs: `python -m benchmarks.grapher`, told what to do line by line.

`steps SHAPE SIZE` runs a workflow of so many steps in this process and answers with the seconds that each took;
`branches` enqueues two branches of a second each and answers with the seconds until their run has ended.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import django

from benchmarks.celery import app

TIMES = 5
GIVE_UP_AFTER = 30.0  # seconds


def steps(shape: str, size: str) -> float:
    """Return the seconds per step, of the median run."""
    from flowstate import SYSTEM, Step, Workflow  # noqa: PLC0415 - needs the settings

    number = int(size)
    chain = shape == "chain"
    made = [
        Step(f"s{place}", lambda ctx: None, depends_on=[f"s{place - 1}"] if chain and place else ())
        for place in range(number - 1)
    ]
    last = [made[-1].name] if chain else [step.name for step in made]
    workflow = Workflow.from_steps(
        f"{shape}_of_{size}", [*made, Step("last", lambda ctx: None, depends_on=last)]
    )
    seconds = []
    for _time in range(TIMES):
        began = time.perf_counter()
        workflow.run(user=SYSTEM).raise_for_status()
        seconds.append((time.perf_counter() - began) / number)
    return median(seconds)


def branches() -> float:
    """Return the seconds from the start until both branches and their join are done."""
    from benchmarks.shop.workflows import Branches  # noqa: PLC0415 - needs the app registry
    from flowstate import SYSTEM  # noqa: PLC0415 - needs the settings

    began = time.monotonic()
    run = Branches.enqueue(user=SYSTEM)
    while not run.refresh().finished:
        if time.monotonic() - began > GIVE_UP_AFTER:
            message = f"run {run.pk} did not end within {GIVE_UP_AFTER:g} s"
            raise TimeoutError(message)
        time.sleep(0.002)  # between two looks: workers do what is measured
    return time.monotonic() - began


def main() -> None:
    """Serve until standard input ends."""
    django.setup()
    app.set_default()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    known: dict[str, Callable[..., Any]] = {"steps": steps, "branches": branches}
    for line in sys.stdin:
        what, *words = line.split()
        sys.stdout.write(f"{json.dumps(known[what](*words))}\n")
        sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
