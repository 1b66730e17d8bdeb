"""Checks of workflows against the diagrams that they name: E020 and E021."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.checks import CheckMessage, Error

from flowstate.actions.resolve import is_installed
from flowstate.checks.declared import subclasses
from flowstate.exceptions import DiagramInvalid
from flowstate.workflows import Declaration, Workflow, mermaid
from flowstate.workflows.declaration import outline_of


def check_diagrams(**_kwargs: Any) -> list[CheckMessage]:
    """Return which workflows, abstract ones too, do not do as their diagrams draw."""
    found: list[CheckMessage] = []
    for workflow in subclasses(Workflow):
        outline = outline_of(workflow)
        if outline is not None and workflow.diagram and is_installed(workflow.__module__):
            found += _differences(workflow, outline)
    return found


def _differences(workflow: type[Workflow], outline: Declaration) -> Iterator[Error]:
    path = diagram_of(workflow)
    try:
        plan = mermaid.planned(mermaid.read(mermaid.text_of(path)))
    except DiagramInvalid as error:
        yield Error(
            f"The diagram of {outline.label}, {path}, draws no workflow: {error}",
            hint="Put it there, or correct it; `diagram` is its path from the module.",
            obj=workflow,
            id="flowstate.E021",
        )
        return
    differences = mermaid.differences(plan, outline)
    if differences:
        yield Error(
            f"{outline.label} and its diagram, {path}, differ: {'; '.join(differences)}.",
            hint="Run `manage.py flowstate_scaffold` for the diagram again, or correct the one that is wrong.",
            obj=workflow,
            id="flowstate.E020",
        )


def diagram_of(workflow: type[Workflow]) -> Path:
    """Return the path of the diagram that a workflow names; it is given from the module that names it."""
    names = next(parent for parent in workflow.__mro__ if "diagram" in vars(parent))
    return Path(inspect.getfile(names)).parent / workflow.diagram
