"""What the page of a run shows: the run, its steps, its history, each as text and links for the templates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext

from flowstate.admin import display, links
from flowstate.admin.approval_lines import ApprovalLine, lines_of
from flowstate.admin.diagram import run_graph, run_waterfall
from flowstate.admin.discretion import Discretion
from flowstate.models import Compensation, EventKind, Run, RunStatus, StepStatus
from flowstate.workflows.steps import Kind

if TYPE_CHECKING:
    from uuid import UUID

    from django.contrib.admin import AdminSite
    from django.http import HttpRequest
    from django.utils.safestring import SafeString

    from flowstate.models import StepRun
    from flowstate.models.timeline import TimelineEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorText:
    """An error as the journal holds it; `fields` are those of a conflict, `more` its other facts."""

    detail: str
    code: str
    class_name: str
    fields: list[dict[str, Any]]
    more: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueText:
    """A journaled value under its title."""

    title: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLine:
    """One step; `attempts` counts its claims, and how many of them failed or were lost."""

    row: StepRun
    badge: SafeString
    undo_badge: SafeString | None
    attempts: str
    undo_troubles: str
    duration: str
    undo_duration: str
    error: ErrorText | None
    undo_error: ErrorText | None
    values: list[ValueText]
    depends_on: str
    celery_url: str
    child: dict[str, str] | None
    undone_by: dict[str, str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryLine:
    """One entry of the timeline in words; `after` is the time since the run began."""

    entry: TimelineEntry
    what: str
    after: str


def context_of(site: AdminSite, request: HttpRequest, run: Run) -> dict[str, Any]:
    """Return what the templates of a run's page need."""
    rows = run.steps
    discretion = Discretion(site, request, run)
    celery = links.celery_urls(site, request, (row.celery_task_id for row in rows))
    return {
        "run": run,
        "badge": display.run_badge(run),
        "progress": display.progress_bar(run),
        "duration": display.run_duration(run),
        "deadline": run.deadline_at if run.status == RunStatus.RUNNING else None,
        "entity": entity_name(site, request, run),
        "entity_url": links.entity_url(site, run),
        "retry_of": _linked(site, run.retry_of),
        "retried_by": _linked(site, getattr(run, "retried_by", None)),
        "parent": _linked_key(site, run.parent_id),
        "undo_of": _linked_key(site, run.undo_of_id),
        "error": _error(run.error),
        # Code, paths and values of the program: more than who may look at runs needs to know.
        "traceback": run.traceback if request.user.has_perm("flowstate.change_run") else "",
        "values": _values(
            (gettext("Input"), run.input_json),
            (gettext("Value"), run.value_json),
            (gettext("Data"), _data(run)),
        ),
        "approvals": _approvals(site, run),
        "graph": run_graph(run),
        "waterfall": run_waterfall(run),
        "steps": [_step(site, run, row, discretion, celery.get(row.celery_task_id, "")) for row in rows],
        "history": [_history_line(run, entry) for entry in run.timeline()],
    }


def _approvals(site: AdminSite, run: Run) -> list[ApprovalLine]:
    if not any(row.kind == Kind.APPROVAL for row in run.steps):
        return []
    asked = list(run.approvals.order_by("pk").prefetch_related("votes"))
    for approval in asked:
        approval.run = run  # which is read already
    return lines_of(site, asked)


def entity_name(site: AdminSite, request: HttpRequest, run: Run) -> str:
    """Return the row's own name where this user may see the row, else its kind and key; empty without one."""
    model = run.content_type.model_class() if run.content_type else None
    if model is None or not site.is_registered(model):
        return kind_and_key(run)
    entity = run.entity
    if entity is None:
        return gettext("%(row)s (gone)") % {"row": kind_and_key(run)}
    if not site.get_model_admin(model).has_view_or_change_permission(request, entity):
        return kind_and_key(run)
    return str(entity)


def kind_and_key(run: Run) -> str:
    """Return what is known of the run's row without reading it, such as "order 7"; empty without one."""
    model = run.content_type.model_class() if run.content_type else None
    return run.object_id if model is None else f"{model._meta.verbose_name} {run.object_id}"


def _linked_key(site: AdminSite, key: UUID | None) -> dict[str, str] | None:
    # Not read: who follows the link is asked for the permission there, and told if the run is gone.
    return None if key is None else _linked(site, Run(pk=key))


def _linked(site: AdminSite, run: Run | None) -> dict[str, str] | None:
    if run is None:
        return None
    return {"id": display.short_id(run.pk), "url": links.run_url(site, run)}


def _step(site: AdminSite, run: Run, row: StepRun, discretion: Discretion, celery_url: str) -> StepLine:
    return StepLine(
        row=row,
        badge=display.step_badge(row),
        undo_badge=display.compensation_badge(row) if _has_undoing(run, row) else None,
        attempts=display.attempts(row.attempt, row.failures, row.lost),
        undo_troubles=display.troubles(row.compensation_failures, row.compensation_lost),
        duration=display.between(row.started_at, row.ended_at),
        undo_duration=display.between(row.compensation_started_at, row.compensation_ended_at),
        error=_error(row.error),
        undo_error=_error(discretion.error(row)),
        values=_values(
            (gettext("Result"), row.result_json),
            (gettext("Data"), row.data_json),
            (gettext("Undo record"), discretion.record(row)),
        ),
        depends_on=", ".join(row.depends_on),
        celery_url=celery_url,
        child=_linked_key(site, row.child_id),
        undone_by=_linked_key(site, row.undone_by_id),
    )


def _has_undoing(run: Run, row: StepRun) -> bool:
    if row.compensation != Compensation.PENDING:
        return row.compensation != Compensation.NONE
    # From the start every step says whether it could be undone. It will be only if it was done, in a live run.
    return not run.finished and row.status in {StepStatus.DONE, StepStatus.UNKNOWN}


def _error(error: dict[str, Any] | None) -> ErrorText | None:
    if not error:
        return None
    fields = error.get("fields")
    conflict = isinstance(fields, dict) and all(isinstance(values, dict) for values in fields.values())
    known = {"detail", "code", "class", "step", "status"} | ({"fields"} if conflict else set())
    # A traceback is shown once, with the run, and not to everybody.
    more = {key: value for key, value in error.items() if key not in known | {"traceback"} and value}
    return ErrorText(
        detail=str(error.get("detail", "")),
        code=str(error.get("code", "")),
        class_name=str(error.get("class", "")),
        fields=[{"name": name, **values} for name, values in (fields or {}).items()] if conflict else [],
        more=display.pretty(more) if more else "",
    )


def _values(*values: tuple[str, Any]) -> list[ValueText]:
    return [
        ValueText(title=title, text=display.pretty(value))
        for title, value in values
        if value is not None and value not in ({}, [])
    ]


def _data(run: Run) -> dict[str, Any]:
    # Not `run.data`: that decodes references by reading their rows, which may be gone.
    merged = dict(run.initial_data_json)
    for row in run.steps:
        merged.update(row.data_json or {})
    return merged


def _history_line(run: Run, entry: TimelineEntry) -> HistoryLine:
    after = display.between(run.started_at, entry.at)
    return HistoryLine(entry=entry, what=_what(entry), after=after)


def _what(entry: TimelineEntry) -> str:
    kind, _, outcome = entry.what.partition(" ")
    if kind == "compensation":
        return _label(Compensation, outcome)
    if entry.what in EventKind.values:
        return _label(EventKind, entry.what)
    if entry.step:
        return _label(StepStatus, entry.what)
    if entry.what == "started":
        return gettext("run started")
    return gettext("run ended: %(status)s") % {"status": _label(RunStatus, entry.what)}


def _label(words: Any, value: str) -> str:
    return str(words(value).label) if value in words.values else value
