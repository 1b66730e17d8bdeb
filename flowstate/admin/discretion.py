"""Who sees which values of rows: those a step calls sensitive nobody, others who may view the row's model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.contrib.auth import get_permission_codename

from flowstate.actions import find_workflow
from flowstate.exceptions import FlowstateError
from flowstate.models.undo_preview import HIDDEN, StepPreview

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite
    from django.http import HttpRequest

    from flowstate.models import Run, StepRun

Sensitive = bool | Sequence[str]


class Discretion:
    """What one user may see of the rows that a run has written."""

    def __init__(self, site: AdminSite, request: HttpRequest, run: Run) -> None:
        self._site = site
        self._request = request
        self._sensitive = _sensitive_of(run)

    def record(self, row: StepRun) -> dict[str, Any] | None:
        """Return the undo record of a step without the values that are to be kept back."""
        if row.undo is None:
            return None
        sensitive = self._sensitive.get(row.name, True)
        return {
            name: [self._row(its, sensitive) for its in part] if isinstance(part, list) else part
            for name, part in row.undo.items()
        }

    def error(self, row: StepRun) -> dict[str, Any] | None:
        """Return why a step could not be undone; of rows that the user may not view without the values."""
        error = row.compensation_error
        if not error or not error.get("fields") or all(map(self._may_view, _models_of(row.undo))):
            return error
        fields = {name: _hidden(values) for name, values in error["fields"].items()}
        return {**error, "fields": fields}

    def preview(self, steps: Iterable[StepPreview]) -> list[StepPreview]:
        """Return what undoing would do; of rows that the user may not view only the model, key and columns."""
        return [
            replace(
                step,
                rows=tuple(row if self._may_view(row.model) else row.without_values() for row in step.rows),
            )
            for step in steps
        ]

    def _row(self, row: Any, sensitive: Sensitive) -> Any:
        if not isinstance(row, dict) or "model" not in row:  # no record of this code's
            return HIDDEN
        if not self._may_view(row["model"]):
            return {"model": row["model"], "key": row["key"]}
        return {
            name: _masked(part, sensitive) if isinstance(part, dict) else part for name, part in row.items()
        }

    def _may_view(self, label: str) -> bool:
        try:
            model = apps.get_model(label)
        except (LookupError, ValueError):  # a model that is gone
            return False
        # A table of links has no permissions of its own: who sees the row sees what it is linked to.
        model = model._meta.auto_created or model
        if self._site.is_registered(model):
            return self._site.get_model_admin(model).has_view_or_change_permission(self._request)
        opts, user = model._meta, self._request.user
        names = (get_permission_codename(may, opts) for may in ("view", "change"))
        return any(user.has_perm(f"{opts.app_label}.{name}") for name in names)


def _sensitive_of(run: Run) -> dict[str, Sensitive]:
    """Return what each step calls sensitive; nothing is known, and all is, where the code is gone."""
    try:
        declaration = find_workflow(run.workflow).declaration
    except FlowstateError:
        return {}
    return {step.name: step.sensitive for step in declaration.steps}


def _models_of(record: dict[str, Any] | None) -> set[str]:
    parts = (record or {}).values()
    rows = [row for part in parts if isinstance(part, list) for row in part]
    return {row.get("model", "") if isinstance(row, dict) else "" for row in rows}


def _masked(columns: Mapping[str, Any], sensitive: Sensitive) -> dict[str, Any]:
    return {
        name: _hidden(held) if sensitive is True or (sensitive and name in sensitive) else held
        for name, held in columns.items()
    }


def _hidden(held: Any) -> Any:
    return dict.fromkeys(held, HIDDEN) if isinstance(held, dict) else HIDDEN
