"""Who may cancel and retry a run, waive and force its steps: asked by every surface, in one place."""

from __future__ import annotations

from typing import Any

from flowstate.actions.system import SYSTEM
from flowstate.models import Run


def may_operate(run: Run, user: Any) -> bool:
    """Return whether a user may cancel or retry a run: who asked for it, or who may operate all runs.

    Who asked for it must also still be allowed to start it, which a retry asks the action's rules.
    """
    if user is SYSTEM or may_operate_all(user):
        return True
    mine = run.requested_by_id is not None and run.requested_by_id == getattr(user, "pk", None)
    return mine and bool(getattr(user, "is_active", False))


def may_resolve(user: Any) -> bool:
    """Return whether a user may waive or force what could not be undone: who may operate all runs.

    Not who asked for the run: it is about rows of others, and about what stays though it was to be undone.
    """
    return user is SYSTEM or may_operate_all(user)


def may_operate_all(user: Any) -> bool:
    """Return whether a user has the permission to operate the runs of everybody."""
    return bool(getattr(user, "is_active", False)) and user.has_perm("flowstate.operate_run")
