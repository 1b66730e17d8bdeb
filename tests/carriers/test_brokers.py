"""Real worker processes on real brokers carry runs to their end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, current_app

from django.contrib.auth.models import User
from django.db import connection

from flowstate import conf
from flowstate.carriers import wakeups
from flowstate.models import Run, StepRun
from tests.kiosk.models import Product, Sale

ROOT = Path(__file__).resolve().parents[2]
BROKERS = {
    "redis": os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"),
    "rabbitmq": os.environ.get("RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672//"),
}

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def broker(request: pytest.FixtureRequest, settings: Any) -> Iterator[str]:
    """Publish to a real broker, on a queue that no other test shares."""
    url = BROKERS[request.param]
    settings.FLOWSTATE = {"DEFAULT_QUEUE": f"test-{uuid.uuid4().hex[:8]}"}
    before: Any = current_app._get_current_object()  # type: ignore[attr-defined]  # a proxy's own
    publisher = Celery("publisher", broker=url)
    publisher.set_default()  # for threads too
    wakeups.wakeups.cache_clear()
    yield url
    publisher.close()
    before.set_current()
    before.set_default()
    wakeups.wakeups.cache_clear()


StartWorker = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start_worker(broker: str, tmp_path: Path) -> Iterator[StartWorker]:
    """Start worker processes on the test's own database and queue, and end them by their pids."""
    started: list[subprocess.Popen[bytes]] = []

    def start(pool: str) -> subprocess.Popen[bytes]:
        options = [f"--pool={pool}", "--concurrency=2", "--loglevel=WARNING"]
        with (tmp_path / f"worker-{len(started)}.log").open("wb") as log:
            worker = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
                [sys.executable, "-m", "tests.carriers.worker", *options],
                cwd=ROOT,
                env={
                    **os.environ,
                    "WORKER_BROKER": broker,
                    "WORKER_QUEUE": conf.settings().default_queue,
                    "WORKER_DATABASE": str(connection.settings_dict["NAME"]),
                },
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started.append(worker)
        return worker

    yield start
    for worker in started:
        if worker.poll() is None:
            worker.send_signal(signal.SIGTERM)
    for worker in started:
        try:
            worker.wait(timeout=15)
        except subprocess.TimeoutExpired:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait(timeout=5)


def until(what: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            rows = [(row.name, row.status, row.wake_at) for row in StepRun.objects.all()[:10]]
            pytest.fail(f"Not within {seconds} seconds: {rows}")
        time.sleep(0.05)  # another process works; its rows are looked at, within a limit


def enqueue(count: int) -> list[Run]:
    user = User.objects.create_user("ada")
    product = Product.objects.create(name="tea", stock=1000)
    sales = [Sale.objects.create(owner=user, product=product, quantity=1) for _ in range(count)]
    return [sale.actions.settle.enqueue(user=user) for sale in sales[::2]] + [
        sale.actions.carry.enqueue(user=user) for sale in sales[1::2]
    ]


@pytest.mark.parametrize(
    ("broker", "pool"), [("redis", "prefork"), ("rabbitmq", "threads")], indirect=["broker"]
)
def test_a_worker_carries_what_was_enqueued_before_it_started(start_worker: StartWorker, pool: str) -> None:
    enqueue(20)

    start_worker(pool)

    until(lambda: not Run.objects.live().exists())
    assert set(Run.objects.values_list("status", flat=True)) == {"succeeded"}
    assert Product.objects.get().stock == 1000 - 10


@pytest.mark.parametrize("broker", ["redis"], indirect=True)
def test_two_workers_share_what_comes_in_and_do_nothing_twice(start_worker: StartWorker) -> None:
    start_worker("prefork")
    start_worker("prefork")

    enqueue(40)

    until(lambda: not Run.objects.live().exists())
    assert Product.objects.get().stock == 1000 - 20
    assert set(StepRun.objects.values_list("attempt", flat=True)) == {1}


def sessions() -> tuple[int, int]:
    """Return how many sessions the test's database has, and how many of them sit in an open transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), count(*) FILTER (WHERE state LIKE 'idle in transaction%') FROM pg_stat_activity"
            " WHERE datname = current_database()"
        )
        every, idle = cursor.fetchone()
    return every, idle


@pytest.mark.skipif(
    connection.vendor != "postgresql", reason="one server that tells of its sessions is enough"
)
@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
def test_a_pool_of_threads_keeps_no_more_connections_than_it_has_threads(start_worker: StartWorker) -> None:
    """Matrix row 50; I29, I33: after some five hundred steps."""
    enqueue(150)

    start_worker("threads")

    until(lambda: not Run.objects.live().exists(), 90.0)
    threads, sweeper, main, own = 2, 1, 1, 1
    every, _busy = sessions()
    assert every <= threads + sweeper + main + own
    until(lambda: sessions()[1] == 0, 5.0)
    assert StepRun.objects.filter(status="done").count() >= 450
