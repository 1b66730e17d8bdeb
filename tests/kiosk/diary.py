"""Steps that write down when they are called and undone, for tests that look at the order of things."""

from __future__ import annotations

from typing import Any

from flowstate import Step
from tests.kiosk.models import Entry


def enter(what: str) -> None:
    """Write a line into the ledger, a row of the database."""
    Entry.objects.create(what=what)


class Diary:
    """Makes steps and remembers what was really called, in order."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.undone_with: dict[str, Any] = {}
        """What each compensation was given."""
        self.keys: list[str] = []
        """The idempotency key of each call, forward and back."""

    def step(
        self,
        name: str,
        result: Any = None,
        *,
        errors: list[BaseException] | None = None,
        **options: Any,
    ) -> Step[Any]:
        """Return a step without a compensation that raises `errors`, one per call, and then succeeds."""
        return self._step(name, result, errors or [], None, options)

    def undoable(
        self,
        name: str,
        result: Any = None,
        *,
        errors: list[BaseException] | None = None,
        undo_errors: list[BaseException] | None = None,
        **options: Any,
    ) -> Step[Any]:
        """Return a step with a compensation; that one raises `undo_errors`, one per call, and then succeeds."""
        return self._step(name, result, errors or [], undo_errors or [], options)

    def _step(
        self,
        name: str,
        result: Any,
        errors: list[BaseException],
        undo_errors: list[BaseException] | None,
        options: dict[str, Any],
    ) -> Step[Any]:
        def do(ctx: Any) -> Any:
            self.lines.append(name)
            self.keys.append(ctx.idempotency_key)
            if errors:
                raise errors.pop(0)
            return result

        def undo(ctx: Any, given: Any) -> None:
            self.lines.append(f"undo {name}")
            self.keys.append(ctx.idempotency_key)
            self.undone_with[name] = given
            if undo_errors:
                raise undo_errors.pop(0)

        return Step(name, do, None if undo_errors is None else undo, **options)
