"""Checks of workflows against models: E011 to E016, E019, and W003 and W004."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from django.apps import apps
from django.core import checks
from django.core.checks import CheckMessage, Error
from django.core.exceptions import FieldDoesNotExist
from django.db import router
from django.db.models import Field, Model

from flowstate.actions.bound import BoundAction
from flowstate.checks.declared import bound_workflows, workflows
from flowstate.checks.journal import journal_alias
from flowstate.engine.entities import link_tables
from flowstate.workflows import CreateStep, DeleteStep, UpdateStep, Workflow

EntityStep: TypeAlias = CreateStep | UpdateStep | DeleteStep


def check_workflows(**_kwargs: Any) -> list[CheckMessage]:
    """Return what is wrong with workflows that can only be seen beside the models."""
    found: list[CheckMessage] = []
    for workflow in workflows():
        found += [*_atomic(workflow), *_loose_ends(workflow)]
        for step in _entity_steps(workflow):
            if step.model is not None:
                found += _entity_step(workflow, step, step.model)
    for action, workflow in bound_workflows():
        found += [*_reading(action, workflow), *_on_entity(action, workflow)]
    return found


def _entity_steps(workflow: type[Workflow]) -> Iterator[EntityStep]:
    for step in workflow.declaration.steps:
        if isinstance(step, (CreateStep, UpdateStep, DeleteStep)):
            yield step


def _atomic(workflow: type[Workflow]) -> Iterator[checks.Warning]:
    external = [step.name for step in workflow.declaration.steps if step.external]
    if workflow.declaration.meta.atomic and external:
        yield checks.Warning(
            f"{workflow.declaration.name} is atomic and has external steps ({', '.join(map(str, external))}): its "
            "transaction stays open while they wait for others, and a crash leaves their outcome unknown.",
            hint="Make them transactional=True if they only write rows, or take them out of the atomic workflow.",
            obj=workflow,
            id="flowstate.W003",
        )


def _loose_ends(workflow: type[Workflow]) -> Iterator[checks.Warning]:
    for name in workflow.declaration.loose_ends:
        yield checks.Warning(
            f"Nothing in {workflow.declaration.name} waits for the step {name!r}, though other steps are declared "
            "below it.",
            hint=f"Name it in depends_on= of the step that needs it, or declare {name!r} last.",
            obj=workflow,
            id="flowstate.W004",
        )


def _reading(action: BoundAction, workflow: type[Workflow]) -> Iterator[Error]:
    writing = [step.name for step in workflow.declaration.steps if step.writes or step.compensable]
    if "GET" in action.action.methods and writing:
        yield Error(
            f"The action {action.name!r} answers GET but is there to change something in {', '.join(writing)}.",
            hint="Remove GET from methods=: a link, a crawler or a prefetch would start it.",
            obj=action.model,
            id="flowstate.E016",
        )


def _on_entity(action: BoundAction, workflow: type[Workflow]) -> Iterator[CheckMessage]:
    for step in _entity_steps(workflow):
        if step.model is not None:
            continue
        if action.action.detail:
            yield from _entity_step(workflow, step, action.model)
            continue
        yield Error(
            f"The step {step.name!r} works on the action's own row, but {action.name!r} is a collection action.",
            hint="Name a model and where= in the step, or declare detail=True.",
            obj=action.model,
            id="flowstate.E015",
        )


def _entity_step(
    workflow: type[Workflow], step: EntityStep, given: str | type[Model]
) -> Iterator[CheckMessage]:
    try:
        model = apps.get_model(given) if isinstance(given, str) else given
    except (LookupError, ValueError) as error:
        yield Error(
            f"The step {step.name!r} of {workflow.declaration.name} names the model {given!r}: {error}",
            hint='Name an installed model as "app_label.ModelName".',
            obj=workflow,
            id="flowstate.E011",
        )
        return
    yield from _alias(workflow, step, model)
    values = getattr(step, "values", None)
    for row in values if isinstance(values, (list, tuple)) else [values]:
        if isinstance(row, Mapping):
            yield from _columns(workflow, step, model, row)
    where = getattr(step, "where", None)
    if isinstance(where, Mapping):
        names = [lookup.partition("__")[0] for lookup in where]
        yield from (_no_field(workflow, step, model, name) for name in names if not _has(model, name))
    if isinstance(step, UpdateStep):
        yield from _links(workflow, step, model)


def _links(workflow: type[Workflow], step: UpdateStep, model: type[Model]) -> Iterator[Error]:
    known = link_tables(model)
    names = [name for given in (step.add, step.remove) if isinstance(given, Mapping) for name in given]
    for name in names:
        if name not in known:
            yield Error(
                f"The step {step.name!r} of {workflow.declaration.name} links by {name!r}, which is no many-to-many "
                f"of {model._meta.label}.",
                hint=f"There are {', '.join(sorted(known)) or 'none'}.",
                obj=workflow,
                id="flowstate.E019",
            )


def _alias(workflow: type[Workflow], step: EntityStep, model: type[Model]) -> Iterator[Error]:
    alias = router.db_for_write(model)
    if alias != journal_alias():
        yield Error(
            f"The step {step.name!r} of {workflow.declaration.name} writes {model._meta.label} to the database "
            f"{alias!r}, but the journal is in {journal_alias()!r}: the two cannot commit together.",
            hint="Route both to one database, or write these rows in an external step with a compensation.",
            obj=workflow,
            id="flowstate.E014",
        )


def _columns(
    workflow: type[Workflow], step: EntityStep, model: type[Model], values: Mapping[str, Any]
) -> Iterator[Error]:
    named: dict[Field[Any, Any], str] = {}
    for name in values:
        field = _column(model, name)
        if field is None:
            settable = isinstance(step, CreateStep) and isinstance(getattr(model, name, None), property)
            if not settable:
                yield _no_field(workflow, step, model, name)
        elif named.setdefault(field, name) != name:
            yield Error(
                f"The step {step.name!r} of {workflow.declaration.name} gives one column of {model._meta.label} under "
                f"two names: {named[field]} and {name}.",
                hint="Keep one of them.",
                obj=workflow,
                id="flowstate.E013",
            )


def _no_field(workflow: type[Workflow], step: EntityStep, model: type[Model], name: str) -> Error:
    return Error(
        f"The step {step.name!r} of {workflow.declaration.name} names {name!r}, which {model._meta.label} does not "
        "have as a field.",
        hint=f"Its fields are {', '.join(sorted(field.name for field in model._meta.concrete_fields))}.",
        obj=workflow,
        id="flowstate.E012",
    )


def _has(model: type[Model], name: str) -> bool:
    try:
        model._meta.get_field(name)
    except FieldDoesNotExist:
        return name == "pk"
    return True


def _column(model: type[Model], name: str) -> Field[Any, Any] | None:
    if name == "pk":
        return model._meta.pk
    return next((field for field in model._meta.concrete_fields if name in {field.name, field.attname}), None)
