"""Settings of the example shop: one machine by default, more of them by DATABASE_URL and CELERY_BROKER_URL."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import dj_database_url

BASE_DIR = Path(__file__).resolve().parent.parent

# Everything the demo keeps: the shop's database, its mails, and the fake bank's own ledger.
DATA_DIR = Path(os.environ.get("SHOP_DATA_DIR", BASE_DIR / "demo-data"))
DATA_DIR.mkdir(parents=True, exist_ok=True)  # SQLite creates its file, but not the directory around it

# Without a SECRET_KEY this is somebody trying the shop on their own machine; with one it is a server.
DEVELOPMENT = "SECRET_KEY" not in os.environ
SECRET_KEY = os.environ.get("SECRET_KEY", "only-for-development-and-never-on-a-server-0123456789")
DEBUG = os.environ.get("DEBUG", "1" if DEVELOPMENT else "0") == "1"
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").split(",")
CSRF_TRUSTED_ORIGINS = [origin for origin in os.environ.get("CSRF_TRUSTED_ORIGINS", "").split(",") if origin]
if not DEVELOPMENT:
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SECURE_SSL_REDIRECT = os.environ.get("SECURE_SSL_REDIRECT", "1") == "1"
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = int(os.environ.get("SECURE_HSTS_SECONDS", "3600"))

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
    "flowstate",
    "example_shop.apps.ShopConfig",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "example_shop.urls"
WSGI_APPLICATION = "example_shop.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES: dict[str, Any] = {
    "default": dict(dj_database_url.config(default=f"sqlite:///{DATA_DIR / 'shop.sqlite3'}", conn_max_age=60))
}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # WAL lets readers and one writer work at once. IMMEDIATE makes a transaction take the write lock when it
    # begins: with the default, two of them that read first and write then fail with "database is locked".
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "en-us"
TIME_ZONE = os.environ.get("TIME_ZONE", "UTC")
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "products"
LOGOUT_REDIRECT_URL = "products"
EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
EMAIL_FILE_PATH = DATA_DIR / "mail"
DEFAULT_FROM_EMAIL = "shop@example.org"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.PageNumberPagination",
    "PAGE_SIZE": 50,
    # Every error has the same form, with a `code` for programs and a `detail` for people.
    "EXCEPTION_HANDLER": "flowstate.rest.exception_handler",
}

CELERY_BROKER_URL = os.environ.get("CELERY_BROKER_URL", "memory://localhost/")
if CELERY_BROKER_URL.startswith("memory"):
    # The in-memory broker looks for messages once a second unless told otherwise.
    CELERY_BROKER_TRANSPORT_OPTIONS = {"polling_interval": 0.02}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_SERIALIZER = CELERY_RESULT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = CELERY_RESULT_ACCEPT_CONTENT = ["json"]
# Results are kept where the admin can link them. Tasks that nobody asks about say ignore_result themselves.
CELERY_RESULT_BACKEND = "django-db"
CELERY_RESULT_EXTENDED = True
CELERY_TASK_IGNORE_RESULT = False
CELERY_TIMEZONE = TIME_ZONE
CELERY_WORKER_PREFETCH_MULTIPLIER = 1  # a long step holds up nothing behind it
CELERY_WORKER_HIJACK_ROOT_LOGGER = False  # LOGGING below is for the worker as well
CELERY_WORKER_REDIRECT_STDOUTS = False

# The bank is another company: reached by HTTP, with its own memory. `manage.py demo` starts one of its own.
BANK_URL = os.environ.get("BANK_URL", "http://127.0.0.1:8099")
BANK_TIMEOUT = float(os.environ.get("BANK_TIMEOUT", "1.0"))  # seconds the shop waits for one answer
BANK_LEDGER = DATA_DIR / "bank.sqlite3"

# Who may send which event over HTTP, here the parcel service: POST /api/events/parcel.arrived/, signed with it.
PARCEL_SECRET = os.environ.get("PARCEL_SECRET", "only-for-development" if DEVELOPMENT else "")
FLOWSTATE = {"EVENT_SECRETS": {"parcel.arrived": PARCEL_SECRET} if PARCEL_SECRET else {}}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "short": {"format": "%(asctime)s %(levelname)-7s %(name)s  %(message)s", "datefmt": "%H:%M:%S"}
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "short"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        # One line for each request or message would bury what the shop itself has to say.
        "celery": {"level": "WARNING"},
        "kombu": {"level": "WARNING"},
        "django.server": {"handlers": ["console"], "level": "WARNING", "propagate": False},
        # Django's own handlers come on top of ours otherwise, and every line appears twice.
        "django": {"handlers": [], "level": "INFO", "propagate": True},
    },
}
