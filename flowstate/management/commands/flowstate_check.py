"""`manage.py flowstate_check [--deploy]`: flowstate's checks, what live runs need, and what production does."""

from __future__ import annotations

from typing import Any

from django.core import checks
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from flowstate.checks import TAG
from flowstate.checks.journal import journal_alias
from flowstate.checks.live_runs import check_live_runs

LEVELS = ("CRITICAL", "ERROR", "WARNING", "INFO")


class Command(BaseCommand):
    """Runs the checks and fails by an exit code, for a deployment's pipeline."""

    help = (
        "Check declarations, diagrams, settings, and whether live runs find their workflows and steps in this code; "
        "with --deploy also settings that would hurt in production."
    )
    requires_system_checks = ()  # it runs its own

    def add_arguments(self, parser: CommandParser) -> None:
        """Take --deploy and --fail-level."""
        parser.add_argument("--deploy", action="store_true", help="Check settings for production too.")
        parser.add_argument(
            "--fail-level",
            choices=LEVELS,
            help="What makes the command fail; default: ERROR, with --deploy WARNING.",
        )
        parser.add_argument(
            "--no-runs", action="store_true", help="Do not look at live runs: where there is no database."
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Print what was found. Raises CommandError, which is exit code 1, at the fail level or above."""
        level = options["fail_level"] or ("WARNING" if options["deploy"] else "ERROR")
        missing = [] if options["no_runs"] else self._missing()
        for found in missing:
            self.stderr.write(self.style.ERROR(str(found)))
        self.check(
            tags=[TAG],
            display_num_errors=True,
            include_deployment_checks=options["deploy"],
            fail_level=getattr(checks, level),
        )
        if any(found.is_serious(getattr(checks, level)) for found in missing):
            message = f"Live runs need what this code does not have: {len(missing)} found."
            raise CommandError(message)

    def _missing(self) -> list[checks.Error]:
        alias = journal_alias()
        try:
            found = check_live_runs(alias)
        except DatabaseError as error:
            message = f"The journal in the database {alias!r} cannot be read ({str(error).strip()}). Without it, give --no-runs."
            raise CommandError(message) from error
        return [message for message in found if not message.is_silenced()]
