"""Tokens of steps that wait for an event: a secret for each step, which can be made again but not guessed."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Iterator
from hmac import compare_digest
from uuid import UUID

from django.conf import settings as django_settings
from django.utils.crypto import salted_hmac

from flowstate.models import StepRun

_SALT = "flowstate.event_token"
_PLACE = 18
"""Bytes that say which step it is: the run's id and the step's number."""
_BYTES, _LENGTH = _PLACE + 32, 67
"""Bytes of a token, those and 32 of the secret, and its characters."""


def make_token(row: StepRun) -> str:
    """Return the token of a step, the same at every call."""
    return _token(row.run_id, row.seq, django_settings.SECRET_KEY)


def hash_of(token: str) -> str:
    """Return what is stored of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def place_of(token: str) -> tuple[UUID, int] | None:
    """Return which step a token claims to be of, the run's id and the step's number; nothing is proved by that."""
    if len(token) != _LENGTH or not token.isascii():
        return None
    raw = urlsafe_b64decode(token + "=")  # characters that do not belong there are left out
    if len(raw) != _BYTES:
        return None
    return UUID(bytes=raw[:16]), int.from_bytes(raw[16:_PLACE], "big")


def is_genuine(token: str, row: StepRun, stored: str | None) -> bool:
    """Return whether the token is the step's, by the hash that is stored, if one is, and by the keys of now.

    All candidates are compared, each in constant time.
    """
    given = hash_of(token)
    candidates = [*([stored] if stored else []), *map(hash_of, _tokens(row))]
    return sum(compare_digest(given, candidate) for candidate in candidates) > 0


def _tokens(row: StepRun) -> Iterator[str]:
    fallbacks: Iterable[str | bytes] = getattr(django_settings, "SECRET_KEY_FALLBACKS", ())
    for secret in (django_settings.SECRET_KEY, *fallbacks):
        yield _token(row.run_id, row.seq, secret)


def _token(run_id: UUID, seq: int, secret: str | bytes) -> str:
    place = run_id.bytes + seq.to_bytes(2, "big")
    proof = salted_hmac(_SALT, place, secret=secret, algorithm="sha256").digest()
    return urlsafe_b64encode(place + proof).decode().rstrip("=")
