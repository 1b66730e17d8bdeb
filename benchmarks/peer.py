"""One peer in a process of its own: `python -m benchmarks.peer NAME`, told what to do line by line.

`orders N` inserts open orders and answers null; `run` checks them out and answers how long each took.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import django

if TYPE_CHECKING:
    from benchmarks.peers import Run
    from benchmarks.shop.checkout import Facts


def main(name: str) -> None:
    """Serve until standard input ends."""
    django.setup()
    from benchmarks.orders import new_orders  # noqa: PLC0415 - needs the app registry
    from benchmarks.peers import peer  # noqa: PLC0415 - needs the app registry

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a peer prints must not be taken for an answer
    run = peer(name)
    answers.write("ready\n")
    answers.flush()
    orders: list[Facts] = []
    for line in sys.stdin:
        answer: dict[str, Any] | None = None
        if line.startswith("orders"):
            orders = new_orders(int(line.split()[1]))
        else:
            answer = _timed(run, orders)
        answers.write(f"{json.dumps(answer)}\n")
        answers.flush()
    os._exit(0)  # a peer's own threads must not keep the process


def _timed(run: Run, orders: Sequence[Facts]) -> dict[str, Any]:
    seconds = []
    cpu = time.process_time()
    for facts in orders:
        began = time.perf_counter()
        run(facts)
        seconds.append(time.perf_counter() - began)
    return {"seconds": seconds, "cpu": time.process_time() - cpu}


if __name__ == "__main__":
    main(sys.argv[1])
