"""Workflows that wait: found by their path, scripted by the test."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from rest_framework import serializers

from flowstate import Context, DelayStep, EventStep, FirstOf, Retry, Step, UpdateStep, Workflow, step
from tests.kiosk.returns import called
from tests.kiosk.workflows import diary_step

HOUR, DAY = 3600.0, 86400.0

given: list[Callable[[Any], Any]] = []
"""What the functions of waiting steps do next, one per call."""


def scripted(ctx: Any) -> Any:
    return given.pop(0)(ctx)


class Paused(Workflow):
    """Two steps with an hour between them."""

    class Meta:
        exclusive = None

    one = diary_step("one")
    pause = DelayStep(timedelta(hours=1))
    two = diary_step("two")


class Reminder(Workflow):
    """Rows only, and a day between them."""

    class Meta:
        exclusive = None

    begin = UpdateStep(values={"status": "open"})
    wait = DelayStep(timedelta(days=1))
    remind = UpdateStep(values={"status": "reminded"})


class UntilThen(Workflow):
    """Waits for a moment that a step before has found out."""

    class Meta:
        exclusive = None

    @step
    def then(self, ctx: Context[Any]) -> datetime:
        return timezone.now() + timedelta(hours=2)

    pause = DelayStep(lambda ctx: ctx.results["then"])


class Scripted(Workflow):
    """Waits for whatever the test says, tries that again once, and goes on."""

    class Meta:
        exclusive = None

    one = diary_step("one")
    pause = DelayStep(scripted, retry=Retry(max_attempts=2, delay=0))
    two = diary_step("two")


class Conditional(Workflow):
    """Waits only if the test says so."""

    class Meta:
        exclusive = None

    pause = DelayStep(HOUR, when=scripted, default="skipped")
    two = Step("two", lambda ctx: ctx.results["pause"])


class InTime(Workflow):
    """Must end within an hour, but waits for a day."""

    class Meta:
        timeout = timedelta(hours=1)
        exclusive = None

    one = diary_step("one")
    pause = DelayStep(DAY)


class Beside(Workflow):
    """A branch that waits and one that works; both are needed."""

    class Meta:
        exclusive = None

    begin = diary_step("begin")
    pause = DelayStep(HOUR, depends_on=begin)
    work = Step("work", lambda ctx: called(ctx, "work"), depends_on=begin)
    join = diary_step("join", depends_on=[pause, work])


class Twice(Workflow):
    """Two timers at the same time, of which one is longer."""

    class Meta:
        exclusive = None

    short = DelayStep(HOUR, depends_on=())
    long = DelayStep(2 * HOUR, depends_on=())
    join = diary_step("join", depends_on=[short, long])


class KeyInput(serializers.Serializer[Any]):
    key = serializers.CharField(default="k")


class Confirmed(Workflow):
    """Asks, waits for the answer under a key, and goes on with it."""

    input = KeyInput

    class Meta:
        exclusive = None

    ask = diary_step("ask")
    confirmed = EventStep("order.confirmed", key=lambda ctx: ctx.input["key"], timeout=DAY)
    go_on = Step("go_on", lambda ctx: ctx.results["confirmed"])


class Patiently(Workflow):
    """Waits as long as it takes, and does without in the end."""

    class Meta:
        exclusive = None

    first = EventStep("first", key="k")
    second = EventStep("second", key="k", timeout=HOUR, optional=True, default="nobody came")
    last = Step("last", lambda ctx: [ctx.results["first"], ctx.results["second"]], transactional=True)


class Insistent(Workflow):
    """Waits an hour, and an hour again."""

    class Meta:
        exclusive = None

    ask = diary_step("ask")
    answer = EventStep("answer", key=scripted, timeout=HOUR, retry=Retry(max_attempts=2, delay=0))


class ByLink(Workflow):
    """Gives a token away, and waits for whoever has it."""

    class Meta:
        exclusive = None

    @step
    def send(self, ctx: Context[Any]) -> str:
        called(ctx, "send")
        return ctx.event_token("clicked")

    clicked = EventStep("clicked", timeout=DAY)
    last = Step("last", lambda ctx: ctx.results["clicked"])


class Thrice(Workflow):
    """Needs three events of one kind."""

    class Meta:
        exclusive = None

    one = EventStep("part", key="k", depends_on=())
    two = EventStep("part", key="k", depends_on=())
    three = EventStep("part", key="k", depends_on=[one, two])


class Retold(Workflow):
    """What its event brought about outside is taken back when it fails."""

    class Meta:
        exclusive = None

    heard = EventStep("heard", key="k", compensate=lambda ctx, payload: called(ctx, f"take back {payload}"))
    fail = Step("fail", lambda ctx: 1 / 0)


class AnswerOrTime(Workflow):
    """Whatever comes first: an answer, or the end of an hour."""

    class Meta:
        exclusive = None

    answer = EventStep("answer", key="k", depends_on=())
    hour = DelayStep(HOUR, depends_on=())
    first = FirstOf(answer, hour)
    last = Step("last", lambda ctx: ctx.results["first"])
