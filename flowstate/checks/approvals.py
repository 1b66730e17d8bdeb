"""Checks of steps that people decide against the models: E006, E015, E018, E025, E026, and W005."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Error
from django.core.exceptions import FieldDoesNotExist
from rest_framework.serializers import BaseSerializer

from flowstate.actions.bound import BoundAction
from flowstate.actions.rules import as_rule
from flowstate.checks.declared import bound_workflows, workflows
from flowstate.checks.rules import end_of, rule_problems
from flowstate.workflows import ApprovalStep, Workflow


def check_approvals(**_kwargs: Any) -> list[CheckMessage]:
    """Return which steps could never be decided, or not shown."""
    found: list[CheckMessage] = []
    for workflow in workflows():
        found += [problem for step in _steps(workflow) for problem in _form(workflow, step)]
    for action, workflow in bound_workflows():
        for step in _steps(workflow):
            found += [*_rules(action, step), *_shown(action, step)]
    return found


def _steps(workflow: type[Workflow]) -> Iterator[ApprovalStep]:
    for step in workflow.declaration.steps:
        if isinstance(step, ApprovalStep):
            yield step


def _form(workflow: type[Workflow], step: ApprovalStep) -> Iterator[Error]:
    if step.form is not None and not issubclass(step.form, BaseSerializer):
        yield Error(
            f"The form of the step {step.name!r} of {workflow.declaration.name} is {step.form.__name__}, which is no "
            "serializer.",
            hint="Derive it from rest_framework.serializers.Serializer.",
            obj=workflow,
            id="flowstate.E026",
        )


def _rules(action: BoundAction, step: ApprovalStep) -> Iterator[CheckMessage]:
    where = f"the step {step.name!r} of the action {action.name!r}"
    for given in (*step.approvers, *step.escalate_to):
        for rule in as_rule(given).leaves():
            yield from rule_problems(action, rule, where)


def _shown(action: BoundAction, step: ApprovalStep) -> Iterator[Error]:
    for field in step.shown:
        if callable(field.source):
            continue
        problem = "a collection action has no row"
        if action.action.detail:
            try:
                end_of(action.model, field.source)
            except FieldDoesNotExist as error:
                problem = str(error)
            else:
                continue
        yield Error(
            f"The step {step.name!r} of the action {action.name!r} cannot show {field.source!r}: {problem}.",
            hint="Correct the path, or show what a function (ctx) says, as (label, function).",
            obj=action.model,
            id="flowstate.E025",
        )
