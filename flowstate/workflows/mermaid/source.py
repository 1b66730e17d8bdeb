"""The text of a diagram as the readers see it: line by line, left to right, and each character about once.

All looking goes through here and is counted, so that a test can show that ten times the text takes ten times the
looks. Nothing looks ahead further than it then goes on, or it fails and the reading is over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NoReturn

from flowstate.exceptions import DiagramInvalid

_SPACES: Final = re.compile(r"[ \t\r]*")
WORD: Final = re.compile(r"\w*")


class Source:
    """A text, read once from its first line to its last."""

    def __init__(self, text: str) -> None:
        self._lines: Final = text.removeprefix("\N{BYTE ORDER MARK}").split("\n")
        self.number = 0
        """Of the line that was read last, from 1."""
        self.looks = len(text)  # each once, to tell the lines
        """How many characters were looked at so far."""

    def lines(self) -> Iterator[Line]:
        """Yield the lines that are left, but for empty ones and those that are comments."""
        while self.number < len(self._lines):
            line = self.next_line()
            line.spaces()
            if not line.ended:
                yield line

    def next_line(self) -> Line:
        """Return the next line as it is. Raises DiagramInvalid after the last."""
        if self.number == len(self._lines):
            self.fail_at_end("the text ends here, but something is still open.")
        self.number += 1
        return Line(self, self._lines[self.number - 1])

    def fail_at_end(self, message: str) -> NoReturn:
        """Raise DiagramInvalid with the line and column where the text ends."""
        raise DiagramInvalid(message, len(self._lines), len(self._lines[-1]) + 1)


class Line:
    """One line, read from left to right."""

    def __init__(self, source: Source, text: str) -> None:
        self._source: Final = source
        self._text: Final = text
        self._number: Final = source.number
        self._at = 0

    @property
    def ended(self) -> bool:
        """Whether nothing is left but a comment; what begins with `%%{` is none but a directive."""
        return self._at == len(self._text) or (self._sees("%%") and not self._sees("%%{"))

    def take(self, pattern: re.Pattern[str]) -> str:
        """Return what fits, maybe nothing. The pattern must not look further than what it then takes."""
        found = pattern.match(self._text, self._at)
        taken = found[0] if found else ""
        self._go(len(taken) + 1, len(taken))
        return taken

    def spaces(self) -> Line:
        """Go on to what is no space."""
        self.take(_SPACES)
        return self

    def skip(self, literal: str) -> bool:
        """Go on behind these characters if they come next; return whether they do."""
        there = self._sees(literal)
        self._go(len(literal), len(literal) if there else 0)
        return there

    def until(self, end: str, what: str) -> str:
        """Return all before `end` and go on behind it. Raises DiagramInvalid saying that `what` is not closed."""
        found = self._text.find(end, self._at)
        if found < 0:
            self._go(len(self._text) - self._at, 0)
            self.fail(f"{what} is not closed by {end} on its line.")
        taken = self._text[self._at : found]
        self._go(found - self._at + len(end), found - self._at + len(end))
        return taken

    def rest(self) -> str:
        """Return all that is left, without the spaces around it."""
        taken = self._text[self._at :]
        self._go(len(taken), len(taken))
        return taken.strip()

    def fail(self, message: str) -> NoReturn:
        """Raise DiagramInvalid with the line and column where this stands."""
        raise DiagramInvalid(message, self._number, self._at + 1)

    def fail_here(self, expected: str) -> NoReturn:
        """Raise DiagramInvalid saying what stands here and what might have."""
        there = self._text[self._at : self._at + 20].strip()
        self.fail(f"{there!r} cannot stand here; {expected}" if there else f"the line ends; {expected}")

    def _sees(self, literal: str) -> bool:
        return self._text.startswith(literal, self._at)

    def _go(self, looks: int, characters: int) -> None:
        self._source.looks += looks
        self._at += characters
