"""Approvals made by hand: as they should be, but for what a test plants in them."""

from __future__ import annotations

from typing import Any

from flowstate.models import Approval, ApprovalAudience, InboxEntry, Vote
from tests.faults.planting import NOW, late, run_row, step_row

APPROVED: dict[str, Any] = {"status": "approved", "decided_at": NOW}
REJECTED: dict[str, Any] = {"status": "rejected", "decided_at": NOW}


def question(step: str = "waiting", run: str = "running", **columns: Any) -> Approval:
    """Insert a run whose step is or was decided by people, and what it asked."""
    row = step_row(run_row(run), step, kind="approval")
    return Approval.objects.create(run=row.run, step_run=row, step=row.name, attempt=1, digest="d", **columns)


def entered(approval: Approval) -> None:
    """Put an approval into an inbox."""
    audience, _made = ApprovalAudience.objects.get_or_create(key="group buyers")
    InboxEntry.objects.create(approval=approval, position=approval.pk, audience=audience)


def voted(approval: Approval, ballot: str, **columns: Any) -> None:
    """Insert what somebody said."""
    Vote.objects.create(approval=approval, ballot=ballot, comment="Why.", digest="d", **columns)


def decided_late() -> None:
    approval = question("done", expires_at=late(-4000), **APPROVED)
    voted(approval, "approve")


def half_approved() -> None:
    approval = question("done", quorum=2, **APPROVED)
    voted(approval, "approve")


def outvoted() -> None:
    voted(question(), "approve")


PLANTED_APPROVALS = [
    ("I9", "is pending, but its run does not go on", lambda: question(run="compensating")),
    ("I9", "is pending, but its step does not wait for it", lambda: question("done")),
    ("I9", "still in somebody's inbox", lambda: entered(question("done", **APPROVED))),
    ("I21", "by fewer than it needs", lambda: question("done", **APPROVED)),
    ("I21", "by fewer than it needs", half_approved),
    ("I21", "was rejected by nobody", lambda: question("failed", **REJECTED)),
    ("I21", "was decided, but is still pending", outvoted),
    ("I21", "was decided, but is still pending", lambda: voted(question(), "reject")),
    ("I22", "was decided after it had expired", decided_late),
    ("I12", "expired long ago, and nobody has noticed", lambda: question(expires_at=late(-4000))),
    (
        "I12",
        "waits for people, but asks them nothing",
        lambda: step_row(run_row("running"), "waiting", kind="approval"),
    ),
    ("I21", "is done, but what it asked people is still pending", lambda: question("done")),
]
