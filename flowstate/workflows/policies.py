"""Policies: how long something may take, and how often and after which wait it is tried again."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Never, TypeAlias

from flowstate.exceptions import DeclarationInvalid

Duration: TypeAlias = float | timedelta
"""Seconds, or a timedelta."""

LONGEST: Final = timedelta(days=36525).total_seconds()
"""A century in seconds: above it deadlines leave the calendar; what is longer was meant in milliseconds."""


@dataclass(frozen=True, slots=True, init=False)
class Retry:
    """How often a step is tried, and how long to wait between tries. All durations are in seconds.

    The wait after the n-th failure is `delay * backoff ** (n - 1)`, at most `max_delay`; with `jitter` it is
    drawn evenly between 0 and that. `delay=0` means at once. `on` names the only exceptions worth another
    try, `give_up_on` those that are never worth one. Raises DeclarationInvalid for values that cannot work.
    """

    max_attempts: int
    delay: float
    backoff: float
    max_delay: float
    jitter: bool
    on: tuple[type[Exception], ...]
    give_up_on: tuple[type[Exception], ...]

    def __init__(  # noqa: PLR0913 - a policy is its numbers
        self,
        max_attempts: int = 3,
        *,
        delay: Duration = 1.0,
        backoff: float = 2.0,
        max_delay: Duration = 60.0,
        jitter: bool = True,
        on: Iterable[type[Exception]] = (),
        give_up_on: Iterable[type[Exception]] = (),
        **unknown: Never,
    ) -> None:
        refuse_unknown("Retry", unknown, self.__slots__)
        put = object.__setattr__  # the only way to fill a frozen dataclass
        put(self, "max_attempts", _attempts(max_attempts))
        put(self, "delay", seconds(delay, "Retry: delay"))
        put(self, "backoff", _factor(backoff))
        put(self, "max_delay", seconds(max_delay, "Retry: max_delay"))
        put(self, "jitter", flag(jitter, "Retry: jitter"))
        put(self, "on", exceptions(on, "Retry: on"))
        put(self, "give_up_on", exceptions(give_up_on, "Retry: give_up_on"))
        if self.delay > self.max_delay:
            message = (
                f"Retry: delay is {self.delay:g} s, above max_delay, which is {self.max_delay:g} s: "
                "the wait would never be that long. Give max_delay= too."
            )
            raise DeclarationInvalid(message)

    @property
    def waits(self) -> bool:
        """Whether there may be a wait between two tries."""
        return self.max_attempts > 1 and self.delay > 0

    def allows(self, error: BaseException, failures: int) -> bool:
        """Return whether to try again after `error`, which was the `failures`-th failure, counted from 1."""
        if failures >= self.max_attempts or not isinstance(error, Exception):
            return False
        if self.on and not isinstance(error, self.on):
            return False
        return not isinstance(error, self.give_up_on)

    def delay_before(self, failures: int, random: Callable[[], float]) -> float:
        """Return the seconds to wait after the `failures`-th failure; `random` gives numbers from 0 to 1."""
        if failures < 1:
            message = f"failures are counted from 1, not {failures!r}"
            raise ValueError(message)
        longest = self._longest(failures)
        return longest * random() if self.jitter else longest

    def _longest(self, failures: int) -> float:
        try:
            return min(self.delay * self.backoff ** (failures - 1), self.max_delay)
        except OverflowError:
            return self.max_delay if self.delay else 0.0


def seconds(given: Duration, what: str) -> float:
    """Return a duration in seconds. Raises DeclarationInvalid for what is none: negative, bool, NaN, endless."""
    value = given.total_seconds() if isinstance(given, timedelta) else given
    if isinstance(value, bool) or not isinstance(value, int | float):
        message = f"{what} is a number of seconds or a timedelta, not {given!r}."
        raise DeclarationInvalid(message)
    if not 0 <= value <= LONGEST:  # false for NaN
        message = f"{what} is a duration from 0 seconds to 100 years, not {given!r}."
        raise DeclarationInvalid(message)
    return float(value)


def limit(given: Duration | None, what: str) -> float | None:
    """Return a time limit in seconds, or None for none. Raises DeclarationInvalid; 0 is no limit to work in."""
    if given is None:
        return None
    value = seconds(given, what)
    if value == 0:
        message = f"{what} is above 0 seconds, not {given!r}: nothing can be done in no time."
        raise DeclarationInvalid(message)
    return value


def flag(given: object, what: str) -> bool:
    """Return a boolean option. Raises DeclarationInvalid for anything but True and False."""
    if isinstance(given, bool):
        return given
    message = f"{what} is True or False, not {given!r}."
    raise DeclarationInvalid(message)


def exceptions(given: Iterable[type[Exception]], what: str) -> tuple[type[Exception], ...]:
    """Return exception classes as a tuple. Raises DeclarationInvalid for anything else."""
    if isinstance(given, list | tuple | set | frozenset):
        classes = tuple(given)
        if all(isinstance(item, type) and issubclass(item, Exception) for item in classes):
            return classes
    message = f"{what} takes a list of exception classes, not {given!r}."
    raise DeclarationInvalid(message)


def refuse_unknown(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raise DeclarationInvalid naming the options that do not exist, and those that do."""
    there = sorted(known)
    unknown = sorted(set(given) - set(there))
    if not unknown:
        return
    noun = "option" if len(unknown) == 1 else "options"
    message = f"{what} has no {noun} {', '.join(unknown)}; there are {', '.join(there)}."
    raise DeclarationInvalid(message)


def _attempts(given: Any) -> int:
    if isinstance(given, int) and not isinstance(given, bool) and given >= 1:
        return given
    message = f"Retry: max_attempts is a whole number from 1, not {given!r}."
    raise DeclarationInvalid(message)


def _factor(given: Any) -> float:
    number = isinstance(given, int | float) and not isinstance(given, bool)
    if number and given >= 1 and math.isfinite(given):
        return float(given)
    message = f"Retry: backoff is a finite number from 1, not {given!r}."
    raise DeclarationInvalid(message)
