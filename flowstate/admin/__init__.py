"""The admin: the pages of runs, and the mixin that gives a model's own pages its actions."""

from __future__ import annotations

from flowstate.admin.actions_mixin import ActionsAdminMixin
from flowstate.admin.run_admin import RunAdmin

__all__ = ["ActionsAdminMixin", "RunAdmin"]
