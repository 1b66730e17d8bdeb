"""DECLARATION: what a workflow is, before anything runs. Pure Python: no rows, no Celery, no HTTP."""

from __future__ import annotations

from flowstate.workflows.approvals import ApprovalStep
from flowstate.workflows.builder import WorkflowBuilder
from flowstate.workflows.children import WorkflowStep
from flowstate.workflows.choices import ChoiceStep, Chosen
from flowstate.workflows.context import Context
from flowstate.workflows.declaration import Declaration
from flowstate.workflows.entities import CreateStep, DeleteStep, UpdateStep
from flowstate.workflows.function_context import FunctionContext
from flowstate.workflows.function_step import workflow
from flowstate.workflows.joins import FirstOf
from flowstate.workflows.options import Options
from flowstate.workflows.policies import Retry
from flowstate.workflows.registry import register
from flowstate.workflows.steps import Kind, Step, step
from flowstate.workflows.waits import DelayStep, EventStep
from flowstate.workflows.workflow import Workflow

__all__ = [
    "ApprovalStep",
    "ChoiceStep",
    "Chosen",
    "Context",
    "CreateStep",
    "Declaration",
    "DelayStep",
    "DeleteStep",
    "EventStep",
    "FirstOf",
    "FunctionContext",
    "Kind",
    "Options",
    "Retry",
    "Step",
    "UpdateStep",
    "Workflow",
    "WorkflowBuilder",
    "WorkflowStep",
    "register",
    "step",
    "workflow",
]
