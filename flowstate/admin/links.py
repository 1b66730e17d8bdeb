"""Where things are in an admin site: the pages of runs, of the rows they work on, of Celery's results."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.contrib.admin.utils import quote
from django.urls import reverse

from flowstate.models import Approval, Run

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite
    from django.db.models import Model
    from django.http import HttpRequest


def row_url(site: AdminSite, model: type[Model] | None, pk: Any) -> str:
    """Return the page of a row; empty where the site does not have its model."""
    if model is None or not pk or not site.is_registered(model):
        return ""
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
    return reverse(name, args=[quote(pk)], current_app=site.name)


def list_url(site: AdminSite, model: type[Model]) -> str:
    """Return the list of a model's rows; empty where the site does not have the model."""
    if not site.is_registered(model):
        return ""
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"
    return reverse(name, current_app=site.name)


def page_url(site: AdminSite, model: type[Model], page: str) -> str:
    """Return a page about all rows of a model; empty where the site does not have the model."""
    if not site.is_registered(model):
        return ""
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}"
    return reverse(name, current_app=site.name)


def run_url(site: AdminSite, run: Run, page: str = "change") -> str:
    """Return a page of a run ("change", or the name of an operation); empty where the site does not have runs."""
    if not site.is_registered(Run):
        return ""
    return reverse(f"admin:flowstate_run_{page}", args=[run.pk], current_app=site.name)


def approval_url(site: AdminSite, approval: Approval, page: str = "change") -> str:
    """Return a page of an approval ("change", "approve", ...); empty where the site does not have approvals."""
    if not site.is_registered(Approval):
        return ""
    return reverse(f"admin:flowstate_approval_{page}", args=[approval.pk], current_app=site.name)


def entity_url(site: AdminSite, run: Run) -> str:
    """Return the page of the row that the run works on; empty where there is none."""
    model = run.content_type.model_class() if run.content_type else None
    return row_url(site, model, run.object_id)


def celery_urls(site: AdminSite, request: HttpRequest, task_ids: Iterable[str]) -> dict[str, str]:
    """Return the pages of the stored Celery results by task id, those this user may see. One query at most."""
    wanted = [task_id for task_id in task_ids if task_id]
    if not wanted or not apps.is_installed("django_celery_results"):
        return {}
    model = apps.get_model("django_celery_results", "TaskResult")
    if not site.is_registered(model) or not site.get_model_admin(model).has_view_permission(request):
        return {}
    found = model._default_manager.filter(task_id__in=wanted).values_list("task_id", "pk")
    return {task_id: row_url(site, model, pk) for task_id, pk in found}
