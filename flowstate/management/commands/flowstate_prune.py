"""`manage.py flowstate_prune`: delete ended runs that need not be kept any longer."""

from __future__ import annotations

import re
from argparse import ArgumentParser, ArgumentTypeError
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import router
from django.db.models import Count, Q

from flowstate.conf import settings
from flowstate.engine.operate.prune import Pruning, delete_expired_events, delete_families, pruning
from flowstate.management.status_line import StatusLine
from flowstate.models import Run, RunStatus
from flowstate.models.families import in_lots
from flowstate.models.retention import Retention, retention_of
from flowstate.models.statuses import ENDED

INTERRUPTED = 130
"""The exit code of a program that Ctrl-C has stopped."""

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def age(text: str) -> float:
    """Return the seconds of "30d", "12h", "90m" or a number of seconds. Raises ArgumentTypeError."""
    found = re.fullmatch(r"(\d+)([smhdw]?)", text.strip())
    if found is None:
        message = f"{text!r} is no time: a number with w, d, h, m or s, as 30d"
        raise ArgumentTypeError(message)
    return float(found[1]) * _SECONDS[found[2]]


class Command(BaseCommand):
    """Live runs stay, those in attention too, and whatever a run that stays refers to. Stop and start it as you like."""

    help = (
        "Delete ended runs that are older than FLOWSTATE['RETENTION'] keeps them, or than --older-than says."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take which runs, and whether to delete them."""
        parser.add_argument("--older-than", type=age, metavar="30d", help="instead of FLOWSTATE['RETENTION']")
        parser.add_argument(
            "--status",
            action="append",
            choices=[status.value for status in ENDED],
            help="only these; repeatable",
        )
        parser.add_argument(
            "--workflow", action="append", metavar="NAME", help="only this workflow or action; repeatable"
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="say what would be deleted, delete nothing"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Delete, a thousand runs in a transaction. Raises CommandError where nothing says how long runs are kept."""
        using = router.db_for_write(Run)
        plan = pruning(using, _retention(options["older_than"]), _chosen(options))
        if options["dry_run"]:
            self._tell(plan)
            return
        self._line = StatusLine(self.stdout)
        self._deleted = self._events = self._kept = 0
        try:
            self._delete(plan)
        except KeyboardInterrupt:
            self._line.clear()
            message = f"Stopped. {self._deleted:,} runs were deleted; start it again to go on."
            raise CommandError(message, returncode=INTERRUPTED) from None
        self._line.clear()
        kept = f" {self._kept:,} runs are kept: rows of other tables refer to them." if self._kept else ""
        self.stdout.write(f"Deleted {self._deleted:,} runs and {self._events:,} events that were over.{kept}")

    def _delete(self, plan: Pruning) -> None:
        total = plan.heads if self._line.visible else 0  # counted for who watches only
        seen = 0
        self._line.show_progress(0, total, "runs")
        for families in plan:
            deleted = delete_families(families, plan.using)
            seen += len(families)
            self._deleted += deleted
            self._kept += sum(map(len, families)) - deleted
            self._line.show_progress(seen, total, "runs")
        for number in delete_expired_events(plan.using):
            self._events += number

    def _tell(self, plan: Pruning) -> None:
        """Print how many runs would go, by what they are and how they ended."""
        found: Counter[tuple[str, str]] = Counter()
        journal = Run.objects.using(plan.using)
        for families in plan:
            for some in in_lots(pk for family in families for pk in family):
                groups = journal.filter(pk__in=some).values_list("action", "workflow", "status")
                for action, workflow, status, number in groups.annotate(Count("pk")):
                    found[action or workflow, status] += number
        for (name, status), number in sorted(found.items()):
            self.stdout.write(f"{number:>9,}  {RunStatus(status).value:11}  {name}")
        self.stdout.write(f"{found.total():,} runs would be deleted.")


def _retention(older_than: float | None) -> Retention:
    if older_than is not None:
        return retention_of(older_than)
    try:
        retention = retention_of(settings().retention)
    except ValueError as error:
        message = f"FLOWSTATE['RETENTION'] does not say how long runs are kept: {error}."
        raise CommandError(message) from error
    if retention == Retention():
        message = (
            "Nothing says how long runs are kept: set FLOWSTATE['RETENTION'], as {'succeeded': timedelta(days=30)}, "
            "or give --older-than 30d."
        )
        raise CommandError(message)
    return retention


def _chosen(options: dict[str, Any]) -> Q:
    chosen = Q(status__in=options["status"]) if options["status"] else Q()
    if options["workflow"]:
        chosen &= Q(workflow__in=options["workflow"]) | Q(action__in=options["workflow"])
    return chosen
