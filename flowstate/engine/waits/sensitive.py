"""What of an event's payload is sensitive: what the steps that may wait for it say."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress

from flowstate.actions.registry import all_actions
from flowstate.actions.resolve import declaration_of, find_workflow
from flowstate.exceptions import FlowstateError
from flowstate.models import StepRun
from flowstate.models.secrets import available
from flowstate.workflows.waits import EventStep
from flowstate.workflows.workflow import Workflow

Sensitive = bool | Collection[str]


def sensitive_of(event: str) -> Sensitive:
    """Return what the steps of all workflows that this process knows call sensitive in events of this name."""
    found = [step.sensitive for step in _event_steps() if step.event == event]
    if True in found:
        return True
    return {name for names in found if not isinstance(names, bool) for name in names}


def sensitive_in(row: StepRun) -> Sensitive:
    """Return what one step calls sensitive; all, where this process cannot tell, as with a function's steps."""
    try:
        declared = find_workflow(row.run.workflow).declaration.by_name.get(row.name)
    except FlowstateError:
        declared = None
    return available() if declared is None else declared.sensitive


def _event_steps() -> Iterator[EventStep]:
    for action in all_actions():
        with suppress(ImportError, FlowstateError):  # which a check tells of
            declaration_of(action.workflow)  # to ask for it imports it
    for workflow in _below(Workflow):
        declaration = declaration_of(workflow)
        if declaration is not None:
            yield from (step for step in declaration.steps if isinstance(step, EventStep))


def _below(workflow: type[Workflow]) -> Iterator[type[Workflow]]:
    for child in workflow.__subclasses__():
        yield child
        yield from _below(child)
