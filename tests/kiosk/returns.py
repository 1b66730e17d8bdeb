"""Workflows that tests cancel and retry: found by their path, scripted by the test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flowstate import Context, CreateStep, Retry, Step, UpdateStep, Workflow, step
from tests.kiosk.diary import Diary
from tests.kiosk.models import Sale

diary = Diary()
"""What the steps here really did."""

errors: dict[str, list[BaseException]] = {}
"""What a step or compensation of this name raises next, one per call."""


within: dict[str, list[Callable[[], None]]] = {}
"""What happens within a step of this name, one per call, as if elsewhere at the same time."""


def forget() -> None:
    """Begin anew, for each test."""
    diary.__init__()  # type: ignore[misc]
    errors.clear()
    within.clear()


def called(ctx: Any, name: str) -> None:
    diary.lines.append(name)
    diary.keys.append(ctx.idempotency_key)
    if within.get(name):
        within[name].pop(0)()
    if errors.get(name):
        raise errors[name].pop(0)


class Chain(Workflow):
    """An outside effect, a row, another outside effect without undo, and a last one."""

    class Meta:
        exclusive = None

    @step(unknown_on=[ConnectionError])
    def pay(self, ctx: Context[Sale]) -> str:
        called(ctx, "pay")
        return f"paid under {ctx.idempotency_key}"

    @pay.compensate
    def refund(self, ctx: Context[Sale], payment: str | None) -> None:
        diary.undone_with["pay"] = payment
        called(ctx, "refund")

    book = CreateStep("kiosk.Entry", values={"what": "booked"}, store_as="entry_id")

    @step
    def tell(self, ctx: Context[Sale]) -> None:
        called(ctx, "tell")

    @step
    def last(self, ctx: Context[Sale]) -> int:
        called(ctx, "last")
        entry: int = ctx.get("entry_id")
        return entry


class Keep(Chain):
    """The same, but what was done stays when a step fails."""

    class Meta:
        rollback = "none"


class Waits(Workflow):
    """Does something here and leaves the rest to a worker."""

    mark = UpdateStep(values={"status": "waiting"})

    @step
    def pay(self, ctx: Context[Sale]) -> str:
        called(ctx, "pay")
        return "paid"

    @pay.compensate
    def refund(self, ctx: Context[Sale], payment: str | None) -> None:
        called(ctx, "refund")

    @step(background=True)
    def ship(self, ctx: Context[Sale]) -> None:
        called(ctx, "ship")


class CancelledWithin(Workflow):
    """Its second step is told what to do by the test, such as to cancel the run that it is in."""

    within: list[Any] = []
    one = Step("one", lambda ctx: called(ctx, "one"), lambda ctx, result: called(ctx, "undo one"))

    @step(retry=Retry(3, delay=0))
    def two(self, ctx: Context[Any]) -> str:
        called(ctx, "two")
        if self.within:
            self.within.pop(0)(ctx)
        return "two"

    @two.compensate
    def undo_two(self, ctx: Context[Any], result: str | None) -> None:
        diary.undone_with["two"] = result
        called(ctx, "undo two")

    three = Step("three", lambda ctx: called(ctx, "three"))


class WithinLater(CancelledWithin):
    """The same, but a retry waits."""

    within: list[Any] = []

    @step(retry=Retry(3, delay=30, jitter=False))
    def two(self, ctx: Context[Any]) -> str:
        called(ctx, "two")
        if self.within:
            self.within.pop(0)(ctx)
        return "two"


class Whole(Workflow):
    """Two rows in one transaction, and a step that may fail."""

    class Meta:
        atomic = True

    book = CreateStep("kiosk.Entry", values={"what": "booked"})

    @step(transactional=True)
    def last(self, ctx: Context[Any]) -> None:
        called(ctx, "last")


class WholeOutside(Workflow):
    """A row and an outside effect in one transaction, and a step that may fail."""

    class Meta:
        atomic = True

    book = CreateStep("kiosk.Entry", values={"what": "booked"})

    @step
    def pay(self, ctx: Context[Any]) -> str:
        called(ctx, "pay")
        return f"paid under {ctx.idempotency_key}"

    @pay.compensate
    def refund(self, ctx: Context[Any], payment: str | None) -> None:
        called(ctx, "refund")

    @step(transactional=True)
    def last(self, ctx: Context[Any]) -> None:
        called(ctx, "last")
