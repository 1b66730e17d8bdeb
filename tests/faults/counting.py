"""A process that counts on one row: `python -m tests.faults.counting ROLE FOLDER`, database by WORKER_DATABASE.

`run` starts runs that count, fail and undo; `add` counts like a stranger until FOLDER holds `stop`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import django
from django.conf import settings

from flowstate import SYSTEM, Context, StepError, UpdateStep, Workflow, step

if __name__ == "__main__":
    settings.DATABASES["default"]["NAME"] = os.environ["WORKER_DATABASE"]
    django.setup()

from django.db.models import F

from tests.zoo.models import Everything

ROUNDS = 200
MOST_SECONDS = 60.0

A_CENT, A_MOMENT = Decimal("0.01"), timedelta(microseconds=1)


class Refused(StepError):
    """What every run here ends with."""


class Failing(Workflow):
    """Counts in every way that is exact: read and saved, directly, several columns at once, down and up."""

    saved = UpdateStep(
        "zoo.Everything",
        where={"pk__gt": 0},
        values={
            "integer": F("integer") - 3,
            "decimal": F("decimal") + Decimal("1.07"),
            "duration": F("duration") - timedelta(hours=1, microseconds=5),
        },
    )
    direct = UpdateStep(
        "zoo.Everything",
        where=lambda ctx: {"pk": Everything.objects.values_list("pk", flat=True).get()},
        values={"integer": F("integer") + 5, "big": 2 + F("big")},
        direct=True,
    )
    again = UpdateStep("zoo.Everything", where={"pk__gt": 0}, values={"big": F("big") - 7}, many=True)

    @step(transactional=True)
    def fail(self, ctx: Context[None]) -> None:
        raise Refused


def run_and_fail() -> dict[str, int]:
    """Start the runs one after another; return how often each status came out."""
    return dict(Counter(Failing.run(user=SYSTEM).status for _round in range(ROUNDS)))


def add_until_told(folder: Path) -> dict[str, int]:
    """Add one of each until told to stop; return how often that was."""
    added, deadline = 0, time.monotonic() + 5 * MOST_SECONDS
    while not (folder / "stop").exists() and time.monotonic() < deadline:
        Everything.objects.update(
            integer=F("integer") + 1,
            big=F("big") + 1,
            decimal=F("decimal") + A_CENT,
            duration=F("duration") + A_MOMENT,
        )
        added += 1
    return {"added": added}


def main(role: str, folder: Path) -> None:
    """Wait until all are there, do the role's work, and leave what came of it in FOLDER."""
    (folder / f"{os.getpid()}.ready").touch()
    deadline = time.monotonic() + MOST_SECONDS
    while not (folder / "go").exists():
        assert time.monotonic() < deadline, "nobody said go"
        time.sleep(0.001)
    result: Any = run_and_fail() if role == "run" else add_until_told(folder)
    (folder / f"{os.getpid()}.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
