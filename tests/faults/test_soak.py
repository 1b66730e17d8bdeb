"""Workers that are killed at random while they carry many runs; `make soak` takes two minutes and 500 runs."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from django.db import connection

from flowstate import SYSTEM
from flowstate.models import Run
from tests.faults.afterwards import QUANTITY, STOCK, broken, complaints
from tests.faults.crowd import until
from tests.faults.journeys import Doomed, DoomedInOne, InOne, Journey, action_on
from tests.faults.workshop import Workshop, kill_group, workshop
from tests.kiosk.models import Product, Sale

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="one server is enough for whole workers"),
]

SECONDS = float(os.environ.get("FLOWSTATE_SOAK", "10"))
RUNS = 500 if SECONDS >= 60 else 60
WORKFLOWS = [Journey, Doomed, InOne, DoomedInOne]


@pytest.fixture
def shop(tmp_path: Path, settings: Any) -> Iterator[Workshop]:
    settings.FLOWSTATE = {}
    with workshop(tmp_path) as opened:
        yield opened


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text().split()] if listed.exists() else []


def pull_a_plug(shop: Workshop, choose: random.Random) -> None:
    """Kill one child of a worker, or a whole worker, which is then replaced."""
    worker = choose.choice([worker for worker in shop.workers if worker.poll() is None])
    pool = children(worker.pid)
    if pool and choose.random() < 0.85:
        os.kill(choose.choice(pool), signal.SIGKILL)
    else:
        kill_group(worker)
        shop.start_worker()


def test_workers_that_are_killed_at_random_lose_and_double_nothing(shop: Workshop) -> None:
    """I1, I5, I8, I12, I13, I15: the journal is in order and the ledger equals the rows."""
    choose = random.Random(7)  # noqa: S311 - the same kills in every run
    for _worker in range(2):
        shop.start_worker()
    end = time.monotonic() + SECONDS
    runs: list[Run] = []
    for number in range(RUNS):
        product = Product.objects.create(name="tea", stock=STOCK)
        sale = Sale.objects.create(product=product, quantity=QUANTITY)
        runs.append(action_on(sale, WORKFLOWS[number % 4]).enqueue(user=SYSTEM))
        # Spread over the time, so that kills fall into work.
        while time.monotonic() < end - SECONDS * (RUNS - number) / RUNS:
            time.sleep(choose.uniform(0.2, 1.2))
            pull_a_plug(shop, choose)

    until(lambda: not Run.objects.live().exists(), "all runs end", 120)

    found = {}
    for number, run in enumerate(runs):
        workflow, ends = WORKFLOWS[number % 4], "compensated" if number % 2 else "succeeded"
        outside = ("charge", "pack") if issubclass(workflow, Journey) else ("charge",)
        run.refresh()
        if wrong := complaints(run, ends=ends, outside=outside, most_calls=1000):
            found[str(run.pk)] = wrong
    assert found == {}
    assert broken() == []
