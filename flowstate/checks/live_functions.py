"""Which live runs of functions this code would not go on with: E024, by calling them, which begins nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from django.core.checks import Error

from flowstate.engine.functions.learn import misfit
from flowstate.engine.loading import load
from flowstate.exceptions import StepUnknown, WorkflowUnknown
from flowstate.models import Run

MOST: Final = 1000
"""Runs of one function that are looked at, the longest running first."""


def misfits_of(workflow: str, using: str) -> Iterator[Error]:
    """Yield an error for each live run of a function that does not ask for its steps as the run has them."""
    runs = Run.objects.using(using).live().filter(workflow=workflow).order_by("pk")
    for key in list(runs.values_list("pk", flat=True)[:MOST]):
        try:
            found = misfit(load(key, using=using))
        except (Run.DoesNotExist, StepUnknown, WorkflowUnknown):
            continue  # gone meanwhile
        if found is not None:
            yield Error(
                str(found),
                hint="Let new code ask as before, under another name or version, until these runs have ended.",
                id="flowstate.E024",
            )
