"""A stream that commands take for a terminal."""

from __future__ import annotations

from io import StringIO


class Terminal(StringIO):
    """What is printed, with what only a terminal is shown."""

    def isatty(self) -> bool:
        return True
