"""The shop's Celery app: what workers run, by `celery -A example_shop worker -Q flowstate`."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_shop.settings")

app = Celery("example_shop")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf["CELERY_DB_REUSE_MAX"] = 1000  # else Celery closes the connections before and after every task
app.autodiscover_tasks()


@setup_logging.connect
def keep_djangos_logging(**_options: Any) -> None:
    """Be there: a receiver stops Celery from setting up logging over Django's LOGGING."""
