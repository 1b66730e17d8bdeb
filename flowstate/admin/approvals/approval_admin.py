"""The admin of approvals: an inbox instead of a list, and a page on which people decide. Only POST decides."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext

from flowstate.admin import links
from flowstate.admin.approvals import bulk_page, decision_page, handing_pages, inbox_page
from flowstate.admin.approvals.app_list import name_with_count
from flowstate.admin.views import own_view
from flowstate.engine.approvals.inbox import may_see
from flowstate.models import Approval

if TYPE_CHECKING:
    ApprovalModelAdmin = admin.ModelAdmin[Approval]
else:  # cannot be subscripted at run time
    ApprovalModelAdmin = admin.ModelAdmin

Page = Callable[[Any, HttpRequest, Approval], HttpResponse]


@admin.register(Approval)
class ApprovalAdmin(ApprovalModelAdmin):
    """What waits for whoever looks, for all staff: the rules of the steps say who may decide.

    One approval is there for who may decide it or has voted, and for who may see its run.
    """

    def __init__(self, model: type[Approval], admin_site: admin.AdminSite) -> None:
        super().__init__(model, admin_site)
        name_with_count(admin_site)

    # --- who may what --------------------------------------------------------------------------

    def has_view_permission(self, request: HttpRequest, obj: Approval | None = None) -> bool:
        """Return whether the approval is there for the user; the inbox is for all staff."""
        return obj is None or may_see(request.user, obj)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Return True: anybody may be asked something."""
        return True

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False: runs ask."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Approval | None = None) -> bool:
        """Return False: nobody edits a decision."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Approval | None = None) -> bool:
        """Return False: decisions stand."""
        return False

    # --- pages ---------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        """Return the inbox, the page of one, and a page for each thing to do."""
        site = self.admin_site

        def of_one(route: str, name: str, page: Page) -> URLPattern:
            view = own_view(site, partial(self._of_one, page))
            return path(f"<int:pk>/{route}/", view, name=f"flowstate_approval_{name}")

        def of_all(route: str, name: str, page: Any) -> URLPattern:
            return path(route, own_view(site, partial(page, self)), name=f"flowstate_approval_{name}")

        return [
            path("", own_view(site, self.changelist_view), name="flowstate_approval_changelist"),
            of_all("bulk/", "bulk", bulk_page.approve_several),
            of_all("delegates/", "delegates", handing_pages.delegates),
            of_all("delegates/<int:pk>/end/", "end", handing_pages.end),
            of_one("change", "change", _look),
            of_one("approve", "approve", _only_post(decision_page.approve)),
            of_one("reject", "reject", _only_post(decision_page.reject)),
            of_one("reassign", "reassign", handing_pages.reassign),
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the inbox."""
        if request.method not in {"GET", "HEAD"}:
            raise PermissionDenied
        site = self.admin_site
        context = {
            **site.each_context(request),
            **inbox_page.context_of(site, request),
            "title": gettext("Waiting for me"),
            "opts": self.opts,
            "media": self.media,
            "bulk_url": links.page_url(site, Approval, "bulk"),
            "delegates_url": links.page_url(site, Approval, "delegates"),
            **(extra_context or {}),
        }
        request.current_app = site.name
        return TemplateResponse(request, "admin/flowstate/approval/change_list.html", context)

    def _of_one(self, page: Page, request: HttpRequest, pk: int) -> HttpResponse:
        rows = self.get_queryset(request).select_related("run", "run__content_type")
        found = (
            rows.prefetch_related("votes", "run__step_runs").filter(pk=min(pk, inbox_page.MOST_KEY)).first()
        )
        if found is None or not may_see(request.user, found):
            raise Http404(str(pk))
        return page(self, request, found)


def _look(model_admin: Any, request: HttpRequest, approval: Approval) -> HttpResponse:
    if request.method not in {"GET", "HEAD"}:
        return HttpResponseNotAllowed(["GET", "HEAD"])
    return decision_page.show(model_admin, request, approval)


def _only_post(page: Page) -> Page:
    def view(model_admin: Any, request: HttpRequest, approval: Approval) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        return page(model_admin, request, approval)

    return view
