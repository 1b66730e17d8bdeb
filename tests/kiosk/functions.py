"""Workflows that are functions: found by their path, and scripted by the test as those of `returns` are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rest_framework import serializers

from flowstate import (
    Context,
    CreateStep,
    FunctionContext,
    Retry,
    UpdateStep,
    Workflow,
    WorkflowStep,
    has_perm,
    workflow,
)
from tests.kiosk.models import Entry, Sale
from tests.kiosk.returns import called, diary
from tests.kiosk.workflows import diary_step

turns: dict[str, Any] = {}
"""What a function does otherwise than before, by the test's will: as if its code had been changed."""


def do(ctx: Context[Any], name: str, result: Any = None) -> Any:
    """Write a step into the diary, and return what it is told to."""
    called(ctx, name)
    return result


def undo(name: str) -> Callable[[Any, Any], None]:
    """Return a compensation that writes itself into the diary, made anew in each call of a function."""

    def compensate(ctx: Context[Any], result: Any) -> None:
        diary.undone_with[name] = result
        called(ctx, f"undo {name}")

    return compensate


class AmountInput(serializers.Serializer[Any]):
    amount = serializers.IntegerField(min_value=1, default=10)


@workflow(input=AmountInput, exclusive=None)
def buy(ctx: FunctionContext[Sale]) -> Any:
    """Pay, pack and ship, one after the other."""
    diary.lines.append("call")
    payment = ctx.step(
        turns.get("pay", "pay"), do, "pay", {"paid": ctx.input["amount"]}, compensate=undo("pay")
    )
    if "skip" not in turns:
        ctx.step("pack", do, "pack", compensate=None if "without" in turns else undo("pack"))
    if "stop" in turns:
        return None
    return ctx.step("ship", do, "ship", payment["paid"] + 1)


@workflow(exclusive=None)
def insist(ctx: FunctionContext[Any]) -> Any:
    """Try twice, a while apart, something that then must be undone."""
    ctx.step("one", do, "one", compensate=undo("one"))
    return ctx.step(
        turns.get("two", "two"),
        do,
        "two",
        "twice",
        compensate=undo("two"),
        retry=Retry(2, delay=30, jitter=False),
        timeout=7,
        unknown_on=[ConnectionError],
    )


@workflow(exclusive=None)
def spread(ctx: FunctionContext[Any]) -> Any:
    """Do three things side by side, and one after them."""
    before = ctx.step("before", do, "before", 1, compensate=undo("before"))
    found = ctx.parallel(
        *(
            ctx.branch(name, do, name, name.upper(), compensate=undo(name))
            for name in turns.get("branches", ("left", "mid", "right"))
        )
    )
    ctx.step("after", do, "after", compensate=undo("after"))
    return [before, *found]


@workflow(exclusive=None)
def pause(ctx: FunctionContext[Any]) -> str:
    """Sleep for an hour, twice, between two steps."""
    ctx.step("one", do, "one", compensate=undo("one"))
    ctx.sleep(3600)
    ctx.sleep(3600, name="longer")
    ended: str = ctx.step("two", do, "two", "rested")
    return ended


@workflow(exclusive=None)
def mend(ctx: FunctionContext[Any]) -> Any:
    """Do without what fails, by a default that says so."""
    found = ctx.step("try", do, "try", "tried", optional=True, default="failed", compensate=undo("try"))
    if found == "failed":
        return ctx.step("instead", do, "instead", "mended")
    return found


@workflow(exclusive=None)
def hand_over(ctx: FunctionContext[Any]) -> Any:
    """Leave the second step to the workers of another queue."""
    one = ctx.step("one", do, "one", 1)
    two = ctx.step("two", do, "two", one + 1, queue="slow")
    return ctx.step("three", do, "three", two + 1)


@workflow(exclusive=None)
def doubtful(ctx: FunctionContext[Any]) -> Any:
    """Do something outside that nobody knows the outcome of, and that nothing takes back."""
    ctx.step("first", do, "first")
    return ctx.step("doubt", do, "doubt", "certain", unknown_on=[ConnectionError])


def write(ctx: Context[Any], what: str) -> int:
    called(ctx, f"write {what}")
    return int(Entry.objects.create(what=what).pk)


def erase(ctx: Context[Any], pk: int | None) -> None:
    called(ctx, "erase")
    Entry.objects.filter(pk__in=[pk]).delete()


@workflow(exclusive=None)
def book(ctx: FunctionContext[Any]) -> int:
    """Write a row with its journal row, and ship."""
    pk = ctx.step("row", write, "booked", transactional=True, compensate=erase)
    ctx.step("ship", do, "ship")
    return pk


@workflow(exclusive=None, timeout=600)
def in_time(ctx: FunctionContext[Any]) -> None:
    """Must end within ten minutes, but sleeps for an hour."""
    ctx.step("one", do, "one", compensate=undo("one"))
    ctx.sleep(3600)


@workflow(exclusive=None)
def careless(ctx: FunctionContext[Any]) -> Any:
    """Do what the test says between two steps."""
    ctx.step("one", do, "one", compensate=undo("one"))
    turns["between"](ctx)
    return ctx.step("two", do, "two", 2)


class Parent(Workflow):
    """Runs a function as a child, and fails where the test says so."""

    class Meta:
        exclusive = None

    child = WorkflowStep(buy, input={"amount": 5})


class ParentOfSpread(Workflow):
    """Runs a function with branches as a child, and then does one thing more."""

    class Meta:
        exclusive = None

    child = WorkflowStep(spread)
    thank = diary_step("thank")


@workflow(exclusive=None)
def consult(ctx: FunctionContext[Sale]) -> Any:
    """Reserve, ask who has the permission, and go on with what was approved."""
    ctx.step("reserve", do, "reserve", compensate=undo("reserve"))
    review = ctx.approval(
        "review",
        approvers=has_perm("kiosk.change_sale"),
        show=["quantity"],
        expires=3600,
        on_reject=turns.get("on_reject", "fail"),
    )
    if not review["approved"]:
        return "left it"
    return ctx.step("ship", do, f"ship {review['shown']['quantity']}", review["who"])


@workflow(exclusive=None)
def stock_up(ctx: FunctionContext[Sale]) -> Any:
    """Write rows by steps that derive their undo, and by what the test says between them."""
    entry = ctx.step("note", CreateStep("kiosk.Entry", values={"what": "noted"}))
    ctx.step("mark", UpdateStep(values={"status": "packed"}))
    ctx.step("tell", do, "tell", retry=Retry(2, delay=30, jitter=False))
    return entry["pk"]
