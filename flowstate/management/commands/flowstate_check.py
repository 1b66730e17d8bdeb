"""`manage.py flowstate_check [--deploy]`: flowstate's system checks alone, and those for production."""

from __future__ import annotations

from typing import Any

from django.core import checks
from django.core.management.base import BaseCommand, CommandParser

from flowstate.checks import TAG

LEVELS = ("CRITICAL", "ERROR", "WARNING", "INFO")


class Command(BaseCommand):
    """Runs the checks and fails by an exit code, for a deployment's pipeline."""

    help = "Check declarations and settings; with --deploy also settings that would hurt in production."
    requires_system_checks = ()  # it runs its own

    def add_arguments(self, parser: CommandParser) -> None:
        """Take --deploy and --fail-level."""
        parser.add_argument("--deploy", action="store_true", help="Check settings for production too.")
        parser.add_argument(
            "--fail-level",
            choices=LEVELS,
            help="What makes the command fail; default: ERROR, with --deploy WARNING.",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Print what was found. Raises SystemCheckError, which is exit code 1, at the fail level or above."""
        level = options["fail_level"] or ("WARNING" if options["deploy"] else "ERROR")
        self.check(
            tags=[TAG],
            display_num_errors=True,
            include_deployment_checks=options["deploy"],
            fail_level=getattr(checks, level),
        )
