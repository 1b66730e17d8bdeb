"""The ordering rule: a step follows the one above it unless it says otherwise."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstate import Step, Workflow, step
from tests.unit.workflows.refusals import free, nothing, refused


def waits(workflow: type[Workflow]) -> dict[str, tuple[str, ...]]:
    return {step.name: step.depends_on for step in workflow.declaration.steps}


def test_a_step_follows_the_one_above_it() -> None:
    class Flow(Workflow):
        a = free()
        b = free()

        @step
        def c(self, ctx: Any) -> None: ...

    assert waits(Flow) == {"a": (), "b": ("a",), "c": ("b",)}
    assert Flow.declaration.order == ("a", "b", "c")
    assert dict(Flow.declaration.dependents) == {"a": ("b",), "b": ("c",), "c": ()}


def test_depends_on_takes_a_step_a_name_or_a_list_of_them() -> None:
    class Flow(Workflow):
        a = free()
        b = free(depends_on=())
        by_step = free(depends_on=a)
        by_name = free(depends_on="b")
        both = free(depends_on=["b", a])
        every = free(depends_on={by_name, "both", by_step})

    assert waits(Flow) == {
        "a": (),
        "b": (),
        "by_step": ("a",),
        "by_name": ("b",),
        "both": ("a", "b"),
        "every": ("by_step", "by_name", "both"),
    }


def test_a_step_may_wait_for_one_below_it() -> None:
    class Flow(Workflow):
        late = free(depends_on="early")
        early = free(depends_on=())
        last = free()

    assert Flow.declaration.order == ("early", "late", "last")
    assert waits(Flow)["last"] == ("early",)


def test_a_compensation_does_not_count_as_above() -> None:
    class Flow(Workflow):
        @step
        def charge(self, ctx: Any) -> None: ...

        @charge.compensate
        def refund(self, ctx: Any, result: Any) -> None: ...

        ship = free()

    assert waits(Flow)["ship"] == ("charge",)


def test_the_same_step_under_two_names_is_two_steps() -> None:
    class Flow(Workflow):
        first = free()
        second = first

    assert waits(Flow) == {"first": (), "second": ("first",)}


def test_a_branch_that_nothing_waits_for_is_a_loose_end() -> None:
    class Flow(Workflow):
        a = free()
        forgotten = free(depends_on=a)
        b = free(depends_on=a)
        last = free()

    assert Flow.declaration.loose_ends == ("forgotten",)


def test_a_circle_is_refused_with_its_path() -> None:
    """P22."""

    def circle() -> None:
        class Flow(Workflow):
            start = free()
            a = free(depends_on=["start", "c"])
            b = free()
            c = free()

    assert refused(circle) == "Flow: these steps wait for each other: a -> c -> b -> a."


def test_two_steps_that_wait_for_each_other_are_refused() -> None:
    """P22."""

    def circle() -> None:
        class Flow(Workflow):
            a = free(depends_on="b")
            b = free(depends_on="a")

    assert refused(circle) == "Flow: these steps wait for each other: a -> b -> a."


def test_an_unknown_name_is_refused_with_who_names_it() -> None:
    """P23."""

    def unknown() -> None:
        class Flow(Workflow):
            a = free(depends_on="ghost")
            b = free()

    assert refused(unknown) == "Flow: depends_on of step 'a' names 'ghost', but the steps are a, b."


def test_a_step_of_another_workflow_is_refused() -> None:
    class Other(Workflow):
        elsewhere = free()

    def foreign() -> None:
        class Flow(Workflow):
            a = free(depends_on=Other.elsewhere)

    assert refused(foreign) == "Flow: depends_on of step 'a': <Step elsewhere> is not in this workflow."


def test_a_step_that_stands_there_twice_must_be_named() -> None:
    def unclear() -> None:
        class Flow(Workflow):
            one = free()
            two = one
            last = free(depends_on=one)

    assert refused(unclear) == (
        "Flow: depends_on of step 'last': <Step of nothing> stands here as one and two: give the name."
    )


def test_a_compensation_cannot_be_waited_for() -> None:
    def compensation() -> None:
        class Flow(Workflow):
            @step
            def charge(self, ctx: Any) -> None: ...

            @charge.compensate
            def refund(self, ctx: Any, result: Any) -> None: ...

            last = free(depends_on="refund")

    assert refused(compensation) == (
        "Flow: depends_on of step 'last' names 'refund', which is a compensation, but the steps are charge, last."
    )


@pytest.mark.parametrize("wrong", [None, 5, True, {"a": 1}])
def test_depends_on_takes_nothing_else(wrong: Any) -> None:
    def wrongly() -> None:
        Workflow.from_steps("flow", [Step("a", nothing), Step("b", nothing, depends_on=wrong)])

    assert refused(wrongly) == (
        "flow: depends_on of step 'b' is a step, a name, an option of a choice, or a list of them (empty to "
        f"start at once), not {wrong!r}."
    )


def test_a_list_may_not_hold_other_things() -> None:
    def wrongly() -> None:
        Workflow.from_steps("flow", [Step("a", nothing), Step("b", nothing, depends_on=["a", 5])])  # type: ignore[list-item]

    assert refused(wrongly) == "flow: depends_on of step 'b' names 5, but the steps are a, b."


def test_naming_a_step_twice_is_refused() -> None:
    def twice() -> None:
        class Flow(Workflow):
            a = free()
            b = free(depends_on=[a, "a"])

    assert refused(twice) == "Flow: depends_on of step 'b' names 'a' twice."


@given(st.lists(st.integers(0, 198), min_size=1, max_size=199))
def test_any_workflow_starts_with_what_waits_for_nothing_and_undoes_it_last(links: list[int]) -> None:
    steps = [Step("s0", nothing)]
    for number, link in enumerate(links, start=1):
        steps.append(Step(f"s{number}", nothing, depends_on=f"s{link % number}"))

    declaration = Workflow.from_steps("flow", steps).declaration

    assert declaration.order == tuple(f"s{number}" for number in range(len(links) + 1))
    assert declaration.loose_ends == tuple(
        name
        for name, followers in declaration.dependents.items()
        if not followers and name != f"s{len(links)}"
    )
