"""One peer in a process of its own: `python -m benchmarks.peer NAME`, told what to do line by line.

Each line of standard input is a number of runs; each answer one line of JSON: the seconds of every run.
"""

from __future__ import annotations

import json
import os
import sys
import time

import django


def main(name: str) -> None:
    """Serve until standard input ends."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")
    django.setup()
    from benchmarks.orders import new_orders  # noqa: PLC0415 - needs the app registry
    from benchmarks.peers import peer  # noqa: PLC0415 - needs the app registry

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a peer prints must not be taken for an answer
    run = peer(name)
    answers.write("ready\n")
    answers.flush()
    for line in sys.stdin:
        seconds = []
        for facts in new_orders(int(line)):
            began = time.perf_counter()
            run(facts)
            seconds.append(time.perf_counter() - began)
        answers.write(f"{json.dumps(seconds)}\n")
        answers.flush()
    os._exit(0)  # a peer's own threads must not keep the process


if __name__ == "__main__":
    main(sys.argv[1])
