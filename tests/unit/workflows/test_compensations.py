"""Compensations: how they are attached, found and called."""

from __future__ import annotations

from typing import Any

from flowstate import Retry, Step, UpdateStep, Workflow, step
from tests.unit.workflows.refusals import free, nothing, refused


def give_back(ctx: Any, result: Any) -> None:
    ctx.append(f"gave back {result}")


async def give_back_later(ctx: Any, result: Any) -> None:
    ctx.append(f"gave back {result} later")


def undo(workflow: type[Workflow], name: str) -> list[str]:
    said: list[str] = []
    workflow.declaration.by_name[name].call_compensation(workflow(), said, 5)
    return said


class Flow(Workflow):
    @step
    def charge(self, ctx: Any) -> int:
        return 5

    @charge.compensate(retry=Retry(max_attempts=9, delay=0))
    def refund(self, ctx: Any, result: Any) -> None:
        ctx.append(f"{type(self).__name__} refunds {result}")

    @step
    def book(self, ctx: Any) -> int:
        return 5

    @book.compensate
    async def unbook(self, ctx: Any, result: Any) -> None:
        ctx.append(f"unbooked {result}")

    free = Step(fn=nothing, compensate=give_back)
    later = Step(fn=nothing, compensate=give_back_later)
    last = free_of_any = Step(fn=nothing)


def test_a_method_compensates_the_step_that_decorates_it() -> None:
    assert undo(Flow, "charge") == ["Flow refunds 5"]
    assert Flow.charge.compensation
    assert Flow.charge.compensation.method == "refund"
    assert Flow.charge.compensation.retry == Retry(max_attempts=9, delay=0)


def test_an_async_compensation_is_run_to_its_end() -> None:
    assert undo(Flow, "book") == ["unbooked 5"]
    assert undo(Flow, "later") == ["gave back 5 later"]


def test_a_free_function_compensates_too() -> None:
    assert undo(Flow, "free") == ["gave back 5"]


def test_the_compensation_stays_a_plain_method() -> None:
    said: list[str] = []

    Flow().refund(said, 7)

    assert said == ["Flow refunds 7"]


def test_a_step_without_compensation_is_not_compensable() -> None:
    assert [step.compensable for step in Flow.declaration.steps] == [True, True, True, True, False, False]


def test_compensate_may_name_a_method_of_the_class() -> None:
    class Own(Workflow):
        def refund(self, ctx: Any, result: Any) -> None:
            ctx.append(f"{type(self).__name__} refunds {result}")

        @step(compensate=refund)
        def charge(self, ctx: Any) -> int:
            return 5

    class Child(Own):
        def refund(self, ctx: Any, result: Any) -> None:
            ctx.append("overridden")

    class Other(Workflow):
        pay = Own.charge

    assert undo(Own, "charge") == ["Own refunds 5"]
    assert undo(Other, "pay") == ["Other refunds 5"]
    assert undo(Child, "charge") == ["overridden"]


def test_one_method_may_compensate_two_steps() -> None:
    class Own(Workflow):
        a = free()
        b = free()

        @a.compensate
        @b.compensate
        def undo(self, ctx: Any, result: Any) -> None:
            ctx.append(str(result))

    assert undo(Own, "a") == undo(Own, "b") == ["5"]


def test_rows_may_have_a_compensation_of_their_own() -> None:
    class Own(Workflow):
        derived = UpdateStep(values={"status": "paid"})
        own = UpdateStep(values={"status": "paid"})
        none = UpdateStep(values={"status": "paid"}, compensate=False)

        @own.compensate
        def unpay(self, ctx: Any, result: Any) -> None: ...

    steps = Own.declaration.steps

    assert [step.compensable for step in steps] == [True, True, False]
    assert [step.derives_inverse for step in steps] == [True, False, False]


def test_a_compensation_named_like_its_step_is_refused() -> None:
    def same() -> None:
        class Own(Workflow):
            @step
            def charge(self, ctx: Any) -> None: ...

            @charge.compensate  # type: ignore[no-redef]
            def charge(self, ctx: Any, result: Any) -> None: ...

    assert refused(same) == "Own: the compensation of step 'charge' cannot be named 'charge' too."


def test_a_second_compensation_is_refused() -> None:
    def twice() -> None:
        class Own(Workflow):
            a = free()

            @a.compensate
            def one(self, ctx: Any, result: Any) -> None: ...

            @a.compensate
            def two(self, ctx: Any, result: Any) -> None: ...

    def both_ways() -> None:
        class Own(Workflow):
            a = free(compensate=give_back)

            @a.compensate
            def two(self, ctx: Any, result: Any) -> None: ...

    assert refused(twice) == "Own: step 'a' has two compensations, one and two."
    assert refused(both_ways) == "Own: step 'a' has two compensations, give_back and two."


def test_saying_false_and_compensating_is_refused() -> None:
    def torn() -> None:
        class Own(Workflow):
            a = free(compensate=False)

            @a.compensate
            def undo(self, ctx: Any, result: Any) -> None: ...

    assert refused(torn) == "Own: step 'a' says compensate=False, but 'undo' compensates it."


def test_a_compensation_of_a_step_elsewhere_is_refused() -> None:
    def foreign() -> None:
        class Own(Workflow):
            a = free()

            @Flow.charge.compensate
            def undo(self, ctx: Any, result: Any) -> None: ...

    assert refused(foreign) == (
        "Own: the step that 'undo' compensates: <MethodStep charge> is not in this workflow."
    )


def test_a_compensation_outside_of_a_class_is_refused() -> None:
    fetch = Step("fetch", nothing)

    def lost() -> None:
        @fetch.compensate
        def unfetch(ctx: Any, result: Any) -> None: ...

    assert "is no method, so @compensate of <Step fetch> would be lost" in refused(lost)


def test_a_compensation_must_be_a_plain_method() -> None:
    def static() -> None:
        class Own(Workflow):
            a = free()

            @a.compensate
            @staticmethod
            def undo(ctx: Any, result: Any) -> None: ...

    assert "compensate of <Step of nothing> decorates a plain method (self, ctx, result), not" in refused(
        static
    )


def test_a_compensation_may_not_take_the_name_of_a_hook() -> None:
    def hook() -> None:
        class Own(Workflow):
            a = free()

            @a.compensate
            def output(self, ctx: Any, result: Any) -> None: ...  # type: ignore[override]

    assert refused(hook) == (
        "Own: 'output' belongs to Workflow and cannot be the compensation of <Step of nothing>."
    )


def test_a_compensation_that_is_overwritten_is_refused() -> None:
    def overwritten() -> None:
        class Own(Workflow):
            a = free()

            @a.compensate
            def undo(self, ctx: Any, result: Any) -> None: ...

            def undo(self, ctx: Any, result: Any) -> None: ...  # type: ignore[no-redef]  # noqa: F811 - the mistake

    assert refused(overwritten).startswith("Own: the compensation 'undo' is overwritten further down")


def test_a_free_compensation_of_other_arity_is_refused() -> None:
    def wrong() -> None:
        Workflow.from_steps("flow", [Step("a", nothing, lambda ctx: None)])

    assert refused(wrong) == "flow: step 'a': its compensation takes (ctx, result), but <lambda> takes (ctx)."
