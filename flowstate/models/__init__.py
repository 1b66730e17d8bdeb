"""The journal: runs, their steps and their history. The rows are the truth; messages are only hints."""

from __future__ import annotations

from flowstate.models.approval import Approval
from flowstate.models.approval_inbox import ApprovalAudience, InboxEntry
from flowstate.models.approvers import ApprovalApprover, ApprovalDelegate
from flowstate.models.inbox import Event, EventWait
from flowstate.models.run import Run
from flowstate.models.run_event import EventKind, RunEvent
from flowstate.models.statuses import (
    ApprovalStatus,
    Ballot,
    Compensation,
    Join,
    RunStatus,
    StepStatus,
    WaitingFor,
)
from flowstate.models.step_run import StepRun
from flowstate.models.touch import LineageEntry, Touch, runs_of
from flowstate.models.vote import Vote

__all__ = [
    "Approval",
    "ApprovalApprover",
    "ApprovalAudience",
    "ApprovalDelegate",
    "ApprovalStatus",
    "Ballot",
    "Compensation",
    "Event",
    "EventKind",
    "EventWait",
    "InboxEntry",
    "Join",
    "LineageEntry",
    "Run",
    "RunEvent",
    "RunStatus",
    "StepRun",
    "StepStatus",
    "Touch",
    "Vote",
    "WaitingFor",
    "runs_of",
]
