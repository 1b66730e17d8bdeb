"""The settings of flowstate: `FLOWSTATE = {...}` in Django's settings, read at use, never at import."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One read of FLOWSTATE; field names are its keys in lower case."""

    carrier: str = "flowstate.carriers.celery.CeleryCarrier"
    """Dotted path of what brings steps to workers."""

    services: dict[str, Any] = field(default_factory=dict)
    """What `ctx.service(name)` returns: dotted paths of factories, or objects."""

    step_timeout: float = 60.0
    """Seconds an attempt or a compensation may take where the step says nothing."""

    lease_grace: float = 15.0
    """Seconds that a lease outlives the step's timeout."""

    max_lost_leases: int = 3
    """How often a step may lose its worker before it counts as the cause."""

    sweep_interval: float = 5.0
    """Seconds between two sweeps of a worker."""

    max_value_bytes: int = 256 * 1024
    """Bytes of JSON that an input, a result or `ctx.data` may take."""

    max_rows: int = 1000
    """Rows that one entity step may touch, cascades included."""

    max_undo_bytes: int = 4 * 1024 * 1024
    """Bytes of JSON that the undo record of one entity step may take."""

    max_child_depth: int = 8
    """How many runs may stand above a child run."""

    event_secrets: dict[str, Any] = field(default_factory=dict)
    """Who may send which event over HTTP: a secret, or a list of them, for each name."""

    event_lifetime: float = 30 * 86400.0
    """Seconds that an event stays in the inbox while nobody waits for it."""

    max_events: int = 100
    """Events under one name and key that may stay in the inbox while nobody waits for them."""

    retention: Any = field(default_factory=dict)
    """How long `flowstate_prune` keeps ended runs: a duration, or durations by status and workflow."""

    approval_mail: str = ""
    """Where the site is, as "https://shop.example.org", for the links in mails to those who may decide; empty: none."""

    approval_link_lifetime: float = 7 * 86400.0
    """Seconds that a link to an approval is good for."""

    lineage: str = "actions"
    """Of which models it is kept which steps touched their rows: those with "actions", "all", "none"."""

    default_queue: str = "flowstate"
    """Celery queue of runs and steps that name none."""


_NOTHING: dict[str, Any] = {}
_read: tuple[dict[str, Any], Settings] = (_NOTHING, Settings())


def settings() -> Settings:
    """Return FLOWSTATE as it is now. Raises ImproperlyConfigured for a key that does not exist.

    Known by the identity of the dictionary: who changes a setting puts another one in its place, as
    `override_settings` does. It is asked some twenty times in a run.
    """
    global _read  # noqa: PLW0603 - a cache of one
    given: dict[str, Any] = getattr(django_settings, "FLOWSTATE", _NOTHING)
    seen, known = _read
    if given is not seen:
        known = _settings_of(given)
        _read = (given, known)
    return known


def _settings_of(given: dict[str, Any]) -> Settings:
    known = {item.name for item in fields(Settings)}
    unknown = sorted(key for key in given if key.lower() not in known or key != key.upper())
    if unknown:
        names = ", ".join(sorted(name.upper() for name in known))
        message = f"FLOWSTATE has no setting {', '.join(unknown)}; there are {names}."
        raise ImproperlyConfigured(message)
    return Settings(**{key.lower(): value for key, value in given.items()})
