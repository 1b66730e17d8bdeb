"""The Celery app of the tests: its broker lives in this process, its worker in a thread."""

from __future__ import annotations

from celery import Celery

app = Celery("tests")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.broker_connection_retry_on_startup = True
app.conf.result_extended = True  # a stored result names its task
app.set_default()
