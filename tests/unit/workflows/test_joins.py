"""Joins and races as declared: what they wait for, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from flowstate import ChoiceStep, FirstOf, Step, Workflow, WorkflowBuilder
from tests.unit.workflows.refusals import free, nothing, refused


def a(**options: Any) -> Step[Any]:
    return Step("a", nothing, depends_on=(), **options)


def b(**options: Any) -> Step[Any]:
    return Step("b", nothing, depends_on=(), **options)


class Raced(Workflow):
    one = free()
    other = free(depends_on=())
    fastest = FirstOf(one, "other")
    after = free()


def test_a_race_waits_for_the_first_of_its_steps() -> None:
    fastest = Raced.declaration.by_name["fastest"]

    assert fastest.kind == "first"
    assert fastest.depends_on == ("one", "other")
    assert fastest.join == "any"
    assert not fastest.compensable
    assert not fastest.external
    assert Raced.declaration.by_name["after"].depends_on == ("fastest",)


def test_a_race_in_a_list_has_a_name_and_a_subclass_inherits_it() -> None:
    built = WorkflowBuilder("built").step(a()).step(b()).step(FirstOf("a", "b", name="first")).build()

    class Child(Raced):
        last = free()

    assert built.declaration.by_name["first"].depends_on == ("a", "b")
    assert Child.declaration.by_name["fastest"].join == "any"


def test_a_step_waits_for_all_unless_it_says_any() -> None:
    workflow = Workflow.from_steps(
        "joined", [a(), b(), Step("c", nothing, depends_on=["a", "b"], join="any"), Step("d", nothing)]
    )

    assert [step.join for step in workflow.declaration.steps] == ["all", "all", "any", "all"]


def listed(*steps: Step[Any], **meta: Any) -> Callable[[], Any]:
    return lambda: Workflow.from_steps("flow", steps, **meta)


DECIDE = ChoiceStep(lambda ctx: "x", options=["x", "y"], name="decide", depends_on=())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: Step("c", nothing, join="some"),  # type: ignore[arg-type]
            'Step c: join is "all" or "any", not \'some\'.',
        ),
        (
            lambda: Step("c", nothing, join=["any"]),  # type: ignore[arg-type]
            'Step c: join is "all" or "any", not [\'any\'].',
        ),
        (
            lambda: Step("c", nothing, collect_errors=1),  # type: ignore[arg-type]
            "Step c: collect_errors is True or False, not 1.",
        ),
        (
            listed(a(), Step("c", nothing, join="any")),
            "flow: step 'c' says join='any', but waits for less than two steps.",
        ),
        (
            listed(a(), Step("c", nothing, collect_errors=True)),
            "flow: step 'c' says collect_errors=True, but waits for less than two steps.",
        ),
        (
            listed(a(), b(), Step("c", nothing, depends_on=["a", "b"], collect_errors=True, join="any")),
            (
                "flow: step 'c' cannot collect the errors of all it waits for with join='any', which does not wait for "
                "all."
            ),
        ),
        (
            listed(
                a(),
                b(),
                Step("c", nothing, depends_on=["a", "b"], collect_errors=True),
                Step("d", nothing, depends_on="a"),
            ),
            (
                "flow: 'c' collects the errors of 'a', but 'd' cannot run without it: give it collect_errors=True too, or "
                "make 'a' optional."
            ),
        ),
        (
            lambda: FirstOf(a(), name="f"),
            "FirstOf f takes two steps or more, as FirstOf(ask_one, ask_other), not ",
        ),
        (
            lambda: FirstOf(a(), 3),  # type: ignore[arg-type]
            "FirstOf takes two steps or more, as FirstOf(ask_one, ask_other), not ",
        ),
        (
            lambda: FirstOf("a", "b", name="f", depends_on="c"),  # type: ignore[call-arg]
            "FirstOf f has no option depends_on; there are name, optional, reason, unless, when.",
        ),
        (
            listed(a(), b(), FirstOf("a", "ghost", name="f")),
            "flow: depends_on of step 'f' names 'ghost', but the",
        ),
        (listed(a(), b(), FirstOf("a", "a", name="f")), "flow: depends_on of step 'f' names 'a' twice."),
        (
            listed(a(), b(), FirstOf("a", "b", name="f"), Step("d", nothing, depends_on="a")),
            "flow: 'a' takes part in the race 'f', so nothing else can wait for it, but 'd' does: let it wait for 'f'.",
        ),
        (
            listed(DECIDE, b(), FirstOf("decide[x]", "b", name="f")),
            "flow: the race 'f' is among steps, not among the options of a choice.",
        ),
        (
            listed(DECIDE, b(), FirstOf("decide", "b", name="f")),
            "flow: step 'f' stands below the choice 'decide' and must say which option it follows: ",
        ),
        (
            listed(a(), b(), FirstOf("a", "b", name="f"), atomic=True),
            (
                "flow is atomic, one step after the other, so nothing races in 'f': make the steps optional=True, and "
                "give the later ones a when=."
            ),
        ),
    ],
)
def test_what_cannot_join_is_refused(make: Callable[[], Any], words: str) -> None:
    assert refused(make).startswith(words)


def test_an_optional_step_may_be_waited_for_by_others_beside_the_join_that_collects() -> None:
    workflow = Workflow.from_steps(
        "mixed",
        [
            a(optional=True),
            b(),
            Step("c", nothing, depends_on=["a", "b"], collect_errors=True),
            Step("d", nothing, depends_on="a"),
        ],
    )

    assert workflow.declaration.by_name["c"].collect_errors
