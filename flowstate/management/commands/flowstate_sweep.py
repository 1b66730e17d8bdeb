"""`manage.py flowstate_sweep`: find runs that are due and hand them to the workers."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils.timezone import localtime

from flowstate.conf import settings
from flowstate.engine.carry.sweep import Patience, sweep
from flowstate.engine.events import sweep_inbox
from flowstate.management.status_line import StatusLine


class Command(BaseCommand):
    """Every worker sweeps by itself; this is for cron, and for machines without a worker."""

    help = "Publish the runs that are due: lost messages, dead workers, retries and deadlines."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take how many, in which order, and whether to go on."""
        parser.add_argument("--loop", action="store_true", help="go on until interrupted")
        parser.add_argument("--limit", type=int, default=100, help="runs in one sweep (100)")
        parser.add_argument("--order", choices=["oldest", "newest", "random"], default="oldest")

    def handle(self, *args: Any, **options: Any) -> None:
        """Sweep once, or every FLOWSTATE["SWEEP_INTERVAL"] seconds until interrupted."""
        if not options["loop"]:
            self.stdout.write(f"{self._sweep(options, None)} runs were due.")
            return
        line = StatusLine(self.stdout)
        try:
            self._go_on(options, line)
        except KeyboardInterrupt:
            line.clear()

    def _go_on(self, options: dict[str, Any], line: StatusLine) -> None:
        patience = Patience()
        began, sweeps, total = localtime(), 0, 0
        while True:
            taken = self._sweep(options, patience)
            sweeps, total = sweeps + 1, total + taken
            if taken:
                line.clear()
                self.stdout.write(f"{taken} runs were due.")
            line.show(
                f"{localtime():%H:%M:%S}  {taken} due now, {total:,} in {sweeps:,} sweeps since {began:%H:%M:%S}; "
                f"every {settings().sweep_interval:g} s, Ctrl-C ends it"
            )
            time.sleep(settings().sweep_interval)

    def _sweep(self, options: dict[str, Any], patience: Patience | None) -> int:
        taken = sweep(limit=options["limit"], order=options["order"], patience=patience)
        sweep_inbox(limit=options["limit"])
        return taken
