"""Who sent an event over HTTP: an HMAC over the time and the body, by a secret that both sides know."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Iterable

from flowstate.conf import settings
from flowstate.exceptions.events import EventSignatureInvalid
from flowstate.models.clock import host_now

WINDOW = 300
"""Seconds by which the time of a request may differ from ours, before or after."""

TIMESTAMP = "X-Flowstate-Timestamp"
SIGNATURE = "X-Flowstate-Signature"

_SCHEME = "sha256="
_NOBODY = "no secret: nobody may send this"


def sign_event(body: bytes, secret: str, *, timestamp: int | None = None) -> dict[str, str]:
    """Return the headers that a sender puts beside this very body; `timestamp` in seconds since 1970."""
    moment = str(int(time.time()) if timestamp is None else timestamp)
    return {TIMESTAMP: moment, SIGNATURE: _SCHEME + _digest(moment, body, secret)}


def verified(name: str, body: bytes, *, timestamp: str, signature: str) -> str:
    """Return the digest of a request that may send this event. Raises `EventSignatureInvalid`.

    An event that nobody may send is refused in the same words, after the same work: which ones there are is
    nobody's business.
    """
    given = signature.removeprefix(_SCHEME)
    secrets = _secrets(name)
    # All of them, so that the time it takes tells nothing.
    fits = sum(_same(given, _digest(timestamp, body, secret)) for secret in secrets or (_NOBODY,))
    if not secrets or not fits or not signature.startswith(_SCHEME):
        message = (
            f"The request is not signed by who may send this event: {SIGNATURE} is {_SCHEME} and the hex digest of "
            f"an HMAC-SHA256 over {TIMESTAMP}, a full stop and the body."
        )
        raise EventSignatureInvalid(message)
    _refuse_old(timestamp)
    return given


def _refuse_old(timestamp: str) -> None:
    # Signed, so it is what the sender wrote; but that may be anything.
    seconds = int(timestamp) if timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 16 else None
    if seconds is None or abs(host_now().timestamp() - seconds) > WINDOW:
        message = (
            f"{TIMESTAMP} is the time of sending in seconds since 1970, and at most {WINDOW} of them off: sign the "
            "request anew."
        )
        raise EventSignatureInvalid(message)


def _secrets(name: str) -> tuple[str, ...]:
    given = settings().event_secrets.get(name, ())
    some: Iterable[str] = (given,) if isinstance(given, str) else given
    return tuple(secret for secret in some if secret)


def _digest(timestamp: str, body: bytes, secret: str) -> str:
    signed = timestamp.encode("utf-8", "replace") + b"." + body
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())
