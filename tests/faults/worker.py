"""A Celery worker with short leases on a test's database and broker: `python -m tests.faults.worker`."""

from __future__ import annotations

import os
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import django
from django.conf import settings

settings.DATABASES["default"]["NAME"] = os.environ["WORKER_DATABASE"]
settings.CELERY_BROKER_URL = os.environ["WORKER_BROKER"]
settings.CELERY_BROKER_TRANSPORT_OPTIONS = {}
settings.FLOWSTATE = {
    "SWEEP_INTERVAL": 0.5,
    "STEP_TIMEOUT": 2,
    "LEASE_GRACE": 1,
    "MAX_LOST_LEASES": 1000,  # whoever kills workers at random must not be taken for a poisonous step
}

from example_shop.celery import app  # noqa: E402 - reads the settings made above

if __name__ == "__main__":
    django.setup()
    from tests.faults import asking, journeys, parcels, scripted  # noqa: F401 - a run names its workflow by its path

    app.worker_main(["worker", "--queues=flowstate", "--pool=prefork", "--concurrency=2", *sys.argv[1:]])
