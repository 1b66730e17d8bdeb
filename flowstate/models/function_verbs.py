"""The verbs of a function and of the steps that it asks for, for who holds the lock of the run's row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.db import models

from flowstate.models.clock import DbNow
from flowstate.models.statuses import StepStatus

if TYPE_CHECKING:
    from flowstate.models.step_run import StepRun

    Steps = models.QuerySet[StepRun]
else:
    Steps = models.QuerySet


class FunctionVerbs(Steps):
    """One compare-and-set UPDATE each, which returns whether it won."""

    def ask(self, pk: int, *, attempt: int, depends_on: Sequence[str], missing: int) -> bool:
        """Have a claimed function go on when these steps have settled, `missing` of which have not.

        What it lost on the way here is forgotten.
        """
        claimed = self.filter(pk=pk, status=StepStatus.RUNNING, attempt=attempt)
        asking = {
            "status": StepStatus.BLOCKED,
            "lease_until": None,
            "depends_on": list(depends_on),
            "missing": missing,
        }
        return claimed.update(**asking, lost=0, reason="") == 1

    def ask_again(self, pk: int, *, depends_on: Sequence[str]) -> bool:
        """Have a step that was taken over, but never begun, wait for no more than these, which have settled."""
        blocked = self.filter(pk=pk, status=StepStatus.BLOCKED)
        return blocked.update(depends_on=list(depends_on), missing=0) == 1

    def hold_longer(self, pk: int, *, attempt: int, lease: float) -> bool:
        """Let a claim hold for `lease` seconds from now; why the step was given back before counts no more."""
        claimed = self.filter(pk=pk, status=StepStatus.RUNNING, attempt=attempt)
        return claimed.update(lease_until=DbNow(lease), reason="") == 1

    def give_back(self, pk: int, *, attempt: int, delay: float, reason: str) -> bool:
        """Let a claimed step that was not begun be claimed again after `delay` seconds; counts nothing."""
        claimed = self.filter(pk=pk, status=StepStatus.RUNNING, attempt=attempt)
        ready = {"status": StepStatus.READY, "lease_until": None, "wake_at": DbNow(delay)}
        return claimed.update(**ready, reason=reason) == 1
