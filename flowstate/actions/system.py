"""SYSTEM: who acts when no person does."""

from __future__ import annotations

from typing import Final, final


@final
class System:
    """The program itself, for management commands, timers and standalone workflows.

    There is one, `SYSTEM`: the same object after pickling and copying, so that `user is SYSTEM` is the test.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "SYSTEM"

    def __reduce__(self) -> str:
        return "SYSTEM"  # pickle and copy look this name up in the module instead of making another object


SYSTEM: Final = System()
"""Passed as `user=`, it passes every rule; nothing else starts anything without a user."""
