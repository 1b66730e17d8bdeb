"""A soak: orders come in while workers are killed at random; in the end rows, ledger and journal must agree."""

from __future__ import annotations

import os
import random
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import redis
from celery import Celery, current_app

from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import Sum
from django.test import override_settings

from flowstate import SYSTEM, RunConflict, Workflow
from flowstate.carriers import wakeups
from flowstate.models import Run, StepRun
from tests.faults import ledger
from tests.faults.afterwards import QUANTITY, STOCK, complaints
from tests.faults.journeys import action_on
from tests.growth.crew import Crew
from tests.growth.orders import Order, RefusedOrder, RefusedWholeOrder, WholeOrder
from tests.kiosk.models import Product, Sale

BROKER = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
KINDS: dict[type[Workflow], int] = {Order: 5, RefusedOrder: 2, WholeOrder: 2, RefusedWholeOrder: 1}
"""What comes in, and how often."""

CANCELLED = 0.1
"""The share of the orders that somebody tries to cancel at once."""


@dataclass(slots=True)
class Soak:
    """Starts `runs` orders within `seconds` and kills workers as long; then waits at most `patience` seconds."""

    folder: Path
    runs: int
    seconds: float
    patience: float
    seed: int
    every: tuple[float, float] = (0.5, 2.5)
    """Seconds between two kills."""

    ends: dict[uuid.UUID, tuple[type[Workflow], str]] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def carry_out(self) -> list[str]:
        """Soak; return what does not agree."""
        chance = random.Random(self.seed)  # noqa: S311 - repeats a soak, as far as time can be repeated
        os.environ[ledger.VARIABLE] = str(self.folder / "ledger")
        with _publishing() as variables:
            crew = Crew(self.folder, variables, chance)
            try:
                crew.fill_up()
                self._under_fire(crew, chance)
                self._wait()
            finally:
                crew.end()
        self._compare()
        lost = StepRun.objects.aggregate(lost=Sum("lost"), undoing=Sum("compensation_lost"))
        calls = ledger.calls()
        self.figures.update(
            kills=dict(crew.kills), lost_leases=lost, calls=sum(calls.values()), keys=len(calls)
        )
        return self.differences

    def _under_fire(self, crew: Crew, chance: random.Random) -> None:
        began = time.monotonic()
        next_kill = began + chance.uniform(*self.every)
        while (passed := time.monotonic() - began) < self.seconds:
            while len(self.ends) < self.runs * min(1.0, passed / (self.seconds * 0.98)):
                self._start_one(chance)
            if time.monotonic() >= next_kill:
                crew.kill_somebody()
                next_kill = time.monotonic() + chance.uniform(*self.every)
            time.sleep(0.02)

    def _start_one(self, chance: random.Random) -> None:
        workflow = chance.choices(list(KINDS), list(KINDS.values()))[0]
        product = Product.objects.create(name="tea", stock=STOCK)
        sale = Sale.objects.create(product=product, quantity=QUANTITY)
        run = action_on(sale, workflow).enqueue(user=SYSTEM)
        ends = "compensated" if issubclass(workflow, RefusedOrder | RefusedWholeOrder) else "succeeded"
        if chance.random() < CANCELLED:
            time.sleep(chance.uniform(0, 0.1))
            try:
                run.cancel(SYSTEM)
            except RunConflict:
                self.figures["too late to cancel"] = self.figures.get("too late to cancel", 0) + 1
            else:
                ends = "cancelled"
        self.ends[run.pk] = (workflow, ends)

    def _wait(self) -> None:
        began = time.monotonic()
        while Run.objects.live().exists() and time.monotonic() - began < self.patience:
            time.sleep(0.1)
        self.figures["seconds until all had ended"] = round(time.monotonic() - began, 1)

    def _compare(self) -> None:
        runs = Run.objects.in_bulk(list(self.ends))
        for pk, (workflow, ends) in self.ends.items():
            run, outside = runs[pk], ("charge",) if workflow.declaration.meta.atomic else ("charge", "pack")
            # "failed" where nothing had been done that would have to be undone
            wanted = "failed" if (ends, run.status) == ("compensated", "failed") else ends
            found = complaints(run, ends=wanted, outside=outside, most_calls=1000)
            self.differences += [f"{workflow.__name__} {pk}: {words}" for words in found]
        strangers = {key for key in ledger.calls() if uuid.UUID(key.partition(":")[0]) not in self.ends}
        self.differences += [f"the ledger knows {key}, and nobody else does" for key in sorted(strangers)]
        said = StringIO()
        try:
            call_command("flowstate_fsck", stdout=said)
        except CommandError as broken:
            self.differences += [str(broken), *said.getvalue().splitlines()]


@contextmanager
def _publishing() -> Iterator[dict[str, str]]:
    """Publish to a queue, and under names, of our own; yield what a worker must know of it."""
    queue = f"soak-{uuid.uuid4().hex[:8]}"
    before: Any = current_app._get_current_object()  # type: ignore[attr-defined]  # a proxy's own
    publisher = Celery("publisher", broker=BROKER)
    publisher.conf.broker_transport_options = {"global_keyprefix": f"{queue}:"}
    publisher.set_default()
    wakeups.wakeups.cache_clear()
    try:
        with override_settings(FLOWSTATE={"DEFAULT_QUEUE": queue}):
            yield {
                "WORKER_BROKER": BROKER,
                "WORKER_QUEUE": queue,
                "WORKER_DATABASE": str(connection.settings_dict["NAME"]),
            }
    finally:
        publisher.close()
        before.set_current()
        before.set_default()
        wakeups.wakeups.cache_clear()
        server = redis.Redis.from_url(BROKER)
        for key in server.scan_iter(match=f"{queue}:*"):
            server.delete(key)
        server.close()
