"""`manage.py flowstate_sweep`: find runs that are due and hand them to the workers."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from flowstate.conf import settings
from flowstate.engine.carry.sweep import Patience, sweep
from flowstate.engine.events import sweep_inbox


class Command(BaseCommand):
    """Every worker sweeps by itself; this is for cron, and for machines without a worker."""

    help = "Publish the runs that are due: lost messages, dead workers, retries and deadlines."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take how many, in which order, and whether to go on."""
        parser.add_argument("--loop", action="store_true", help="go on until interrupted")
        parser.add_argument("--limit", type=int, default=100, help="runs in one sweep (100)")
        parser.add_argument("--order", choices=["oldest", "newest", "random"], default="oldest")

    def handle(self, *args: Any, **options: Any) -> None:
        """Sweep once, or every FLOWSTATE["SWEEP_INTERVAL"] seconds."""
        patience = Patience() if options["loop"] else None
        while True:
            taken = sweep(limit=options["limit"], order=options["order"], patience=patience)
            sweep_inbox(limit=options["limit"])
            if taken or not options["loop"]:
                self.stdout.write(f"{taken} runs were due.")
            if not options["loop"]:
                return
            time.sleep(settings().sweep_interval)
