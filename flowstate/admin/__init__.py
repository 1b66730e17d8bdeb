"""The admin: the pages of runs and of approvals, and the mixin that gives a model's own pages its actions."""

from __future__ import annotations

from flowstate.admin.actions_mixin import ActionsAdminMixin
from flowstate.admin.approvals.approval_admin import ApprovalAdmin
from flowstate.admin.run_admin import RunAdmin

__all__ = ["ActionsAdminMixin", "ApprovalAdmin", "RunAdmin"]
