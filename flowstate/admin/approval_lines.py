"""Approvals as lines of a list: in the inbox, on the page of a run, on the page of the row it is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.translation import gettext

from flowstate.admin import display, links

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.contrib.admin import AdminSite
    from django.utils.safestring import SafeString

    from flowstate.models import Approval


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalLine:
    """One approval; `votes` says how many of those needed have approved."""

    approval: Approval
    what: str
    url: str
    badge: SafeString
    votes: str


def lines_of(site: AdminSite, approvals: Iterable[Approval]) -> list[ApprovalLine]:
    """Return the lines of approvals that were read with their runs and votes. No query."""
    return [
        ApprovalLine(
            approval=approval,
            what=approval.what,
            url=links.approval_url(site, approval),
            badge=display.approval_badge(approval),
            votes=votes(approval),
        )
        for approval in approvals
    ]


def votes(approval: Approval) -> str:
    """Return how many have approved of those that are needed, such as "1 of 2"."""
    given = sum(vote.ballot == "approve" for vote in approval.counting_votes)
    return gettext("%(given)d of %(needed)d") % {"given": given, "needed": approval.quorum}
