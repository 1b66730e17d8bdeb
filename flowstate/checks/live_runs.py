"""What live runs need and the code no longer has: E022 and E023, and of functions E024.

It asks the database, so it is no check of `manage.py check`, which also runs where there is none;
`manage.py flowstate_check` runs it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Final

from django.core.checks import Error
from django.db import connections
from django.db.models import Count

from flowstate.actions.resolve import find_workflow
from flowstate.checks.live_functions import misfits_of
from flowstate.exceptions import WorkflowUnknown
from flowstate.models import Run, StepRun
from flowstate.workflows.function_step import is_function

_HINT: Final = "Deploy code that has it until they have ended, or cancel them before."


def check_live_runs(using: str) -> list[Error]:
    """Return which workflows and steps are missing, in one query, and two for each run of a function.

    Nothing where there is no journal yet.
    """
    if Run._meta.db_table not in connections[using].introspection.table_names():
        return []
    return list(_missing(using))


def _missing(using: str) -> Iterator[Error]:
    steps = StepRun.objects.using(using).of_live_runs()
    # A run has each of its steps once, so that counting steps of one name counts runs.
    counted = (
        steps.values_list("run__workflow", "name")
        .annotate(runs=Count("pk"))
        .order_by("run__workflow", "name")
    )
    for workflow, found in groupby(counted, key=itemgetter(0)):
        numbers = {step: runs for _workflow, step, runs in found}
        try:
            found_workflow = find_workflow(workflow)
        except WorkflowUnknown as error:
            yield Error(
                f"{_live_runs(max(numbers.values()))} of the workflow {workflow}, which this code does not have. {error}",
                hint=_HINT,
                id="flowstate.E022",
            )
            continue
        if is_function(found_workflow):
            yield from misfits_of(workflow, using)
            continue
        known = found_workflow.declaration.by_name
        for step in sorted(numbers.keys() - known.keys()):
            yield Error(
                f"{_live_runs(numbers[step])} of {workflow} with the step {step}, which this code does not declare.",
                hint=_HINT,
                id="flowstate.E023",
            )


def _live_runs(number: int) -> str:
    return "There is a live run" if number == 1 else f"There are {number} live runs"
