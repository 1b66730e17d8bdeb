"""A scratch project for each page: the files that the page shows, around an app named `shop`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.docs.pages import ROOT, Block

PATIENCE = 120.0  # seconds until a command that hangs is ended

SETTINGS = """
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = "scratch"
DEBUG = True
ROOT_URLCONF = "project.urls"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": BASE_DIR / "db.sqlite3",
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }
}
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "rest_framework",
    "django_celery_results",
    "flowstate",
    "shop",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
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
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STATIC_URL = "static/"
LOGGING = {"version": 1, "disable_existing_loggers": False, "root": {"level": "CRITICAL"}}
CELERY_BROKER_URL = "memory://"
CELERY_BROKER_TRANSPORT_OPTIONS = {"polling_interval": 0.01}
CELERY_RESULT_BACKEND = "django-db"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
"""

CELERY = """
import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

app = Celery("project")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
"""

URLS = """
from django.contrib import admin
from django.urls import path

urlpatterns = [path("admin/", admin.site.urls)]
"""

MANAGE = """
import os
import sys

from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
execute_from_command_line(sys.argv)
"""


def build(folder: Path, blocks: Iterable[Block]) -> None:
    """Write the project; a block of a file that is there already is added to its end."""
    files = {
        "manage.py": MANAGE,
        "project/__init__.py": "from project.celery import app as celery_app\n",
        "project/celery.py": CELERY,
        "project/settings.py": SETTINGS,
        "project/urls.py": URLS,
        "shop/__init__.py": "",
    }
    for name, text in files.items():
        add(folder, name, text)
    for block in blocks:
        if block.file:
            add(folder, block.file, f"\n\n{block.text}")


def add(folder: Path, name: str, text: str) -> None:
    """Add text to the end of a file, which is made if it is not there."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(text)


def environment(folder: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment in which the project, and nothing of this one, is configured."""
    outside = {"DJANGO_SETTINGS_MODULE", "CELERY_BROKER_URL", "DATABASE_URL"}
    kept = {name: value for name, value in os.environ.items() if name not in outside}
    paths = os.pathsep.join([str(folder), str(ROOT)])
    return {**kept, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", **(more or {})}


def run(folder: Path, *command: str, code: int = 0, more: Mapping[str, str] | None = None) -> str:
    """Run Python with these arguments in the project and return what it printed. Fails on another exit code."""
    done = subprocess.run(  # noqa: S603 - the page's own commands
        [sys.executable, *command],
        cwd=folder,
        env=environment(folder, more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == code, f"{' '.join(command)}\n{done.stdout}"
    return done.stdout
