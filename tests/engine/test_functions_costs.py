"""What a function costs: statements and commits for each of its steps, counted."""

from __future__ import annotations

from typing import Any

import pytest

from rest_framework import serializers

from flowstate import SYSTEM, FunctionContext, Workflow, workflow
from flowstate.models import Run
from flowstate.testing import carry_due
from tests.kiosk.statements import Statements

pytestmark = pytest.mark.django_db(transaction=True)


class StepsInput(serializers.Serializer[Any]):
    steps = serializers.IntegerField()


@workflow(input=StepsInput, exclusive=None)
def count(ctx: FunctionContext[Any]) -> int:
    """Take as many steps as one wants."""
    return sum(ctx.step(f"step_{number}", lambda own: 1) for number in range(ctx.input["steps"]))


@workflow(input=StepsInput, exclusive=None)
def fan_out(ctx: FunctionContext[Any]) -> int:
    """Take as many steps as one wants, side by side."""
    numbers = range(ctx.input["steps"])
    return sum(ctx.parallel(*(ctx.branch(f"step_{number}", lambda own: 1) for number in numbers)))


def costs(steps: int) -> Statements:
    with Statements() as said:
        run = count.run(user=SYSTEM, input={"steps": steps})
    assert run.value == steps
    return said


def test_each_step_costs_two_commits_however_many_have_ended() -> None:
    """I29, I30: one that begins it, one that records it and claims the function; nothing is read again."""
    costs(1)
    few, many = costs(5), costs(20)

    for_each = (len(many.work) - len(few.work)) / 15
    assert (many.commits - few.commits) / 15 == 2
    assert for_each == 6, many.work[:20]
    assert many.savepoints == 0


def test_what_waits_between_takes_two_statements_to_hand_over() -> None:
    """The function of a run in the background costs what it does inline."""
    count.run(user=SYSTEM, input={"steps": 1})
    count.enqueue(user=SYSTEM, input={"steps": 5})
    with Statements() as few:
        carry_due()
    count.enqueue(user=SYSTEM, input={"steps": 20})
    with Statements() as many:
        carry_due()

    assert (many.commits - few.commits) / 15 == 2


@pytest.mark.parametrize("function", [count, fan_out])
def test_two_hundred_steps_end(function: type[Workflow]) -> None:
    run = function.run(user=SYSTEM, input={"steps": 200})

    assert (run.value, Run.objects.get().progress) == (200, 100)
