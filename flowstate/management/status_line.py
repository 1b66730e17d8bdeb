"""One line at the bottom of a terminal that is written over and over; nothing at all where there is no terminal."""

from __future__ import annotations

from shutil import get_terminal_size
from typing import Any

BAR = 24
"""Characters of a progress bar."""


class StatusLine:
    """Shows how far a command is. Clear it before anything else is printed."""

    def __init__(self, stdout: Any) -> None:
        self._stdout = stdout
        self.visible: bool = stdout.isatty()

    def show(self, text: str) -> None:
        """Write the text over what the line said before, cut where the terminal ends."""
        if self.visible:
            width = get_terminal_size().columns - 1
            self._write(f"\r{text[:width]}\x1b[K")

    def show_progress(self, number: int, total: int, what: str) -> None:
        """Show a bar, and the numbers."""
        share = min(1.0, number / total) if total else 1.0
        filled = round(share * BAR)
        bar = "#" * filled + "-" * (BAR - filled)
        self.show(f"[{bar}] {share:4.0%}  {number:,} of {total:,} {what}")

    def clear(self) -> None:
        """Leave the line empty."""
        if self.visible:
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        self._stdout.write(text, ending="")
        self._stdout.flush()
