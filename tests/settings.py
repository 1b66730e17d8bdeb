"""Django's settings for the tests, on the database that FLOWSTATE_TEST_DATABASE names."""

from __future__ import annotations

import os
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dj_database_url

ROOT = Path(__file__).resolve().parent.parent
# Runs at the same time, on one machine or in one xdist session, must not share a database.
TEST_NAME = f"test_flowstate_{os.getpid()}"


def sqlite() -> dict[str, Any]:
    # A file, since threads and worker processes must see the same rows.
    url = os.environ.get("DATABASE_URL_SQLITE", f"sqlite:///{ROOT / 'tests.sqlite3'}")
    return {
        **dj_database_url.parse(url),
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
        "TEST": {"NAME": str(Path(tempfile.gettempdir()) / f"{TEST_NAME}.sqlite3")},
    }


def postgres() -> dict[str, Any]:
    url = os.environ.get("DATABASE_URL_POSTGRES", "postgres://postgres@127.0.0.1:5432/postgres")
    return {
        **dj_database_url.parse(url),
        # Nobody pulls the plug of the server itself here, so its commits need not wait for the disk.
        "OPTIONS": {"options": "-c synchronous_commit=off"},
        "TEST": {"NAME": TEST_NAME},
    }


def mariadb() -> dict[str, Any]:
    url = os.environ.get("DATABASE_URL_MARIADB", "mysql://root@127.0.0.1:3306/mysql")
    return {
        **dj_database_url.parse(url),
        "OPTIONS": {
            "charset": "utf8mb4",
            # A session that is not in UTC, on purpose: a deadline computed by a naive NOW() is off by hours.
            "init_command": "SET SESSION time_zone = '+05:30'",
        },
        "TEST": {"NAME": TEST_NAME, "CHARSET": "utf8mb4"},
    }


def no_database() -> dict[str, Any]:
    # Django's dummy backend: any query, whoever makes it, raises ImproperlyConfigured.
    return {}


DATABASES = {
    "default": {"sqlite": sqlite, "postgres": postgres, "mariadb": mariadb, "none": no_database}[
        os.environ.get("FLOWSTATE_TEST_DATABASE", "sqlite")
    ]()
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_celery_results",
    "django_htmx",
    "django_linear_migrations",
    "django_migration_linter",
    *(
        app
        for app, module in (
            ("flowstate", "flowstate"),
            ("example_shop.apps.ShopConfig", "example_shop"),
            ("tests.zoo", "tests.zoo"),
            ("tests.kiosk", "tests.kiosk"),
        )
        if find_spec(module)
    ),
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

SECRET_KEY = "tests"  # noqa: S105 - nothing here is secret
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # fast
ROOT_URLCONF = "tests.urls"
STATIC_URL = "static/"
LOGIN_URL, LOGIN_REDIRECT_URL, LOGOUT_REDIRECT_URL = "login", "products", "products"
REST_FRAMEWORK = {"EXCEPTION_HANDLER": "flowstate.rest.exception_handler"}

# What the example shop is told beside; its tests start a bank of their own.
DATA_DIR = Path(tempfile.gettempdir()) / TEST_NAME
BANK_URL = "http://127.0.0.1:9"  # discard: nobody answers
BANK_TIMEOUT = 1.0
BANK_LEDGER = DATA_DIR / "bank.sqlite3"

USE_TZ = True

# The kiosk has an atomic workflow with an external step, on purpose: what happens then is tested.
SILENCED_SYSTEM_CHECKS = ["flowstate.W003"]

# --- Celery: how the tests carry steps ---
# A broker within the process: a test that wants a worker starts one in a thread (tests/carriers).
CELERY_BROKER_URL = "memory://"
CELERY_BROKER_TRANSPORT_OPTIONS = {"polling_interval": 0.01}
CELERY_RESULT_BACKEND = "django-db"
CELERY_TASK_SERIALIZER = CELERY_RESULT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_REDIRECT_STDOUTS = False
