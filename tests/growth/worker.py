"""A Celery worker that a soak may kill at any moment: `python -m tests.growth.worker`."""

from __future__ import annotations

import os
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import django
from django.conf import settings

QUEUE = os.environ["WORKER_QUEUE"]

settings.DATABASES["default"]["NAME"] = os.environ["WORKER_DATABASE"]
settings.CELERY_BROKER_URL = os.environ["WORKER_BROKER"]
settings.CELERY_BROKER_TRANSPORT_OPTIONS = {"global_keyprefix": f"{QUEUE}:"}
settings.FLOWSTATE = {
    "DEFAULT_QUEUE": QUEUE,
    "SWEEP_INTERVAL": 0.5,
    "STEP_TIMEOUT": 10,
    "LEASE_GRACE": 2,
    "MAX_LOST_LEASES": 1000,  # whoever kills workers at random must not be taken for a poisonous step
}

from example_shop.celery import app  # noqa: E402 - reads the settings made above

if __name__ == "__main__":
    django.setup()
    from tests.growth import orders  # noqa: F401 - a run names its workflow by its path

    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=WARNING"]
    pool = ["--pool=prefork", "--concurrency=2"]
    app.worker_main(["worker", f"--queues={QUEUE}", *pool, *quiet, *sys.argv[1:]])
