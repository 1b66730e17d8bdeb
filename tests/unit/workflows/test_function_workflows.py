"""`@workflow`: what it makes of a function, and what it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from django.utils import timezone
from rest_framework import serializers

from flowstate import (
    CreateStep,
    DeclarationInvalid,
    DelayStep,
    DiagramInvalid,
    FunctionContext,
    Retry,
    StepError,
    Workflow,
    WorkflowStep,
    workflow,
)
from flowstate.workflows.context import Call
from flowstate.workflows.function_context import Branch, refuse_wrong_calls


class Refused(StepError):
    pass


class Input(serializers.Serializer[Any]):
    pass


@workflow(input=Input, raises=[Refused], timeout=60, version=2, rollback="none", exclusive=None)
def told(ctx: FunctionContext[Any]) -> None:
    """Says all that there is to say."""


@workflow
def plain(ctx: FunctionContext[Any]) -> None:
    """Says nothing."""


def asking(asked: list[str] | None = None) -> FunctionContext[Any]:
    """Return a context that answers each step with its name, and puts these down."""
    call = Call(run_id="r", workflow="w", version=1, action="", started_at=timezone.now(), total_steps=0)

    def ask(steps: Sequence[Branch[Any]]) -> list[Any]:
        names = [step.declared().name for step in steps]
        if asked is not None:
            asked.extend(names)
        return names

    return FunctionContext(call, None, ask)  # type: ignore[arg-type]  # nobody asks for more


def test_it_makes_a_workflow_that_is_found_by_the_path_of_the_function() -> None:
    assert issubclass(plain, Workflow)
    assert plain.declaration.name == f"{__name__}.plain"
    assert plain.declaration.findable
    assert plain.__doc__ == "Says nothing."
    assert [step.name for step in plain.declaration.steps] == ["function"]


def test_it_takes_what_a_class_says_of_its_input_and_in_meta() -> None:
    meta = told.declaration.meta

    assert told.input is Input
    assert (meta.timeout, meta.version, meta.rollback, meta.exclusive) == (60, 2, "none", None)
    assert told.declaration.by_name["function"].raises == (Refused,)


def test_a_name_of_its_own_is_that_of_the_workflow() -> None:
    @workflow(name="shop.refund")
    def refund(ctx: FunctionContext[Any]) -> None: ...

    assert refund.declaration.name == "shop.refund"


def test_it_may_be_the_workflow_of_a_step() -> None:
    assert WorkflowStep(plain).workflow_name == f"{__name__}.plain"


@pytest.mark.parametrize(
    ("fn", "words"),
    [
        (lambda: None, r"takes \(ctx\), but .* takes \(\)"),
        (lambda ctx, other: None, r"takes \(ctx\), but .* takes \(ctx, other\)"),
        ("no function", "plain function"),
        (Workflow, "plain function"),
    ],
    ids=["nothing", "more", "text", "class"],
)
def test_what_is_no_function_of_a_context_is_refused(fn: Any, words: str) -> None:
    with pytest.raises(DeclarationInvalid, match=words):
        workflow(fn)


def test_an_async_function_and_a_generator_are_refused() -> None:
    async def later(ctx: Any) -> None: ...

    def yielding(ctx: Any) -> Any:
        yield

    with pytest.raises(DeclarationInvalid, match="plain def"):
        workflow(later)
    with pytest.raises(DeclarationInvalid, match="yields"):
        workflow(yielding)


def test_an_option_that_does_not_exist_is_refused() -> None:
    """One transaction around steps that are not known beforehand cannot be had."""
    with pytest.raises(DeclarationInvalid, match="atomic"):
        workflow(atomic=True)  # type: ignore[call-overload]


def test_a_class_cannot_derive_from_a_function() -> None:
    with pytest.raises(DeclarationInvalid, match="which is a function"):
        type("More", (plain,), {})


def test_it_has_no_shape_to_draw() -> None:
    with pytest.raises(DiagramInvalid, match=r"run\.to_mermaid"):
        plain.to_mermaid()


# --- asking ----------------------------------------------------------------------------------------------


def test_steps_are_asked_for_by_name_and_branches_together() -> None:
    ctx = asking()

    assert ctx.step("one", print) == "one"
    assert ctx.parallel(ctx.branch("two", print), ctx.branch("three", print)) == ["two", "three"]
    assert ctx.parallel() == []


def test_a_step_is_what_was_asked_for() -> None:
    step = (
        asking()
        .branch(
            "one", lambda ctx, number: number, 7, compensate=print, retry=Retry(2), timeout=3, queue="slow"
        )
        .declared()
    )

    assert (step.name, step.kind, step.timeout, step.queue) == ("one", "external", 3, "slow")
    assert step.compensable
    assert step.call(None, None) == 7


def test_rows_are_asked_for_by_the_steps_that_write_them() -> None:
    step = asking().branch("one", CreateStep("kiosk.Entry", values={}, optional=True)).declared()

    assert (step.name, step.kind, step.optional, step.derives_inverse) == ("one", "create", True, True)


def test_sleeps_are_numbered_where_they_have_no_name() -> None:
    asked: list[str] = []
    ctx = asking(asked)

    ctx.sleep(1)
    ctx.sleep(2, name="nap")
    ctx.sleep(3)

    assert asked == ["sleep", "nap", "sleep-3"]


@pytest.mark.parametrize(
    ("name", "fn", "options", "words"),
    [
        ("one", None, {}, "then a function"),
        ("one", DelayStep(1), {}, "then a function"),
        ("one", CreateStep("kiosk.Entry", values={}), {"optional": True}, "where it is made"),
        ("one", CreateStep("kiosk.Entry", values={}, name="two"), {}, "no name="),
        ("one", CreateStep("kiosk.Entry", values={}, depends_on=()), {}, "no name="),
        ("not a name", print, {}, "a step's name"),
        ("function", print, {}, "that of the function itself"),
        ("one", print, {"depends_on": "two"}, "depends_on"),
        ("one", print, {"when": True}, "when"),
        ("one", print, {"retry": 3}, "Retry"),
        ("one", print, {"compensate": "undo"}, "compensate"),
    ],
    ids=[
        "none",
        "wait",
        "rows and options",
        "rows named",
        "rows after",
        "name",
        "taken",
        "depends_on",
        "when",
        "retry",
        "compensate",
    ],
)
def test_what_cannot_be_a_step_is_refused(name: str, fn: Any, options: Any, words: str) -> None:
    with pytest.raises(DeclarationInvalid, match=words):
        asking().step(name, fn, **options)


def test_only_branches_go_side_by_side() -> None:
    with pytest.raises(DeclarationInvalid, match="takes branches"):
        asking().parallel(print)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fn", "args", "options"),
    [
        (lambda ctx: None, (1,), {}),
        (lambda ctx, one: None, (), {}),
        (lambda ctx: None, (), {"compensate": lambda ctx: None}),
        (lambda ctx: None, (), {"optional": True, "default": lambda: None}),
    ],
    ids=["too many", "too few", "compensation", "default"],
)
def test_functions_that_could_not_be_called_so_are_refused_before_they_begin(
    fn: Any, args: tuple[Any, ...], options: Any
) -> None:
    with pytest.raises(DeclarationInvalid, match="takes"):
        refuse_wrong_calls(asking().branch("one", fn, *args, **options).declared())
