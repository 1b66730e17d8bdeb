"""Where the journal lives, for the checks that compare with it."""

from __future__ import annotations

from django.db import router

from flowstate.models import Run


def journal_alias() -> str:
    """Return the alias of the database that runs are written to."""
    return router.db_for_write(Run)
