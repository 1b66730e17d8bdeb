"""The inbox: what waits for whoever looks, the longest waiting first, narrowed down by action or by haste."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.db.models import prefetch_related_objects
from django.utils.translation import gettext

from flowstate.admin.approval_lines import lines_of
from flowstate.engine.approvals.inbox import inbox_of
from flowstate.models.clock import host_now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.contrib.admin import AdminSite
    from django.http import HttpRequest

    from flowstate.models import Approval

SOON = timedelta(days=1)
"""What must be decided within it counts as urgent."""
MOST_KEY = 2**63 - 1


def context_of(site: AdminSite, request: HttpRequest) -> dict[str, Any]:
    """Return what the template of the inbox needs."""
    page = inbox_of(request.user, after=_after(request))
    prefetch_related_objects(page.approvals, "votes")
    action, soon = request.GET.get("action", ""), request.GET.get("soon") == "1"
    shown = [approval for approval in page.approvals if _fits(approval, action, soon=soon)]
    return {
        "lines": lines_of(site, shown),
        "count": page.count_text,
        "next_query": _query(action, soon=soon, after=page.after) if page.after is not None else "",
        "filters": _filters(page.approvals, action, soon=soon),
        "narrowed": bool(action) or soon,
        "first_page": not _after(request),
    }


def _fits(approval: Approval, action: str, *, soon: bool) -> bool:
    return (not action or approval.run.action == action) and (not soon or is_urgent(approval))


def is_urgent(approval: Approval) -> bool:
    """Return whether it expires within a day."""
    return approval.expires_at is not None and approval.expires_at < host_now() + SOON


def _filters(approvals: Sequence[Approval], action: str, *, soon: bool) -> list[dict[str, Any]]:
    """Return the ways to narrow this page down, each with how much of it is left then."""
    actions = Counter(approval.run.action for approval in approvals if approval.run.action)
    labels = {approval.run.action: approval.run.label.replace("_", " ") for approval in approvals}
    found = [
        {
            "label": gettext("All"),
            "count": len(approvals),
            "query": _query(""),
            "chosen": not action and not soon,
        },
        {
            "label": gettext("Expires within a day"),
            "count": sum(map(is_urgent, approvals)),
            "query": _query("", soon=True),
            "chosen": soon,
        },
    ]
    found += [
        {
            "label": labels[name].capitalize(),
            "count": count,
            "query": _query(name),
            "chosen": name == action,
        }
        for name, count in sorted(actions.items())
    ]
    return found


def _query(action: str, *, soon: bool = False, after: int | None = None) -> str:
    given = {"action": action, "soon": "1" if soon else "", "after": after or ""}
    return "?" + urlencode({name: value for name, value in given.items() if value})


def _after(request: HttpRequest) -> int:
    given = request.GET.get("after", "")
    return min(int(given), MOST_KEY) if given.isascii() and given.isdecimal() else 0
