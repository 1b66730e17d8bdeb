"""Abstract steps: a class says which steps there are, a subclass what they do."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import pytest

from flowstate import (
    ChoiceStep,
    Context,
    CreateStep,
    DeclarationInvalid,
    Retry,
    UpdateStep,
    Workflow,
    register_workflow,
    step,
)
from flowstate.workflows.declaration import outline_of
from flowstate.workflows.registry import registered
from tests.unit.workflows.refusals import refused


class Outline(Workflow):
    @ChoiceStep(options=["left", "right"], depends_on=())
    @abstractmethod
    def decide(self, ctx: Context[Any]) -> str: ...

    @step(depends_on=decide["left"], retry=Retry(5, delay=0))
    @abstractmethod
    def one(self, ctx: Context[Any]) -> Any: ...

    @one.compensate
    def undo_one(self, ctx: Context[Any], result: Any) -> None: ...

    @step(depends_on=decide["right"])
    @abstractmethod
    def other(self, ctx: Context[Any]) -> Any: ...


class Filled(Outline):
    def other(self, ctx: Context[Any]) -> str:
        return "the other"

    async def one(self, ctx: Context[Any]) -> str:
        return "one"

    def decide(self, ctx: Context[Any]) -> str:
        return "left"


def test_plain_methods_fill_the_steps_in_the_places_that_the_parent_gives_them() -> None:
    declaration = Filled.declaration

    assert [step.name for step in declaration.steps] == ["decide", "one", "other"]
    assert declaration.by_name["one"].branches == {"decide": ("left",)}
    assert declaration.by_name["one"].retry == Retry(5, delay=0)
    assert declaration.by_name["one"].compensation is not None
    assert declaration.by_name["one"].compensation.method == "undo_one"
    assert [step.call(Filled(), None) for step in declaration.steps] == ["left", "one", "the other"]
    assert vars(Filled)["other"] is declaration.by_name["other"]
    assert declaration.findable


def test_a_step_over_an_abstract_one_has_its_own_options_and_else_those_of_the_abstract_one() -> None:
    class Own(Outline):
        @step(transactional=True, timeout=3)
        def one(self, ctx: Context[Any]) -> str:
            return "mine"

        @step(retry=Retry(2), depends_on="decide[left]")
        def other(self, ctx: Context[Any]) -> None: ...

        def decide(self, ctx: Context[Any]) -> str:
            return "left"

    one, other = Own.declaration.by_name["one"], Own.declaration.by_name["other"]
    assert (one.transactional, one.timeout, one.retry) == (True, 3, Retry(5, delay=0))
    assert one.branches == {"decide": ("left",)}
    assert (other.retry, other.branches) == (Retry(2), {"decide": ("left",)})


def test_rows_may_be_what_an_abstract_step_does() -> None:
    class Rows(Filled):
        other = UpdateStep("shop.Product", where={"pk": 1}, values={"stock": 1})  # type: ignore[assignment]

    class AtOnce(Outline):
        one = UpdateStep("shop.Product", where={"pk": 1}, values={"stock": 1})
        other = CreateStep("shop.Product", values={})

        def decide(self, ctx: Context[Any]) -> str:
            return "left"

    assert Rows.declaration.by_name["other"].branches == {"decide": ("right",)}
    assert AtOnce.declaration.by_name["one"].retry == Retry(5, delay=0)


def test_a_class_that_fills_some_steps_leaves_the_others_to_the_next() -> None:
    class Half(Outline):
        def decide(self, ctx: Context[Any]) -> str:
            return "left"

    class Whole(Half):
        def one(self, ctx: Context[Any]) -> None: ...

        def other(self, ctx: Context[Any]) -> None: ...

    assert outline_of(Half) is not None
    with pytest.raises(
        DeclarationInvalid, match=r"what its steps do \(one, other\), so it cannot run itself"
    ):
        _ = Half.declaration
    assert [step.name for step in Whole.declaration.steps] == ["decide", "one", "other"]


def declaration() -> Any:
    return Outline.declaration


def run() -> Any:
    return Outline.run(user=None)


def register() -> Any:
    return register_workflow(Outline)


@pytest.mark.parametrize("use", [declaration, run, register])
def test_a_class_with_abstract_steps_does_not_run(use: Callable[[], Any]) -> None:
    assert refused(use).endswith(
        "test_abstract_steps.Outline leaves to a subclass what its steps do (decide, one, other), so it cannot run "
        "itself: define these methods in one, as (self, ctx)."
    )


def test_a_class_with_abstract_steps_can_be_drawn() -> None:
    assert Outline.to_mermaid() == Filled.to_mermaid()


class Named(Workflow):
    class Meta:
        name = "shop.abstract_named"

    @step
    @abstractmethod
    def one(self, ctx: Context[Any]) -> None: ...


class Runs(Named):
    class Meta:
        name = "shop.abstract_named"

    def one(self, ctx: Context[Any]) -> None: ...


def test_a_name_in_meta_belongs_to_the_class_that_runs() -> None:
    assert registered("shop.abstract_named") is Runs
    assert Runs.declaration.findable


def other_arity() -> None:
    class Flow(Outline):
        def other(self) -> None: ...  # type: ignore[override]


def no_method() -> None:
    class Flow(Outline):
        other = 7  # type: ignore[assignment]


def filled_twice() -> None:
    class Flow(Filled):
        def other(self, ctx: Context[Any]) -> str:
            return "again"


def no_choice() -> None:
    class Flow(Outline):
        @step
        def decide(self, ctx: Context[Any]) -> str:
            return "left"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (other_arity, "Flow: step 'other' is a method made with @step: it takes (self, ctx), but Flow.other takes (self)."),
        (no_method, "Flow: 'other' is a step of its parent, but here it is 7."),
        (filled_twice, "Flow: 'other' is a step of its parent, but here it is <function Flow.other"),
        (no_choice, "follows the option 'left' of 'decide', which is no ChoiceStep."),
    ],
)  # fmt: skip
def test_what_does_not_fit_an_abstract_step_is_refused(make: Callable[[], Any], words: str) -> None:
    assert words in refused(make).replace(f"{make.__qualname__}.<locals>.", "")
