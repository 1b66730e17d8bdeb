"""Real workers, children, and a real broker that die: what was begun ends, without waiting for redelivery."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from django.db import connection

from flowstate import SYSTEM, Workflow
from flowstate.models import Run
from tests.faults import asking, ledger, post
from tests.faults.afterwards import QUANTITY, STOCK, broken, complaints
from tests.faults.crowd import until
from tests.faults.journeys import Journey, action_on
from tests.faults.scripted import Held
from tests.faults.workshop import Workshop, kill_group, workshop
from tests.kiosk.models import Product, Sale

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="one server is enough for whole workers"),
]

STUCK_FLAG = "flowstate:wake:flowstate"

LEASE = 21.0  # seconds: the timeout of Held and the workers' grace


@pytest.fixture
def shop(tmp_path: Path, settings: Any) -> Iterator[Workshop]:
    settings.FLOWSTATE = {}
    with workshop(tmp_path) as opened:
        yield opened


def start(workflow: type[Workflow]) -> Run:
    product = Product.objects.create(name="tea", stock=STOCK)
    sale = Sale.objects.create(product=product, quantity=QUANTITY)
    return action_on(sale, workflow).enqueue(user=SYSTEM)


def ends_well(run: Run, within: float) -> None:
    until(lambda: run.refresh().finished, f"run {run.pk} ends", within)
    assert run.success
    assert broken() == []


def in_a_call(run: Run) -> int:
    """Wait until a worker is in the middle of the run's call; return the process that makes it."""
    key = f"{run.pk}:call"
    until(lambda: ledger.processes(key), "a worker makes the call", 30)
    return ledger.processes(key)[-1]


def test_a_run_that_was_never_published_is_found(shop: Workshop, settings: Any) -> None:
    """Matrix row 5; I12, I14: the process died between COMMIT and publishing."""
    settings.FLOWSTATE = {"CARRIER": post.PATH}
    run = start(Journey)
    post.letters.clear()

    shop.start_worker()

    ends_well(run, within=16)
    assert complaints(run, ends="succeeded", outside=("charge", "pack"), most_calls=1) == []


def test_a_child_that_is_killed_in_a_step_is_noticed_before_its_lease_ends(shop: Workshop) -> None:
    """Matrix row 8; I12, I13: its parent lives, and the broker never redelivers."""
    ledger.hold()
    shop.start_worker()
    run = start(Held)
    child = in_a_call(run)

    os.kill(child, signal.SIGKILL)
    ledger.let_go()
    killed_at = time.monotonic()

    ends_well(run, within=LEASE + 20)
    assert time.monotonic() - killed_at < LEASE - 5
    assert ledger.calls() == {f"{run.pk}:call": 2}


def test_a_worker_that_is_killed_with_all_its_children_is_replaced_by_another(shop: Workshop) -> None:
    """Matrix row 9; I12: although its message is in Redis's `unacked` for 100 seconds."""
    ledger.hold()
    first = shop.start_worker()
    run = start(Held)
    in_a_call(run)

    kill_group(first)
    ledger.let_go()
    shop.start_worker()

    ends_well(run, within=LEASE + 20)
    assert ledger.calls() == {f"{run.pk}:call": 2}


def test_a_function_whose_worker_is_killed_is_gone_on_with_by_another(shop: Workshop) -> None:
    """I5, I12: it is called from its start there, and what had ended is not called again."""
    ledger.hold()
    first = shop.start_worker()
    run = start(asking.held)
    in_a_call(run)

    kill_group(first)
    ledger.let_go()
    shop.start_worker()

    ends_well(run, within=LEASE + 20)
    assert ledger.calls() == {f"{run.pk}:left": 1, f"{run.pk}:right": 1, f"{run.pk}:call": 2}
    assert run.value == [f"ref {run.pk}:{name}" for name in ("left", "right", "call")]


def test_a_broker_that_forgets_everything_loses_no_run(shop: Workshop) -> None:
    """Matrix row 17; I12, I13."""
    ledger.hold()
    shop.start_worker()
    runs = [start(Held) for _run in range(3)]
    in_a_call(runs[0])

    shop.redis.flushall()
    ledger.let_go()

    for run in runs:
        ends_well(run, within=30)
    assert set(ledger.calls().values()) == {1}


def test_neither_a_stuck_flag_nor_a_long_step_holds_up_other_runs(shop: Workshop) -> None:
    """I12, I13: no wake-up gets past a flag without an end, and one of two children is busy all the time."""
    ledger.hold()
    shop.start_worker()
    shop.redis.set(STUCK_FLAG, 1)
    held = start(Held)
    in_a_call(held)
    shop.redis.set(STUCK_FLAG, 1)

    others = [start(Journey) for _run in range(3)]

    for run in others:
        ends_well(run, within=15)
    assert not held.refresh().finished
    ledger.let_go()
    ends_well(held, within=30)


@pytest.mark.parametrize("how", ["hangs", "is gone"])
def test_a_start_while_the_broker_is_down_is_answered_and_done_later(shop: Workshop, how: str) -> None:
    """Matrix rows 18 and 19; I12, I14."""
    shop.start_worker()
    ends_well(start(Journey), within=30)
    if how == "hangs":
        shop.server.send_signal(signal.SIGSTOP)
    else:
        kill_group(shop.server)

    asked = time.monotonic()
    run = start(Journey)
    answered = time.monotonic() - asked
    if how == "hangs":
        shop.server.send_signal(signal.SIGCONT)
    else:
        shop.start_redis()

    assert answered < 2
    assert run.status == "running"
    ends_well(run, within=60)
