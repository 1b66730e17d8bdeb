"""Keys of runs: UUIDs whose order is the order of time."""

from __future__ import annotations

import secrets
import time
import uuid

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
