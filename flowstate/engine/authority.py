"""Who may cancel and retry a run: asked by every surface, in one place."""

from __future__ import annotations

from typing import Any

from flowstate.actions.system import SYSTEM
from flowstate.models import Run


def may_operate(run: Run, user: Any) -> bool:
    """Return whether a user may cancel or retry a run: who asked for it, or who may operate all runs."""
    if user is SYSTEM:
        return True
    if not getattr(user, "is_active", False):
        return False
    if user.has_perm("flowstate.operate_run"):
        return True
    return run.requested_by_id is not None and run.requested_by_id == user.pk
