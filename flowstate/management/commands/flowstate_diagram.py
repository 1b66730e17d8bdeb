"""`manage.py flowstate_diagram WORKFLOW`: print a workflow as a Mermaid diagram."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from flowstate.actions.registry import find_action
from flowstate.actions.resolve import find_workflow
from flowstate.exceptions import DeclarationInvalid, DiagramInvalid, WorkflowUnknown
from flowstate.workflows import Workflow


class Command(BaseCommand):
    """For READMEs and reviews: GitHub, GitLab and many editors draw what it prints."""

    help = "Print a workflow as a Mermaid diagram."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take which workflow."""
        parser.add_argument(
            "workflow", help="its name, as shop.workflows.Checkout, or an action's, as shop.order.checkout"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the diagram. Raises CommandError where there is no such workflow, and for a function."""
        try:
            diagram = _named(options["workflow"]).to_mermaid()
        except DiagramInvalid as error:
            raise CommandError(str(error)) from error
        self.stdout.write(diagram, ending="")


def _named(name: str) -> type[Workflow]:
    try:
        return find_action(name).workflow
    except (ImportError, DeclarationInvalid) as error:
        message = f"The workflow of the action {name!r} cannot be had: {error}"
        raise CommandError(message) from error
    except WorkflowUnknown:
        pass  # then it is the name of a workflow
    try:
        return find_workflow(name)
    except WorkflowUnknown as error:
        raise CommandError(str(error)) from error
