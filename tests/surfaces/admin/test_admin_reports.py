"""The message after starting, cancelling or retrying: what came of it, in one sentence or two."""

from __future__ import annotations

from typing import Any

import pytest

from django.contrib.messages import get_messages
from django.contrib.messages.storage.base import BaseStorage
from django.test import RequestFactory

from flowstate.admin.reports import report
from flowstate.models import Run, RunStatus
from flowstate.models.clock import host_now

FAILED = {"failed_step": "charge", "error": {"detail": "No money."}}


class Messages(BaseStorage):
    """Keeps messages for as long as the request takes."""

    def _get(self, *args: Any, **kwargs: Any) -> tuple[list[Any], bool]:
        return [], True

    def _store(self, messages: list[Any], response: Any, *args: Any, **kwargs: Any) -> list[Any]:
        return []


def told(**columns: Any) -> tuple[str, str]:
    request = RequestFactory().get("/")
    request._messages = Messages(request)  # type: ignore[attr-defined]
    report(request, Run(action="shop.order.check_out", **columns))
    [message] = get_messages(request)
    return message.level_tag, str(message)


@pytest.mark.parametrize(
    ("columns", "level", "text"),
    [
        ({"status": RunStatus.SUCCEEDED}, "success", "Check out succeeded."),
        (
            {"status": RunStatus.COMPENSATED, **FAILED},
            "error",
            "Check out failed at step charge: No money. What had been done was undone.",
        ),
        (
            {"status": RunStatus.COMPENSATING, **FAILED},
            "error",
            "Check out failed at step charge: No money. What had been done is being undone.",
        ),
        (
            {"status": RunStatus.FAILED, "error": {"detail": "Too late."}},
            "error",
            "Check out failed: Too late. Nothing was undone.",
        ),
        (
            {"status": RunStatus.COMPENSATING, "cancelled_at": host_now()},
            "info",
            "Check out is being cancelled: what had been done is being undone.",
        ),
        (
            {"status": RunStatus.CANCELLED},
            "success",
            "Check out was cancelled, and what had been done was undone.",
        ),
        (
            {"status": RunStatus.ATTENTION, **FAILED},
            "error",
            "Check out could not be undone completely: a person must act.",
        ),
        (
            {"status": RunStatus.RUNNING, "waiting_for": "person"},
            "info",
            "Check out has begun and waits for a person.",
        ),
        (
            {"status": RunStatus.RUNNING, "waiting_for": "event"},
            "info",
            "Check out has begun and waits for an event.",
        ),
        (
            {"status": RunStatus.RUNNING, "waiting_for": "time"},
            "info",
            "Check out has begun and waits for its time.",
        ),
        (
            {"status": RunStatus.RUNNING, "cancelled_at": host_now()},
            "info",
            "Check out is being cancelled: what is in flight finishes first.",
        ),
        ({"status": RunStatus.RUNNING}, "info", "Check out has begun and goes on in the background."),
        (
            {"status": RunStatus.FAILED, "error": {"detail": "100% wrong: %s"}},
            "error",
            "Check out failed: 100% wrong: %s Nothing was undone.",
        ),
    ],
    ids=lambda value: None if isinstance(value, dict) else str(value)[:40],
)
def test_the_message_tells_what_became_of_the_run(columns: dict[str, Any], level: str, text: str) -> None:
    assert told(**columns) == (level, text)
