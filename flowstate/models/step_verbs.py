"""The verbs of steps: every way the status of a step may change; undoing and waiting stand beside."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from django.db import connections, models
from django.db.models import F, Q

from flowstate.models.branch_verbs import BranchVerbs
from flowstate.models.claim import Claim
from flowstate.models.clock import DbNow, host_now
from flowstate.models.compensation_verbs import CompensationVerbs
from flowstate.models.function_verbs import FunctionVerbs
from flowstate.models.next_run import due_run_ids, steps_of_next_run
from flowstate.models.processes import own_name
from flowstate.models.statements import Move, insert, move, move_both
from flowstate.models.statuses import UNSTARTED, Compensation, RunStatus, StepStatus
from flowstate.models.wait_verbs import WaitVerbs

if TYPE_CHECKING:
    from datetime import datetime

    from flowstate.models.step_run import StepRun


class StepRunQuerySet(BranchVerbs, CompensationVerbs, FunctionVerbs, WaitVerbs, models.QuerySet["StepRun"]):
    """Filters, and the verbs: one compare-and-set UPDATE each, which returns whether it won."""

    def for_run(self, run_id: UUID) -> Self:
        """Return the steps of one run in their order."""
        return self.filter(run_id=run_id).order_by("seq")

    def due_runs(self, queues: Sequence[str], *, limit: int) -> list[UUID]:
        """Return up to `limit` runs with work for a worker of these queues now, the longest waiting first."""
        return due_run_ids(self, queues, limit=limit)

    def of_next_run(self, queues: Sequence[str]) -> list[StepRun]:
        """Return the steps of the first such run, with the run itself; none where nothing is due."""
        return steps_of_next_run(self, queues)

    def of_live_runs(self) -> Self:
        """Return the steps of the runs that have not ended, found by the index of their wake-ups."""
        return self.filter(run__wake_at__isnull=False)

    def due(self) -> Self:
        """Return the steps that may be claimed now."""
        return self.filter(status=StepStatus.READY, wake_at__lte=DbNow())

    def due_in(self, run_id: UUID) -> Self:
        """Return the steps of one run that may be claimed now."""
        return self.due().filter(run_id=run_id)

    def queues_of_queued(self, run_ids: Collection[UUID]) -> dict[UUID, set[str]]:
        """Return those of the runs that only wait for a worker, with the queues in which they do.

        Nothing else is due in them: no lease is over, no wait has ended, no deadline has passed.
        """
        steps = self.filter(run_id__in=run_ids)
        late = Q(run__deadline_at__lte=DbNow()) | ~Q(run__status=RunStatus.RUNNING)
        over = Q(lease_until__lte=DbNow()) | Q(status=StepStatus.WAITING, wake_at__lte=DbNow())
        others = set(steps.filter(late | over).values_list("run_id", flat=True))
        found: dict[UUID, set[str]] = {}
        for run_id, queue in steps.due().values_list("run_id", "queue"):
            if run_id not in others:
                found.setdefault(run_id, set()).add(queue)
        return found

    def insert(self, rows: Sequence[StepRun]) -> None:
        """Insert the steps of a new run and give them their keys."""
        if connections[self.db].features.can_return_rows_from_bulk_insert:
            insert(self, rows)
            return
        self.bulk_create(rows)  # MySQL, unlike MariaDB, does not tell the keys
        keys = dict(self.for_run(rows[0].run_id).values_list("seq", "pk"))
        for row in rows:
            row.pk = keys[row.seq]

    # --- forward -------------------------------------------------------------------------------

    def claim(self, pk: int, *, seen: StepStatus, attempt: int, lease: float) -> bool:
        """Take a step for `lease` seconds, raising its fencing token above `attempt`, the one seen."""
        return move(self, _claiming(Claim(pk=pk, attempt=attempt, lease=lease), seen))

    def claim_join(self, claim: Claim) -> bool:
        """Take a join that only counts the step which the caller has just settled."""
        return move(self, _claiming(claim, StepStatus.BLOCKED))

    def claim_due(self, pk: int, *, attempt: int, lease: float, celery_task_id: str = "") -> bool:
        """Take a step that is ready and whose time has come, raising its token above `attempt`, the one seen.

        The run's status need not be asked: whoever stops a run cancels its ready steps in the same commit.
        """
        claiming = _claiming(Claim(pk=pk, attempt=attempt, lease=lease), StepStatus.READY)
        becomes = {**claiming.becomes, "celery_task_id": celery_task_id}
        return move(self, Move(pk, {**claiming.seen, "wake_at": DbNow()}, becomes))

    def claim_all(self, run_id: UUID, *, lease: float) -> int:
        """Take all steps of an atomic run that have not started, for `lease` seconds; return how many."""
        return self.filter(run_id=run_id, status__in=UNSTARTED).update(
            status=StepStatus.RUNNING,
            attempt=F("attempt") + 1,
            lease_until=DbNow(lease),
            claimed_by=own_name(),
            missing=0,
            wake_at=None,
        )

    def finish(self, pk: int, *, attempt: int, status: StepStatus, at: datetime, **outcome: Any) -> bool:
        """Settle a claimed step as done, skipped, failed or unknown; `outcome` are its other columns."""
        return move(self, _finishing(pk, attempt, {"status": status, "ended_at": at, **outcome}))

    def finish_and_claim(
        self, pk: int, *, attempt: int, status: StepStatus, at: datetime, following: Claim, **outcome: Any
    ) -> tuple[bool, bool]:
        """Settle a claimed step and claim the blocked one that waited for it; return whether each was won.

        One statement, but two compare-and-sets: who lost the first must roll back the second.
        """
        finishing = _finishing(pk, attempt, {"status": status, "ended_at": at, **outcome})
        won = move_both(self, finishing, _claiming(following, StepStatus.BLOCKED))
        if won == 1:
            finished = self.filter(pk=pk, status=status, attempt=attempt).exists()
            return finished, not finished
        return won == 2, won == 2

    def extend_lease(self, pk: int, *, attempt: int, lease: float) -> bool:
        """Let a claim hold for another `lease` seconds from now."""
        rows = self.filter(pk=pk, status=StepStatus.RUNNING, attempt=attempt)
        return self._move(rows, lease_until=DbNow(lease))

    def retry_now(self, pk: int, *, attempt: int, lease: float, uncertain: bool) -> bool:
        """Count a failure and claim the step again at once, under the next token."""
        return self._move(
            self.filter(pk=pk, status=StepStatus.RUNNING, attempt=attempt),
            attempt=F("attempt") + 1,
            failures=F("failures") + 1,
            lease_until=DbNow(lease),
            uncertain=uncertain,
        )

    def retry_later(self, pk: int, *, attempt: int, delay: float, uncertain: bool) -> bool:
        """Count a failure and let the step be claimed again after `delay` seconds."""
        return self._move(
            self.filter(pk=pk, status=StepStatus.RUNNING, attempt=attempt),
            status=StepStatus.READY,
            failures=F("failures") + 1,
            lease_until=None,
            wake_at=DbNow(delay),
            uncertain=uncertain,
        )

    def make_due(self, run_id: UUID) -> int:
        """Let the attempts and undoings of a run that wait for their moment begin now; return how many."""
        again = Q(status=StepStatus.READY)
        back = Q(status__in=(StepStatus.DONE, StepStatus.UNKNOWN), compensation=Compensation.PENDING)
        later = self.filter(again | back, run_id=run_id, wake_at__gt=DbNow())
        return later.update(wake_at=DbNow())

    def lose_lease(self, pk: int, *, attempt: int) -> bool:
        """Take a step away from a claimant whose lease is over; an outside effect may have happened."""
        return self._move(
            self.filter(pk=pk, status=StepStatus.RUNNING, attempt=attempt, lease_until__lte=DbNow()),
            status=StepStatus.READY,
            lost=F("lost") + 1,
            lease_until=None,
            wake_at=DbNow(),
            uncertain=Q(kind="external") | Q(uncertain=True),
        )

    def settle_lost(self, pk: int, *, attempt: int, status: StepStatus, **outcome: Any) -> bool:
        """Settle a step whose claim is over and that is not tried again; `outcome` are its other columns."""
        return self._move(
            self.filter(pk=pk, status=StepStatus.RUNNING, attempt=attempt, lease_until__lte=DbNow()),
            status=status,
            lost=F("lost") + 1,
            lease_until=None,
            ended_at=host_now(),
            **outcome,
        )

    def claims_in_live_runs(self) -> Self:
        """Return the steps, or undoings, that somebody holds in runs that will be looked at within an hour.

        A run is looked at no later than its leases end. Claims for longer than that wait for their end.
        """
        return self.filter(run__wake_at__lt=DbNow(3600), lease_until__gt=DbNow())

    def end_leases_of(self, process: str, run_ids: Collection[UUID]) -> int:
        """End at once what a process that is gone still holds in these runs; return how many."""
        held = self.filter(run_id__in=run_ids, claimed_by=process, lease_until__gt=DbNow())
        return held.update(lease_until=DbNow())

    def expired(self, run_id: UUID) -> Self:
        """Return the steps of a run whose claim, on them or on their undoing, is over."""
        return self.for_run(run_id).filter(lease_until__lte=DbNow())

    def _move(self, rows: models.QuerySet[StepRun], **columns: Any) -> bool:
        return rows.update(**columns) == 1


def _claiming(claim: Claim, seen: StepStatus) -> Move:
    counted = {} if claim.missing is None else {"missing": claim.missing}
    return Move(
        claim.pk,
        {"status": seen, "attempt": claim.attempt, **counted},
        {
            "status": StepStatus.RUNNING,
            "missing": 0,
            "attempt": claim.attempt + 1,
            "lease_until": DbNow(claim.lease),
            "claimed_by": own_name(),
            "wake_at": None,
            "started_at": host_now(),
        },
    )


def _finishing(pk: int, attempt: int, outcome: dict[str, Any]) -> Move:
    seen = {"status": StepStatus.RUNNING, "attempt": attempt}
    return Move(pk, seen, {**outcome, "lease_until": None})
