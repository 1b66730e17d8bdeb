"""The tables of the benchmark: `python -m benchmarks.layout` makes them in the database of the settings."""

from __future__ import annotations

import os

import django
from django.core.management import call_command


def lay_out() -> None:
    """Make all tables and the products in the database that the settings name."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")
    django.setup()
    from django.db import connection  # noqa: PLC0415 - needs the settings

    from benchmarks.orders import PRODUCTS  # noqa: PLC0415 - needs the app registry
    from benchmarks.peers import raw  # noqa: PLC0415 - needs the settings
    from benchmarks.peers.ours import buyer  # noqa: PLC0415 - needs the app registry
    from benchmarks.shop.models import Product  # noqa: PLC0415 - needs the app registry

    call_command("migrate", run_syncdb=True, verbosity=0)
    with connection.cursor() as cursor:
        for statement in raw.SCHEMA.format(**raw.TYPES[connection.vendor]).split(";"):
            cursor.execute(statement)
    Product.objects.bulk_create(Product() for _number in range(PRODUCTS))
    buyer()


if __name__ == "__main__":
    lay_out()
