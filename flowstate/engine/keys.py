"""Keys: of a client's attempt, of the one live run at a time, and of an event."""

from __future__ import annotations

import hashlib
import json
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.datastructures import MultiValueDict

from flowstate.actions.bound import BoundAction
from flowstate.actions.system import SYSTEM
from flowstate.exceptions import IdempotencyKeyRefused
from flowstate.exceptions.events import EventInvalid
from flowstate.workflows.waits import LONGEST_EVENT_KEY
from flowstate.workflows.workflow import Options

MAX_LENGTH = 255


def idempotency_hash(key: Any, *, user: Any, scope: str, name: str, action: BoundAction | None) -> str | None:
    """Return what makes the client's key unique: per caller, action and row.

    Raises `IdempotencyKeyRefused` for a key that is no printable text of 1 to 255 characters, and for one
    of an anonymous caller without a session: it could give one person's run to another.
    """
    if key is None or user is None:
        return None
    if not isinstance(key, str) or not 0 < len(key) <= MAX_LENGTH or not key.isprintable():
        message = f"An idempotency key is printable text of 1 to {MAX_LENGTH} characters; this one is not."
        raise IdempotencyKeyRefused(message)
    return _hash("idempotency", _caller(user, scope), name, _row(action), key)


def input_hash(given: Any) -> str:
    """Return a digest of the input as it was given, so that the same key with other input is noticed.

    Keyed by SECRET_KEY: the input may be secret, and short.
    """
    return _input_hash(given, settings.SECRET_KEY)


def is_same_input(given: Any, digest: str) -> bool:
    """Return whether the digest is that of this input, also under one of SECRET_KEY_FALLBACKS."""
    keys = (settings.SECRET_KEY, *getattr(settings, "SECRET_KEY_FALLBACKS", ()))
    return any(constant_time_compare(_input_hash(given, key), digest) for key in keys)


def _input_hash(given: Any, secret: str | bytes) -> str:
    if isinstance(given, MultiValueDict):  # a form: a field may have several values
        given = dict(given.lists())
    text = json.dumps(given, sort_keys=True, default=str) if given else ""
    return salted_hmac("flowstate.input", text, secret=secret, algorithm="sha256").hexdigest()


def exclusive_hash(meta: Options, *, name: str, action: BoundAction | None) -> str | None:
    """Return the key that one live run at a time may hold; None where any number may run.

    Without a row, only a workflow whose Meta says `exclusive` is held to one.
    """
    scoped = "exclusive" in meta.given if action is None or action.entity is None else True
    if meta.exclusive is None or not scoped:
        return None
    return _hash("exclusive", name if meta.exclusive == "action" else "", _row(action))


def event_key(given: Any, what: str) -> str:
    """Return the key of an event as text. Raises `EventInvalid` for None, and for text that is no key."""
    plain = isinstance(given, str | int | UUID) and not isinstance(given, bool)
    key = str(given) if plain else ""
    if 0 < len(key) <= LONGEST_EVENT_KEY and key.isprintable():
        return key
    message = (
        f"The key of {what} is a printable text of 1 to {LONGEST_EVENT_KEY} characters, a number or a UUID, "
        f"not {given!r}."
    )
    raise EventInvalid(message)


def _caller(user: Any, scope: str) -> str:
    if user is SYSTEM:
        return "system"
    if getattr(user, "is_authenticated", False):
        return f"user {user.pk}"
    if not scope:
        message = (
            "An anonymous caller without a session cannot use an idempotency key: log in, or send no key."
        )
        raise IdempotencyKeyRefused(message)
    return f"session {scope}"


def _row(action: BoundAction | None) -> str:
    return (
        ""
        if action is None or action.entity is None
        else f"{action.model._meta.label_lower} {action.entity_id}"
    )


def _hash(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
