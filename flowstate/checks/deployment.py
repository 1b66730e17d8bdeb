"""Checks for `--deploy`: settings that are fine on one's own machine and would hurt in production."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from celery import current_app

from django.conf import settings as django_settings
from django.core import checks
from django.core.checks import CheckMessage
from django.db import connections

from flowstate import conf
from flowstate.checks.journal import journal_alias

JSON = {"json", "application/json"}


def check_deployment(**_kwargs: Any) -> list[CheckMessage]:
    """Return what would hurt in production."""
    return [*_django(), *_celery()]


def _django() -> Iterator[checks.Warning]:
    alias = journal_alias()
    if connections[alias].vendor == "sqlite":
        yield checks.Warning(
            f'DATABASES["{alias}"] is SQLite: it takes one writer at a time, on one machine.',
            hint="Use PostgreSQL, MariaDB or MySQL where several processes write.",
            id="flowstate.W020",
        )
    if django_settings.DEBUG:
        yield checks.Warning(
            "DEBUG is on: pages show internals, every query is kept in memory, and each external step is "
            "watched for writes.",
            hint="Set DEBUG = False.",
            id="flowstate.W024",
        )


def _celery() -> Iterator[checks.Warning]:
    if conf.settings().carrier != conf.Settings().carrier:
        return  # another carrier has settings of its own
    if current_app.main == "default":
        yield checks.Warning(
            "No Celery app is loaded, so steps are published by one that knows none of your settings.",
            hint="Import your Celery app in the project's __init__.py, as Celery's guide for Django says.",
            id="flowstate.W027",
        )
        return
    yield from _broker(current_app.conf)
    yield from _formats(current_app.conf)
    yield from _workers(current_app.conf)


def _broker(celery: Any) -> Iterator[checks.Warning]:
    url = str(celery.broker_write_url or celery.broker_url or "")
    if url.startswith("memory:"):
        yield checks.Warning(
            "Celery's broker is memory://, which ends at this process: workers never hear of new work.",
            hint="Set CELERY_BROKER_URL to Redis or RabbitMQ.",
            id="flowstate.W021",
        )


def _formats(celery: Any) -> Iterator[checks.Warning]:
    formats: dict[str, Iterable[str]] = {
        "task_serializer": [celery.task_serializer],
        "result_serializer": [celery.result_serializer],
        "accept_content": celery.accept_content or [],
        "result_accept_content": celery.result_accept_content or [],
    }
    for name, values in formats.items():
        others = sorted(set(values) - JSON)
        if others:
            yield checks.Warning(
                f"Celery's {name} has {', '.join(others)}: whoever can write to the broker or the results may "
                "then run code here or send what JSON cannot hold.",
                hint=f'Set CELERY_{name.upper()} to "json" alone.',
                id="flowstate.W022",
            )


def _workers(celery: Any) -> Iterator[checks.Warning]:
    if celery.task_always_eager:
        yield checks.Warning(
            "Celery's task_always_eager is on: background steps run in the request that publishes them.",
            hint="Remove CELERY_TASK_ALWAYS_EAGER.",
            id="flowstate.W023",
        )
    if not celery.result_backend or str(celery.result_backend).startswith("disabled"):
        yield checks.Warning(
            "Celery has no result backend, so the admin cannot link a step to its Celery result.",
            hint='Set CELERY_RESULT_BACKEND = "django-db" and install the app django_celery_results.',
            id="flowstate.W025",
        )
    if celery.worker_prefetch_multiplier != 1:
        yield checks.Warning(
            f"Celery's worker_prefetch_multiplier is {celery.worker_prefetch_multiplier}: steps wait behind a long "
            "one in a worker while other workers have nothing to do.",
            hint="Set CELERY_WORKER_PREFETCH_MULTIPLIER = 1.",
            id="flowstate.W026",
        )
    if not celery.get("CELERY_DB_REUSE_MAX"):
        yield checks.Warning(
            "Celery closes the database connections before and after every task: opening them anew takes longer "
            "than most runs.",
            hint='Set app.conf["CELERY_DB_REUSE_MAX"] = 1000 beside your Celery app, after config_from_object.',
            id="flowstate.W028",
        )
