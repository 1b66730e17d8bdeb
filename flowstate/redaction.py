"""Secrets that this process has had in hand, so that no text which quotes one is stored, logged or shown."""

from __future__ import annotations

import logging
import traceback
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from decimal import Decimal
from threading import Lock
from typing import Any, Final
from uuid import UUID

HIDDEN: Final = "***"

SHORTEST = 6
"""Characters. Shorter texts are not looked for: they would be found where they mean something else."""

MOST = 500
"""Secrets that are remembered, the latest; only memory holds them."""

LOGGERS = ("attention", "carrier", "checks", "events", "hooks", "rest", "rules", "runs", "steps", "sweep")

_known: OrderedDict[str, None] = OrderedDict()
_lock = Lock()


def remember(secret: Any) -> None:
    """Look out for the texts and numbers of this value from now on."""
    found = [text for text in _texts(secret) if len(text) >= SHORTEST]
    with _lock:
        for text in found:
            _known[text] = None
            _known.move_to_end(text)
        while len(_known) > MOST:
            _known.popitem(last=False)


def forget_all() -> None:
    """Forget what was remembered; for tests only."""
    with _lock:
        _known.clear()


def quotes_secret(text: str) -> bool:
    """Return whether the text holds a secret that this process knows."""
    return bool(_known) and any(secret in text for secret in _in_hand())


def scrubbed(text: str) -> str:
    """Return the text with `***` for each secret that it quotes."""
    if _known:
        for secret in sorted(_in_hand(), key=len, reverse=True):  # one may begin with another
            text = text.replace(secret, HIDDEN)
    return text


class Scrub(logging.Filter):
    """Takes secrets out of log records, out of tracebacks too; nothing is held back."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True; the record is changed only if it quotes a secret."""
        if not _known:
            return True
        said = record.getMessage()
        if quotes_secret(said):
            record.msg, record.args = scrubbed(said), None
        if record.exc_info and record.exc_info[1] is not None:
            told = "".join(traceback.format_exception(record.exc_info[1]))
            if quotes_secret(told):
                record.exc_info, record.exc_text = None, scrubbed(told)
        return True


def scrub_logs() -> None:
    """Have secrets taken out of what flowstate logs."""
    scrub = Scrub()
    for name in LOGGERS:
        logging.getLogger(f"flowstate.{name}").addFilter(scrub)


def _in_hand() -> list[str]:
    with _lock:
        return list(_known)


def _texts(value: Any) -> Iterator[str]:
    match value:
        case bool() | None:
            return
        case str():
            yield value
        case int() | float() | Decimal() | UUID():
            yield str(value)
        case Mapping():
            for item in value.values():
                yield from _texts(item)
        case list() | tuple():
            for item in value:
                yield from _texts(item)
