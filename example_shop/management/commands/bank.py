"""Runs the fake bank on its own, for when the shop is not started by `manage.py demo`."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from example_shop.fake_bank import BankServer


class Command(BaseCommand):
    help = "Run the fake bank until Ctrl+C."

    def add_arguments(self, parser: CommandParser) -> None:
        port = urlsplit(settings.BANK_URL).port
        parser.add_argument(
            "--port", type=int, default=port, help="default: the one of BANK_URL (%(default)s)"
        )

    def handle(self, *, port: int, **_options: Any) -> None:
        try:
            server = BankServer(settings.BANK_LEDGER, port=port)
        except OSError as error:
            message = f"Port {port} cannot be used: {error.strerror}."
            raise CommandError(message) from error
        self.stdout.write(f"The bank is open at {server.url}/ledger. Ctrl+C closes it.")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            server.server_close()
