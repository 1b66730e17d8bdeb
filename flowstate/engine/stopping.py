"""What becomes of the steps that have not started when a run is stopped: nothing of them is left waiting."""

from __future__ import annotations

from flowstate.engine.execution import Execution
from flowstate.engine.wait_kinds import WAIT_KINDS
from flowstate.models import StepRun


def stop_unstarted(execution: Execution) -> None:
    """Cancel what has not started, waits among it; the caller has stopped the run, and holds its row."""
    StepRun.objects.using(execution.using).stop_unstarted(execution.run.pk)
    for kind, how in WAIT_KINDS.items():
        rows = [row for row in execution.rows.values() if row.kind == kind and not row.settled]
        if rows:
            how.forget(execution, rows)
