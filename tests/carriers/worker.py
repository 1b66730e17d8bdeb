"""A Celery worker on the database, broker and queue that a test names: `python -m tests.carriers.worker`."""

from __future__ import annotations

import os
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

from django.conf import settings

settings.DATABASES["default"]["NAME"] = os.environ["WORKER_DATABASE"]
settings.CELERY_BROKER_URL = os.environ["WORKER_BROKER"]
settings.CELERY_BROKER_TRANSPORT_OPTIONS = {}
settings.FLOWSTATE = {"DEFAULT_QUEUE": os.environ["WORKER_QUEUE"], "SWEEP_INTERVAL": 0.5}

from example_shop.celery import app  # noqa: E402 - reads the settings made above

if __name__ == "__main__":
    app.worker_main(["worker", f"--queues={os.environ['WORKER_QUEUE']}", *sys.argv[1:]])
