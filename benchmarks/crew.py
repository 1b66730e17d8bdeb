"""The client of background runs: `python -m benchmarks.crew`, told what to do line by line.

`orders N` inserts open orders and answers with the first and last key; `burst WHO` enqueues a run for each
in one transaction and answers with the moment before its COMMIT and the seconds that the enqueuing took;
`single WHO` enqueues one after the other, waits for each and answers with the seconds from start to finish;
`watch FIRST LAST` answers when the first and the last of these orders was seen paid. Moments are those of
the monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import django

from benchmarks.celery import app

if TYPE_CHECKING:
    from benchmarks.shop.checkout import Facts

Enqueue = Callable[["Facts"], None]

LOOK_EVERY = 0.002  # seconds, until the first order is paid; then ten times as long
GIVE_UP_AFTER = 60.0  # seconds without an order more


def _enqueuer(who: str) -> Enqueue:
    if who == "flowstate":
        from benchmarks.peers.ours import buyer, order_of  # noqa: PLC0415 - needs the app registry

        user = buyer()

        def enqueue(facts: Facts) -> None:
            order_of(facts).actions.steps.enqueue(user=user, input=facts.as_input())

        return enqueue
    if who == "celery":
        from benchmarks.shop.tasks import publish  # noqa: PLC0415 - needs the app registry

        return publish
    from benchmarks.peers.raw_background import enqueue as raw  # noqa: PLC0415 - needs the settings

    return raw


def burst(who: str, orders: Sequence[Facts]) -> dict[str, float]:
    """Enqueue all in one transaction, as a bulk action does."""
    from django.db import transaction  # noqa: PLC0415 - needs the settings

    enqueue = _enqueuer(who)
    began = time.monotonic()
    with transaction.atomic():
        if who != "celery":  # a chain has no row: it is published by the commit
            for facts in orders:
                enqueue(facts)
        else:
            transaction.on_commit(lambda: [enqueue(facts) for facts in orders] and None)
        committing = time.monotonic()
    return {"at": committing, "seconds": time.monotonic() - began}


def single(who: str, orders: Sequence[Facts]) -> list[float]:
    """Enqueue one at a time and wait for each."""
    from benchmarks.orders import paid  # noqa: PLC0415 - needs the app registry

    enqueue, seconds = _enqueuer(who), []
    for facts in orders:
        began = time.monotonic()
        enqueue(facts)
        while not paid(facts.order_id, facts.order_id):
            time.sleep(0.0003)  # fine enough to tell milliseconds, coarse enough to leave the worker its core
            if time.monotonic() - began > 30:
                message = f"order {facts.order_id} was not paid within 30 s"
                raise TimeoutError(message)
        seconds.append(time.monotonic() - began)
        time.sleep(0.005)  # the worker is idle again
    return seconds


def watch(first: int, last: int) -> dict[str, float]:
    """Wait until all these orders are paid."""
    from benchmarks.orders import paid  # noqa: PLC0415 - needs the app registry

    seen, first_at, changed_at = 0, 0.0, time.monotonic()
    while True:
        count, now = paid(first, last), time.monotonic()
        if count > seen:
            first_at, seen, changed_at = first_at or now, count, now
        if seen == last - first + 1 or now - changed_at > GIVE_UP_AFTER:
            return {"first": first_at, "last": now, "paid": seen}
        time.sleep(LOOK_EVERY if not seen else LOOK_EVERY * 10)


def main() -> None:
    """Serve until standard input ends."""
    django.setup()
    app.set_default()
    from benchmarks.orders import new_orders  # noqa: PLC0415 - needs the app registry

    orders: list[Facts] = []
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        what, *words = line.split()
        answer: Any
        if what == "orders":
            orders = new_orders(int(words[0]))
            answer = [orders[0].order_id, orders[-1].order_id]
        elif what == "watch":
            answer = watch(int(words[0]), int(words[1]))
        else:
            answer = {"burst": burst, "single": single}[what](words[0], orders)
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
