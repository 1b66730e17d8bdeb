"""Whether a run goes on when one of its steps fails, since what follows answers for it."""

from __future__ import annotations

from flowstate.engine.execution import Execution
from flowstate.workflows.steps import Kind


def answered_for(execution: Execution, name: str) -> bool:
    """Return whether nothing waits for a step but races, and joins that collect errors."""
    followers = execution.followers_of(name)
    return bool(followers) and all(_answers(execution, follower) for follower in followers)


def _answers(execution: Execution, name: str) -> bool:
    # Where the code of the run is not at hand, a join is not known to collect errors.
    race = execution.rows[name].kind == Kind.FIRST
    return race or (execution.known and execution.step(name).collect_errors)
