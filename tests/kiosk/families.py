"""Workflows that run others: found by their path, scripted by the test."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from rest_framework import serializers

from flowstate import (
    Context,
    CreateStep,
    DelayStep,
    EventStep,
    FirstOf,
    Step,
    StepError,
    UpdateStep,
    Workflow,
    WorkflowStep,
    step,
)
from tests.kiosk.models import Sale
from tests.kiosk.returns import called
from tests.kiosk.workflows import diary_step


class ParcelTooHeavy(StepError):
    status_code = 409
    default_code = "too_heavy"
    default_detail = "The parcel is too heavy."


class ParcelInput(serializers.Serializer[Any]):
    weight = serializers.IntegerField(min_value=1)


class Ship(Workflow):
    """A child: an outside effect, a row, and what it came to."""

    input = ParcelInput

    pack = diary_step("pack")
    label = CreateStep("kiosk.Entry", values=lambda ctx: {"what": f"label {ctx.input['weight']}"})

    @step
    def send(self, ctx: Context[Any]) -> dict[str, int]:
        called(ctx, "send")
        return {"weight": ctx.input["weight"]}

    @send.compensate
    def call_back(self, ctx: Context[Any], result: Any) -> None:
        called(ctx, "undo send")


class Order(Workflow):
    """A parent: a step, the child, and a step that needs what the child came to."""

    class Meta:
        exclusive = None

    pay = diary_step("pay")
    ship = WorkflowStep(Ship, input=lambda ctx: {"weight": 7})

    @step
    def thank(self, ctx: Context[Any]) -> int:
        called(ctx, "thank")
        weight: int = ctx.results["ship"]["weight"]
        return weight


class Exclusive(Order):
    """One at a time."""

    class Meta:
        exclusive = "action"


class Forgiving(Workflow):
    """Goes on without the child."""

    class Meta:
        exclusive = None

    ship = WorkflowStep(Ship, input={"weight": 7}, optional=True, default="not shipped")
    last = Step("last", lambda ctx: ctx.results["ship"])


class Holds(Workflow):
    """A child that waits for an event."""

    c_one = diary_step("c_one")
    wait = EventStep("go", key="k")
    c_two = diary_step("c_two")


class Above(Workflow):
    """Waits for a child that waits."""

    class Meta:
        exclusive = None

    first = diary_step("first")
    held = WorkflowStep("tests.kiosk.families.Holds")
    last = diary_step("last")


class Grand(Workflow):
    """Waits for a child that waits for a child that waits, beside a step that may fail."""

    class Meta:
        exclusive = None

    begin = diary_step("begin")
    above = WorkflowStep(Above, depends_on=begin)
    beside = Step("beside", lambda ctx: called(ctx, "beside"), depends_on=begin, background=True)
    join = diary_step("join", depends_on=[above, beside])


class Endless(Workflow):
    """Runs itself."""

    class Meta:
        exclusive = None

    again = WorkflowStep("tests.kiosk.families.Endless")


class Whole(Workflow):
    """A child in one transaction."""

    class Meta:
        atomic = True

    label = CreateStep("kiosk.Entry", values={"what": "whole"})
    count = Step("count", lambda ctx: "counted", transactional=True)


class AroundWhole(Workflow):
    """A parent that fails after its child, unless the test says otherwise."""

    class Meta:
        exclusive = None

    whole = WorkflowStep(Whole)
    last = diary_step("last")


class OnTheRow(Workflow):
    """A child that writes the parent's row."""

    mark = UpdateStep(values={"status": "by the child"})


class WithRow(Workflow):
    """A parent whose child works on the same row."""

    child = WorkflowStep(OnTheRow)
    last = diary_step("last")


class Picky(Workflow):
    """A child that does not run."""

    picky = diary_step("picky")

    def should_run(self, ctx: Context[Sale]) -> bool:
        return False


class Refused(Workflow):
    """A parent of what does not run."""

    class Meta:
        exclusive = None

    first = diary_step("first")
    child = WorkflowStep(Picky)


class OwnUndo(Workflow):
    """Undoes its child by code of its own."""

    class Meta:
        exclusive = None

    ship = WorkflowStep(
        Ship, input={"weight": 1}, compensate=lambda ctx, value: called(ctx, f"own undo {value['weight']}")
    )
    last = diary_step("last")


class InTime(Workflow):
    """Must end within an hour; its child waits for a day."""

    class Meta:
        exclusive = None
        timeout = timedelta(hours=1)

    first = diary_step("first")
    child = WorkflowStep("tests.kiosk.families.Sleeper")


class Sleeper(Workflow):
    """Waits for a day."""

    asleep = diary_step("asleep")
    wait = DelayStep(timedelta(days=1))


class Twins(Workflow):
    """Two children side by side, and what needs both."""

    class Meta:
        exclusive = None

    begin = diary_step("begin")
    left = WorkflowStep(Ship, input={"weight": 1}, depends_on=begin)
    right = WorkflowStep(Ship, input={"weight": 2}, depends_on=begin)
    join = Step(
        "join",
        lambda ctx: [ctx.results[name]["weight"] for name in ("left", "right")],
        depends_on=[left, right],
    )


class Parcel(Workflow):
    """A child that works, against a step of a worker: the first wins."""

    class Meta:
        exclusive = None

    child = WorkflowStep(Ship, input={"weight": 7}, depends_on=())
    quick = Step("quick", lambda ctx: called(ctx, "quick"), depends_on=(), background=True)
    first = FirstOf(child, quick)
    after = diary_step("after")
