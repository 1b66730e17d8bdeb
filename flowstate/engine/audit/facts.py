"""What the journal says of one step, for those that judge whether the steps of a run fit each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flowstate.engine.branches import StepState
from flowstate.models import Compensation, Join, StepStatus
from flowstate.models.statuses import BRANCH
from flowstate.workflows.steps import Kind

_HAPPENED = (StepStatus.DONE, StepStatus.UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFacts:
    """What the journal says of a step, and of its run."""

    pk: int
    run_id: Any
    name: str
    kind: str
    key: str
    depends_on: list[str]
    branches: dict[str, list[str]] | None
    join: str
    optional: bool
    status: str
    missing: int
    reason: str
    compensation: str
    failures: int
    compensation_failures: int
    started_at: datetime | None
    ended_at: datetime | None
    compensation_started_at: datetime | None
    compensation_ended_at: datetime | None
    run__status: str
    run__workflow: str
    run__version: int
    run__atomic: bool
    run__retry_of: Any
    taken: str | None
    """Of a choice: the option that it took. Of a race: who won it."""
    reopened: bool
    """Whether a person had failed compensations tried again, or forced: they come after those they held back."""

    @property
    def own(self) -> bool:
        """Whether this run did the step, rather than take it over from one that it retries."""
        return self.key == f"{self.run_id}:{self.name}"

    @property
    def left_out(self) -> bool:
        """Whether it was skipped since it stands on a branch that was not taken."""
        return self.status == StepStatus.SKIPPED and self.reason.startswith(BRANCH)

    @property
    def state(self) -> StepState:
        """What `decide` would judge."""
        return StepState(
            name=self.name,
            status=self.status,
            compensation=self.compensation,
            depends_on=tuple(self.depends_on),
            branches=self.branches or {},
            taken=self.taken,
            any_of=self.join == Join.ANY,
            race=self.kind == Kind.FIRST,
        )

    @property
    def in_flight(self) -> bool:
        """Whether somebody works on the step or on its undoing."""
        return self.status == StepStatus.RUNNING or self.compensation == Compensation.RUNNING

    @property
    def to_undo(self) -> bool:
        """Whether the step is left to undo if the run is undone."""
        return self.status in _HAPPENED and self.compensation == Compensation.PENDING

    @property
    def tried(self) -> bool:
        """Whether its undoing was begun, or waived."""
        return self.compensation not in (Compensation.NONE, Compensation.PENDING)


Steps = Mapping[str, StepFacts]
Finding = tuple[str, StepFacts, str, str]
"""The invariant, the step that breaks it, in which words, and what to do."""


def before(moment: datetime | None, other: datetime | None, skew: timedelta) -> bool:
    """Return whether one moment came before another by more than the clocks may be apart."""
    return moment is not None and other is not None and moment < other - skew
