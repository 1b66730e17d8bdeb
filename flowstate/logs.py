"""Log lines, written by receivers of our own signal: what happened, and what a person must look at."""

from __future__ import annotations

import logging
from typing import Any

from flowstate.signals import run_event

events = logging.getLogger("flowstate.runs")
attention = logging.getLogger("flowstate.attention")


def connect() -> None:
    """Have every run event logged."""
    run_event.connect(log_event, dispatch_uid="flowstate.logs")


def log_event(*, run_id: str, kind: str, step: str, status: str, **_signal: Any) -> None:
    """Log an event; whatever needs a person once as an ERROR, so that Django's mail handlers alert people."""
    if kind == "attention":
        attention.error("Run %s needs a person: undoing failed. Open it in the admin.", run_id)
        return
    if kind == "shape_changed":
        attention.error(
            "Run %s needs a person: the code does not fit its step %s. Open it in the admin.", run_id, step
        )
        return
    events.info("run=%s kind=%s step=%s status=%s", run_id, kind, step, status)
