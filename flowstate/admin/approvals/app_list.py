"""Says in the admin's list of apps how much waits for whoever looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext

from flowstate.engine.approvals.inbox import inbox_of
from flowstate.models import Approval

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite
    from django.http import HttpRequest

PAGES = ("index", "app_list")
"""The pages that list apps. On all others the side bar names the inbox without counting."""


def name_with_count(site: AdminSite) -> None:
    """Have the site call the approvals "Waiting for me", with how many where it lists apps.

    The admin offers no hook for the names in that list, so its answer is completed.
    """
    listed = site.get_app_list

    def get_app_list(request: HttpRequest, app_label: str | None = None) -> list[Any]:
        apps = listed(request, app_label)
        for app in apps:
            for entry in app["models"]:
                if entry["model"] is Approval:
                    entry["name"] = _name(request)
        return apps

    site.get_app_list = get_app_list  # type: ignore[method-assign]


def _name(request: HttpRequest) -> str:
    name = gettext("Waiting for me")
    if request.resolver_match is None or request.resolver_match.url_name not in PAGES:
        return name
    counted: str | None = getattr(request, "flowstate_waiting", None)
    if counted is None:  # the page asks twice: for its list and for the side bar
        counted = inbox_of(request.user).count_text
        request.flowstate_waiting = counted  # type: ignore[attr-defined]
    return name if counted == "0" else f"{name} ({counted})"
