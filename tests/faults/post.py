"""A carrier that keeps its messages: a test delivers them, twice, late, in disorder, or never."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flowstate.engine.carry import messages

PATH = "tests.faults.post.Post"

Letter = Callable[[], Any]

letters: list[Letter] = []
"""What this process published and nobody has delivered yet."""


class Post:
    """Publishes into this process's memory; what a killed process published is lost with it."""

    def wake(self, *, queue: str) -> None:
        letters.append(
            lambda: messages.drain(queue, wake_next=lambda: self.wake(queue=queue), stopping=_never)
        )

    def carry_run(self, run_id: str, *, queue: str, delay: float) -> None:
        letters.append(lambda: messages.carry_run(run_id, queue=queue))

    def carry_step(self, step_run_id: int, *, queue: str, delay: float) -> None:
        letters.append(lambda: messages.carry_step(step_run_id, queue=queue))


def deliver(*, most: int = 10_000) -> int:
    """Deliver what was published, and what is published meanwhile; return how many letters that was."""
    for number in range(most):
        if not letters:
            return number
        letters.pop(0)()
    message = f"Messages still come after {most}."
    raise RuntimeError(message)


def _never() -> bool:
    return False
