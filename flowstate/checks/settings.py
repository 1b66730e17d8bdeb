"""Checks of FLOWSTATE in Django's settings: E009 wrong key or value, E010 path that leads nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from flowstate import conf
from flowstate.models.retention import retention_of
from flowstate.workflows.waits import event_name_problem

ABOVE_ZERO = (
    "step_timeout",
    "lease_grace",
    "max_lost_leases",
    "sweep_interval",
    "max_value_bytes",
    "max_rows",
    "max_undo_bytes",
    "event_lifetime",
    "max_events",
    "max_child_depth",
    "approval_link_lifetime",
)
SHORTEST_SECRET = 16


def check_settings(**_kwargs: Any) -> list[CheckMessage]:
    """Return what is wrong with FLOWSTATE."""
    try:
        settings = conf.settings()
    except (ImproperlyConfigured, TypeError, AttributeError) as error:
        return [Error(str(error), hint="Correct FLOWSTATE = {...} in the settings.", id="flowstate.E009")]
    return [*_values(settings), *_paths(settings)]


def _values(settings: conf.Settings) -> Iterator[Error]:
    for name in ABOVE_ZERO:
        value = getattr(settings, name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
            yield Error(
                f'FLOWSTATE["{name.upper()}"] is {value!r}.',
                hint="Give a number above 0.",
                id="flowstate.E009",
            )
    yield from _event_secrets(settings.event_secrets)
    try:
        retention_of(settings.retention)
    except ValueError as error:
        yield Error(
            f'FLOWSTATE["RETENTION"] does not say how long runs are kept: {error}.',
            hint="Give durations by status, as {'succeeded': timedelta(days=30)}, and for workflows in 'workflows'.",
            id="flowstate.E009",
        )
    if settings.lineage not in ("actions", "all", "none"):
        yield Error(
            f'FLOWSTATE["LINEAGE"] is {settings.lineage!r}.',
            hint="Give 'actions', 'all' or 'none'.",
            id="flowstate.E009",
        )
    site: object = settings.approval_mail
    if not isinstance(site, str) or (site and not site.startswith(("https://", "http://"))):
        yield Error(
            f'FLOWSTATE["APPROVAL_MAIL"] is {site!r}.',
            hint="Give the address of the site, as 'https://shop.example.org', or '' for no mails.",
            id="flowstate.E009",
        )
    services: object = settings.services
    if not isinstance(services, dict):
        yield Error(
            f'FLOWSTATE["SERVICES"] is {settings.services!r}.',
            hint="Give a dict of names and dotted paths or objects.",
            id="flowstate.E009",
        )


def _event_secrets(given: object) -> Iterator[Error]:
    fits = isinstance(given, dict) and all(
        not event_name_problem(name) and _is_secret(secret) for name, secret in given.items()
    )
    if not fits:  # without what was given: it may hold secrets
        yield Error(
            'FLOWSTATE["EVENT_SECRETS"] does not say who may send which event.',
            hint=(
                "Give a dict of the names of events and their secrets, each a text of at least "
                f"{SHORTEST_SECRET} characters, or a list of them while one is replaced by another."
            ),
            id="flowstate.E009",
        )


def _is_secret(given: object) -> bool:
    secrets = given if isinstance(given, list | tuple) and given else [given]
    return all(isinstance(secret, str) and len(secret) >= SHORTEST_SECRET for secret in secrets)


def _paths(settings: conf.Settings) -> Iterator[Error]:
    named: dict[str, object] = {'FLOWSTATE["CARRIER"]': settings.carrier}
    services: object = settings.services
    if isinstance(services, dict):
        named |= {f'FLOWSTATE["SERVICES"]["{name}"]': value for name, value in services.items()}
    for where, path in named.items():
        if not isinstance(path, str):
            continue
        try:
            import_string(path)
        except ImportError as error:
            yield Error(
                f"{where} cannot be imported: {error}",
                hint="Give the dotted path of something that can, as 'shop.services.make_gateway'.",
                id="flowstate.E010",
            )
