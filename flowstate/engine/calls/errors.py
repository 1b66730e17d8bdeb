"""Turns an exception into what the journal keeps of it: data, never something to re-instantiate by name."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from django.db import DatabaseError

from flowstate.actions.bound import BoundAction
from flowstate.engine.database.words import words_of
from flowstate.exceptions import FlowstateError, StepError, StepsFailed
from flowstate.redaction import scrubbed

MAX_CODE = 100
MAX_DETAIL = 4_000
MAX_TRACEBACK = 32_000


@dataclass(frozen=True, slots=True)
class Described:
    """An exception as the journal holds it."""

    error: dict[str, Any]
    cause: BaseException

    @property
    def traceback(self) -> str:
        """The traceback, made only for who stores it: to write it costs more than a statement."""
        text = "".join(traceback.format_exception(self.cause))
        for link in _chain(self.cause):
            if isinstance(link, DatabaseError) and (
                said := str(link)
            ):  # as the driver's own, its cause, says it
                text = text.replace(said, _words(link))
        return _clean(text)[-MAX_TRACEBACK:]


def describe(error: BaseException, *, step: str, action: BoundAction | None) -> Described:
    """Return `{code, detail, step, class, status}` and the traceback, both bounded.

    Of `StepsFailed` also `errors`, which holds the same of each step that failed.

    The action's `errors={Exc: 402}` decide about exceptions that are not flowstate's own; what nobody
    mapped is `step_failed` with status 500.
    """
    kind = type(error)
    of_others = {"errors": error.errors} if isinstance(error, StepsFailed) else {}
    code, status = _code_and_status(error, {} if action is None else action.action.errors)
    return Described(
        {
            "code": code,
            "detail": _clean(_words(error) or kind.__name__)[:MAX_DETAIL],
            "step": step,
            "class": f"{kind.__module__}.{kind.__qualname__}",
            "status": status,
            **of_others,
        },
        error,
    )


def _code_and_status(error: BaseException, mapped: Mapping[type[Exception], int]) -> tuple[str, int]:
    for kind in type(error).__mro__:
        if kind in mapped:
            code = _storable(error)[0] if isinstance(error, StepError) else _snake_case(kind.__name__)
            return code, mapped[kind]
    if isinstance(error, FlowstateError):
        return _storable(error)
    return "step_failed", 500


def _storable(error: FlowstateError) -> tuple[str, int]:
    """Return the error's own code and status, whatever its author has put there."""
    code: Any = error.code.value if isinstance(error.code, Enum) else error.code
    status: Any = error.status_code
    return _clean(str(code))[:MAX_CODE], status if isinstance(status, int) and 400 <= status < 600 else 500


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the exception and those that led to it, each once."""
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        link = waiting.pop()
        if link is not None and link not in seen:
            seen.append(link)
            waiting += [link.__cause__, link.__context__]
            yield link


def _words(error: BaseException) -> str:
    try:
        return words_of(error) if isinstance(error, DatabaseError) else str(error)
    except Exception:  # an error that cannot say what it is must be recorded all the same
        return ""


def _clean(text: str) -> str:
    # PostgreSQL stores neither NUL characters nor lone surrogates, and an error must always be storable.
    # Nor may anything be stored that quotes a secret.
    return scrubbed(text).replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()
