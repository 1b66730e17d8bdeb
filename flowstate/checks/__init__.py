"""The system checks: what is wrong with declarations and settings, said before anything runs.

Ids are stable, so that they can be silenced by SILENCED_SYSTEM_CHECKS; each message has a hint.
"""

from __future__ import annotations

from django.core.checks import register

from flowstate.checks.approvals import check_approvals
from flowstate.checks.bindings import check_bindings
from flowstate.checks.databases import check_databases
from flowstate.checks.deployment import check_deployment
from flowstate.checks.diagrams import check_diagrams
from flowstate.checks.rules import check_rules
from flowstate.checks.settings import check_settings
from flowstate.checks.workflows import check_workflows

TAG = "flowstate"

__all__ = ["TAG", "register_all"]


def register_all() -> None:
    """Make `manage.py check` run these, and `manage.py check --deploy` the last one too."""
    for check in (
        check_settings,
        check_databases,
        check_bindings,
        check_rules,
        check_workflows,
        check_approvals,
        check_diagrams,
    ):
        register(check, TAG)
    register(check_deployment, TAG, deploy=True)
