"""Django's settings for every process of a benchmark; which database and broker, the environment says."""

from __future__ import annotations

import os
from typing import Any

SECRET_KEY = "benchmarks"  # noqa: S105 - nothing here is secret
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "rest_framework",
    "django_celery_results",
    "flowstate",
    "benchmarks.shop",
]

SQLITE = os.environ.get("BENCH_SQLITE", "")
"""Path of the database file; empty for PostgreSQL."""

POSTGRES: dict[str, Any] = {
    "host": os.environ.get("BENCH_PG_HOST", "127.0.0.1"),
    "port": int(os.environ.get("BENCH_PG_PORT", "5432")),
    "user": os.environ.get("BENCH_PG_USER", "postgres"),
    "dbname": os.environ.get("BENCH_PG_NAME", "flowstate_bench"),
}
if "BENCH_PG_PASSWORD" in os.environ:
    POSTGRES["password"] = os.environ["BENCH_PG_PASSWORD"]

PRAGMAS = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
"""As durable as PostgreSQL's default; raw SQL uses the same."""

DATABASES: dict[str, Any] = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": SQLITE,
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20, "init_command": PRAGMAS},
    }
    if SQLITE
    else {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": POSTGRES["dbname"],
        "HOST": POSTGRES["host"],
        "PORT": POSTGRES["port"],
        "USER": POSTGRES["user"],
        "PASSWORD": POSTGRES.get("password", ""),
        "CONN_MAX_AGE": None,
    }
}

CELERY_BROKER_URL = os.environ.get("BENCH_REDIS", "memory://")
CELERY_RESULT_BACKEND = "django-db"
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_ACKS_LATE = os.environ.get("BENCH_ACKS_LATE") == "1"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True

# What a recovery costs depends on the lease: the benchmark shortens it to stay within its own time.
FLOWSTATE: dict[str, Any] = (
    {"STEP_TIMEOUT": float(os.environ["BENCH_STEP_TIMEOUT"]), "LEASE_GRACE": 1.0}
    if "BENCH_STEP_TIMEOUT" in os.environ
    else {}
)
