"""Keys of runs: UUIDs whose order is the order of time."""

from __future__ import annotations

import secrets
import time
import uuid
from datetime import datetime

_NANOSECONDS = 1_000_000


def new_run_id() -> uuid.UUID:
    """Return a UUID version 7 (RFC 9562, section 5.7, method 3 for the sub-millisecond bits).

    Ids made later sort later, so lists page by the key itself and inserts go to the end of the index.
    """
    nanoseconds = time.time_ns()
    milliseconds, rest = divmod(nanoseconds, _NANOSECONDS)
    fraction = (rest << 12) // _NANOSECONDS
    value = (milliseconds & ((1 << 48) - 1)) << 80
    value |= 0x7 << 76 | fraction << 64
    value |= 0b10 << 62 | secrets.randbits(62)
    return uuid.UUID(int=value)


def first_run_id(moment: datetime) -> uuid.UUID:
    """Return a key that sorts before those of all runs made from this moment on."""
    milliseconds = max(0, int(moment.timestamp() * 1000))
    return uuid.UUID(int=(milliseconds & ((1 << 48) - 1)) << 80)
