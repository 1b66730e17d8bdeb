"""A policy on the arrow from a step to itself, both ways: `attempts=3`, `backoffMs=500`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from flowstate.exceptions import DiagramInvalid
from flowstate.workflows.policies import Retry

_NUMBER: Final = re.compile(r"[0-9]{1,13}(\.[0-9]{1,6})?")
_USUAL: Final = Retry()


def text_of(retry: Retry) -> str:
    """Return a policy as it is drawn, its usual values left out. Exceptions of `on=` and `give_up_on=` are not drawn."""
    found = [f"attempts={retry.max_attempts}", f"backoffMs={_milliseconds(retry.delay)}"]
    if retry.backoff != _USUAL.backoff:
        found.append(f"backoff={_plain(retry.backoff)}")
    if retry.max_delay != max(_USUAL.max_delay, retry.delay):
        found.append(f"maxDelayMs={_milliseconds(retry.max_delay)}")
    if not retry.jitter:
        found.append("jitter=no")
    return "\n".join(found)


def retry_of(text: str, name: str) -> Retry:
    """Return the policy that is drawn at the step `name`. Raises DiagramInvalid.

    Without `attempts` a step is tried once, as in Gamgee; `backoffMs` is the wait after the first failure.
    """
    found: dict[str, Any] = {}
    for pair in text.replace(",", " ").split():
        key, _, value = pair.partition("=")
        if key not in _KEYS:
            message = (
                f"the arrow from {name} to itself says {pair!r}; it says how {name} is tried again, by "
                f"{', '.join(_KEYS)}, as in 'attempts=3, backoffMs=500'."
            )
            raise DiagramInvalid(message)
        if key in found:
            message = f"the arrow from {name} to itself says {key} twice."
            raise DiagramInvalid(message)
        found[key] = _KEYS[key](value, f"{key} at {name}")
    if not found:
        message = f"the arrow from {name} to itself says nothing; it says how often, as in 'attempts=3'."
        raise DiagramInvalid(message)
    delay = found.get("backoffMs", _USUAL.delay)
    return Retry(
        found.get("attempts", 1),
        delay=delay,
        backoff=found.get("backoff", _USUAL.backoff),
        max_delay=found.get("maxDelayMs", max(_USUAL.max_delay, delay)),
        jitter=found.get("jitter", True),
    )


def _milliseconds(seconds: float) -> str:
    return _plain(round(seconds * 1000, 3))


def _plain(number: float) -> str:
    return f"{number:.6f}".rstrip("0").rstrip(".")


def _number(value: str, what: str) -> float:
    if not _NUMBER.fullmatch(value):
        message = f"{what} is a number, not {value!r}."
        raise DiagramInvalid(message)
    return float(value)


def _attempts(value: str, what: str) -> int:
    number = _number(value, what)
    if number < 1 or number != int(number):
        message = f"{what} is a whole number from 1, not {value}."
        raise DiagramInvalid(message)
    return int(number)


def _factor(value: str, what: str) -> float:
    number = _number(value, what)
    if number < 1:
        message = f"{what} is a number from 1, not {value}."
        raise DiagramInvalid(message)
    return number


def _seconds(value: str, what: str) -> float:
    return _number(value, what) / 1000


def _yes(value: str, what: str) -> bool:
    if value not in ("yes", "no"):
        message = f"{what} is yes or no, not {value!r}."
        raise DiagramInvalid(message)
    return value == "yes"


_KEYS: Final[dict[str, Callable[[str, str], Any]]] = {
    "attempts": _attempts,
    "backoffMs": _seconds,
    "backoff": _factor,
    "maxDelayMs": _seconds,
    "jitter": _yes,
}
