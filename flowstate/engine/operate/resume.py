"""Has a run go on now that waits for its next attempt, or that nobody seems to look at."""

from __future__ import annotations

from typing import Any

from django.db import router

from flowstate.engine.carry.sweep import take_up
from flowstate.engine.database.blocks import in_transaction
from flowstate.engine.execution import Execution
from flowstate.engine.loading import load
from flowstate.engine.look.run import lock_run
from flowstate.engine.operate.verbs import cannot, record_act, require_user
from flowstate.models import EventKind, Run, RunStatus


def resume(run: Run, *, user: Any) -> None:
    """Let attempts that wait for their moment begin now, and have workers look at the run.

    Nothing that was waited for comes any sooner: neither the end of a delay, nor an event, nor a person. Raises
    `RunConflict` for a run that has ended or needs a person, and `ActionDenied` without a user.
    """
    require_user(user, run, "resumed")
    execution = load(run.pk, using=router.db_for_write(Run))
    in_transaction(execution, lambda: _make_due(execution, user))
    take_up(run.pk, execution.using)


def _make_due(execution: Execution, user: Any) -> None:
    lock_run(execution)
    if execution.run.status not in {RunStatus.RUNNING, RunStatus.COMPENSATING}:
        raise cannot(execution.run, "resumed", "Only one that goes on or is being undone can be.")
    record_act(execution, EventKind.RETRY_REQUESTED, user, "now, not at its time")
    execution.step_runs.make_due(execution.run.pk)
    execution.runs.lower_wake_up(execution.run.pk)
