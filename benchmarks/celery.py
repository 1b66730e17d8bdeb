"""The Celery app of the benchmark's workers: `celery -A benchmarks worker`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from celery import Celery
from celery.signals import worker_ready

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")

app = Celery("benchmarks")
app.config_from_object("django.conf:settings", namespace="CELERY")
# By default Celery closes Django's connection before and after every task: a new one costs more than a run.
app.conf["CELERY_DB_REUSE_MAX"] = 1_000_000
app.autodiscover_tasks()


@worker_ready.connect
def say_ready(**_signal: Any) -> None:
    """Make the file that the benchmark waits for."""
    if "BENCH_READY_FILE" in os.environ:
        Path(os.environ["BENCH_READY_FILE"]).touch()
