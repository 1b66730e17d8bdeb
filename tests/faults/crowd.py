"""Several at once: threads with connections of their own, that begin together and are all waited for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from django.db import connections

Result = TypeVar("Result")

MOST_SECONDS = 60.0
"""Seconds after which whoever is waited for counts as stuck."""


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """Call all at the same moment, each in its thread; return their results, or the exceptions they raised."""
    together = threading.Barrier(len(works))
    results: list[Any] = [None] * len(works)

    def carry_out(place: int, work: Callable[[], Any]) -> None:
        try:
            together.wait(MOST_SECONDS)
            results[place] = work()
        except BaseException as error:
            results[place] = error
        finally:
            connections.close_all()

    threads = [
        threading.Thread(target=carry_out, args=item, name=f"crowd {item[0]}", daemon=True)
        for item in enumerate(works)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(MOST_SECONDS)
        assert not thread.is_alive(), f"{thread.name} is stuck"
    return results


def elsewhere(work: Callable[[], Result]) -> Result:
    """Call something on a connection of its own, while this one may be in the middle of a transaction."""
    result = at_once(work)[0]
    if isinstance(result, BaseException):
        raise result
    return result  # type: ignore[no-any-return]


def wait_for(event: threading.Event) -> None:
    """Wait for an event, but not for ever."""
    assert event.wait(MOST_SECONDS), "nobody came"


def until(condition: Callable[[], Any], what: str, seconds: float = MOST_SECONDS) -> None:
    """Look again and again until the condition holds; fail, saying `what`, where it never does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} seconds"
        time.sleep(0.002)
