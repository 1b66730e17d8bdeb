"""The seal of an undo record: what tells that it is the one which this very step has written."""

from __future__ import annotations

import json
from typing import Any

from django.core.signing import BadSignature, Signer

_SALT = "flowstate.undo"


def sealed(record: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the record with its seal. `key` is the step's, so that no other step's record passes for it."""
    return {**record, "seal": Signer(salt=_SALT).signature(_text(record, key))}


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
