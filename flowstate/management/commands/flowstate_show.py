"""`manage.py flowstate_show RUN`: what happened in a run, in the terminal."""

from __future__ import annotations

import re
import time
from argparse import ArgumentParser
from collections import Counter
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.core.management.color import no_style
from django.db import router

from flowstate.management.run_text import (
    Line,
    entry_lines,
    head_of,
    status_of,
    steps_of,
    text_of,
)
from flowstate.models import Run, RunStatus
from flowstate.models.timeline import timeline_of

LATEST = 10_000
"""Runs among which the end of an id is looked for."""

SHORTEST = 4
"""Digits that the end of an id has at least."""

EXIT_CODES: dict[str, int] = {
    RunStatus.SUCCEEDED: 0,
    RunStatus.FAILED: 3,
    RunStatus.COMPENSATED: 4,
    RunStatus.CANCELLED: 5,
    RunStatus.ATTENTION: 6,
}
"""With --follow; 1 and 2 are those of Django and of argparse, for what could not be done."""


class Command(BaseCommand):
    """Shows no input and no results. Reads only."""

    help = "Show a run: its steps with tries, times, undoing and errors, and what happened when."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take which run, and whether to wait for its end."""
        parser.add_argument(
            "run", help=f"its id, the last {SHORTEST} or more digits of it, or the idempotency key of a step"
        )
        parser.add_argument(
            "--follow",
            action="store_true",
            help="print what happens until the run ends or needs a person; the exit code then says how: "
            + ", ".join(f"{code} {status}" for status, code in EXIT_CODES.items()),
        )
        parser.add_argument("--interval", type=float, default=1.0, help="seconds between two looks (1)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the run. Raises CommandError where there is none, or more than one; and with --follow for a bad end."""
        if not (self.stdout.isatty() or options["force_color"]):
            self.style = no_style()  # a file has no colours, whatever the terminal that it is written from
        self._using = router.db_for_read(Run)
        run = self._read(self._found(options["run"]))
        self._print(*text_of(run))
        if options["follow"]:
            self._follow(run, options["interval"])

    def _follow(self, run: Run, interval: float) -> None:
        """Print what is new at each look, of three statements, until nothing will be without a person."""
        told = Counter(timeline_of(run))
        said = status_of(run)
        looked = False
        while run.status not in EXIT_CODES:
            time.sleep(interval)
            run, looked = self._read(run.pk), True
            now = Counter(timeline_of(run))
            self._print(*(line for entry in (now - told) for line in entry_lines(entry, run)))
            told = now
            if status_of(run) != said:
                said = status_of(run)
                self._print(Line(f"  {'':9}  run: {said}"))
        if looked:
            self._print(Line(""), *head_of(run), *steps_of(run))
        if EXIT_CODES[run.status]:
            message = f"Run {run.pk} ({run.label}): {run.status}."
            raise CommandError(message, returncode=EXIT_CODES[run.status])

    def _print(self, *lines: Line) -> None:
        for line in lines:
            colour = getattr(self.style, line.style) if line.style else str
            self.stdout.write(colour(_printable(line.text)))
        self.stdout.flush()

    def _read(self, pk: UUID) -> Run:
        """Return the run with its steps and its history. Three statements."""
        run = Run.objects.using(self._using).with_steps().prefetch_related("events").filter(pk=pk).first()
        if run is None:
            message = f"There is no run {pk} any more."
            raise CommandError(message)
        return run

    def _found(self, given: str) -> UUID:
        """Return the key of the run that is meant: by its id, by the key of a step, or by the end of an id."""
        whole = _uuid(given) or _uuid(given.partition(":")[0])  # a step's key begins with its run's id
        if whole is not None:
            if Run.objects.using(self._using).filter(pk=whole).exists():
                return whole
            message = f"There is no run {whole}."
            raise CommandError(message)
        tail = given.replace("-", "").lower()
        if not re.fullmatch(rf"[0-9a-f]{{{SHORTEST},31}}", tail):
            message = f"{given!r} is no id of a run, nor the last {SHORTEST} or more digits of one, nor a step's idempotency key."
            raise CommandError(message)
        latest = Run.objects.using(self._using).order_by("-pk").values_list("pk", flat=True)[:LATEST]
        fitting = [pk for pk in latest.iterator() if pk.hex.endswith(tail)]
        if len(fitting) == 1:
            return fitting[0]
        which = f": {', '.join(map(str, fitting[:5]))}" if fitting else ""
        message = f"{len(fitting) or 'None'} of the latest {LATEST:,} runs end in {given}{which}."
        raise CommandError(message)


def _printable(text: str) -> str:
    """Return the text without what would steer the terminal: an error may quote what somebody else wrote."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
