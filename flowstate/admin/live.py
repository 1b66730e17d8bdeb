"""How the page of a run keeps up with it: what tells that something has changed, and who looks how often."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.apps import apps

from flowstate.admin import links

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite
    from django.http import HttpRequest

    from flowstate.models import Run

EVERY = 2
"""Seconds between two looks of a page with scripts."""
RELOAD_EVERY = 5
"""Seconds between two looks of a page without."""
STILL = "still"
"""The parameter of a page that stays as it is."""

MOVING = (
    "status",
    "attempt",
    "failures",
    "lost",
    "compensation",
    "compensation_attempt",
    "compensation_failures",
    "compensation_lost",
    "child_id",
    "undone_by_id",
    "celery_task_id",
)
"""The columns of a step by which one sees that something has happened to it."""


def context_of(site: AdminSite, request: HttpRequest, run: Run) -> dict[str, Any]:
    """Return what the templates need: nothing looks again at a run that has ended, or where the reader says so."""
    looks = not run.finished and STILL not in request.GET
    url = links.run_url(site, run, "live")
    return {
        "live": looks,
        "live_url": f"{url}?{urlencode({'seen': fingerprint(run)})}",
        "live_every": EVERY,
        "reload_every": RELOAD_EVERY,
        "still_url": f"?{STILL}",
        # Its files are there only if the project has the app; the page reloads as a whole otherwise.
        "htmx": apps.is_installed("django_htmx"),
    }


def fingerprint(run: Run) -> str:
    """Return a digest of all that moves in a run; from prefetched rows without a query."""
    steps = [[getattr(row, name) for name in MOVING] for row in run.steps]
    retried = getattr(run, "retried_by", None)
    facts = [run.status, run.waiting_for, run.cancelled_at, run.ended_at, steps, retried and retried.pk]
    facts += [max((event.pk for event in run.events.all()), default=0)]
    return hashlib.sha256(json.dumps(facts, default=str).encode()).hexdigest()[:16]
