"""`manage.py flowstate_fsck`: check the invariants on the journal and say which row breaks which."""

from __future__ import annotations

import json
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterable
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import router

from flowstate.engine.audit.fsck import SKEW, find_broken
from flowstate.models import Run
from flowstate.models.invariant import Broken


def positive(text: str) -> int:
    """Return a whole number above 0. Raises ArgumentTypeError."""
    if not text.isdigit() or int(text) == 0:
        message = f"{text!r} is not a whole number above 0"
        raise ArgumentTypeError(message)
    return int(text)


class Command(BaseCommand):
    """Reads only; may run beside workers. What breaks an invariant is for people: nothing is repaired."""

    help = "Check the invariants on the journal; exit code 1 where a row breaks one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the form of the answer, and how much of it."""
        parser.add_argument("--json", action="store_true", help="print one JSON document")
        parser.add_argument("--limit", type=positive, default=100, help="rows to name per condition (100)")
        parser.add_argument(
            "--skew",
            type=float,
            default=SKEW.total_seconds(),
            help=f"seconds that the clocks of the hosts may be apart ({SKEW.total_seconds():g})",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print what is broken. Raises CommandError, which is exit code 1, if anything is."""
        skew = timedelta(seconds=options["skew"])
        broken = find_broken(using=router.db_for_read(Run), limit=options["limit"], skew=skew)
        number = self._print_json(broken) if options["json"] else self._print(broken)
        if number:
            message = f"{number} times an invariant is broken."
            raise CommandError(message)

    def _print(self, broken: Iterable[Broken]) -> int:
        number = 0
        for row in broken:
            number += 1
            which = f"step {row.step} of run {row.run}" if row.step else f"run {row.run}"
            self.stdout.write(f"{row.invariant:4} {row.table} {row.key}: {which} {row.words}. {row.remedy}")
        if not number:
            self.stdout.write("The journal is in order.")
        return number

    def _print_json(self, broken: Iterable[Broken]) -> int:
        rows = [asdict(row) for row in broken]
        self.stdout.write(json.dumps({"broken": rows}, indent=2))
        return len(rows)
