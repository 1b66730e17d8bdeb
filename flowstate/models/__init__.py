"""The journal: runs, their steps and their history. The rows are the truth; messages are only hints."""

from __future__ import annotations

from flowstate.models.inbox import Event, EventWait
from flowstate.models.run import Run
from flowstate.models.run_event import EventKind, RunEvent
from flowstate.models.statuses import Compensation, Join, RunStatus, StepStatus, WaitingFor
from flowstate.models.step_run import StepRun
from flowstate.models.touch import LineageEntry, Touch, runs_of

__all__ = [
    "Compensation",
    "Event",
    "EventKind",
    "EventWait",
    "Join",
    "LineageEntry",
    "Run",
    "RunEvent",
    "RunStatus",
    "StepRun",
    "StepStatus",
    "Touch",
    "WaitingFor",
    "runs_of",
]
