"""A worker of the physical limit: `python -m benchmarks.raw_worker`, until it is ended."""

from __future__ import annotations

import os
from pathlib import Path

import django


def main() -> None:
    """Say that this process is ready, and work."""
    django.setup()
    from benchmarks.peers.raw_background import work_for_ever  # noqa: PLC0415 - needs the app registry

    Path(os.environ["BENCH_READY_FILE"]).touch()
    work_for_ever()


if __name__ == "__main__":
    main()
