"""The seal of an undo record: what tells that it is the one which this very step has written."""

from __future__ import annotations

import json
from typing import Any

from django.core.signing import BadSignature, Signer

from flowstate.conf import settings
from flowstate.exceptions import RowLimitExceeded

_SALT = "flowstate.undo"


def sealed(record: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the record with its seal. `key` is the step's, so that no other step's record passes for it.

    Raises `RowLimitExceeded` for one of more than FLOWSTATE["MAX_UNDO_BYTES"] bytes.
    """
    text = _text(record, key)
    size, limit = len(text), settings().max_undo_bytes  # the text is all ASCII
    if size > limit:
        message = (
            f"What the step changes takes {size:,} bytes of JSON to undo, more than the {limit:,} of "
            "FLOWSTATE['MAX_UNDO_BYTES']. Work in batches, or say `compensate=False` where nothing is to be undone."
        )
        raise RowLimitExceeded(message)
    return {**record, "seal": Signer(salt=_SALT).signature(text)}


def is_sealed(record: dict[str, Any], key: str) -> bool:
    """Return whether the record is as it was when it was sealed, under this SECRET_KEY or a fallback."""
    signer = Signer(salt=_SALT)
    content = {part: value for part, value in record.items() if part != "seal"}
    try:
        signer.unsign(f"{_text(content, key)}{signer.sep}{record.get('seal')}")
    except BadSignature:
        return False
    return True


def _text(record: dict[str, Any], key: str) -> str:
    # Sorted: databases that store JSON keep no order of keys.
    return json.dumps([key, record], sort_keys=True, separators=(",", ":"))
