"""Choices as declared: their options, who follows which, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from flowstate import ChoiceStep, Context, Step, Workflow, WorkflowBuilder, step
from flowstate.workflows.choices import Option
from tests.unit.workflows.refusals import free, nothing, refused


def left(ctx: Any) -> str:
    return "left"


class Forked(Workflow):
    decide = ChoiceStep(left, options=["left", "right"])
    one = free(depends_on=decide["left"])
    other = free(depends_on=decide["right"])
    both = free(depends_on=[decide["right"], decide["left"]])
    join = free(depends_on=[one, other])


def test_a_step_says_which_options_of_which_choice_it_follows() -> None:
    by_name = Forked.declaration.by_name

    assert by_name["decide"].kind == "choice"
    assert by_name["one"].branches == {"decide": ("left",)}
    assert by_name["both"].branches == {"decide": ("right", "left")}
    assert by_name["both"].depends_on == ("decide",)
    assert by_name["join"].branches == {}
    assert by_name["join"].depends_on == ("one", "other")


def test_an_option_may_be_named_in_words_where_the_choice_is_not_at_hand() -> None:
    workflow = Workflow.from_steps(
        "named",
        [
            Step("one", nothing, depends_on="decide[left]"),
            ChoiceStep(left, options=("left", "right"), name="decide", depends_on=()),
        ],
    )

    assert workflow.declaration.by_name["one"].branches == {"decide": ("left",)}
    assert workflow.declaration.order == ("decide", "one")


def test_a_choice_may_be_a_method_with_self() -> None:
    class Methodical(Workflow):
        @ChoiceStep(options=["left", "right"])
        def decide(self, ctx: Context[Any]) -> str:
            return "right"

        one = free(depends_on=decide["left"])

    decide = Methodical.declaration.by_name["decide"]
    assert decide.call(Methodical(), None) == "right"
    assert Methodical().decide(None) == "right"


def test_a_builder_takes_choices() -> None:
    decide = ChoiceStep(left, options=["left", "right"], name="decide")

    workflow = WorkflowBuilder("built").step(decide).step("one", nothing, depends_on=decide["left"]).build()

    assert workflow.declaration.by_name["one"].branches == {"decide": ("left",)}


def test_a_subclass_follows_its_parents_choice_and_may_answer_it_anew() -> None:
    class Child(Forked):
        third = free(depends_on=Forked.decide["left"])

        @ChoiceStep(options=["left", "right", "ahead"])
        def decide(self, ctx: Context[Any]) -> str:
            return "ahead"

    by_name = Child.declaration.by_name
    assert by_name["third"].branches == {"decide": ("left",)}
    assert by_name["one"].branches == {"decide": ("left",)}
    assert by_name["decide"].call(Child(), None) == "ahead"


def test_the_answer_and_a_default_are_one_of_the_options() -> None:
    decide = Forked.declaration.by_name["decide"]
    wrong = ChoiceStep(lambda ctx: 7, options=["left", "right"], name="decide", default=lambda ctx: "up")  # type: ignore[arg-type,return-value]

    assert decide.call(None, None) == "left"
    with pytest.raises(
        Exception, match=r"^The choice decide was answered by 7; its options are left, right\.$"
    ):
        wrong.call(None, None)
    with pytest.raises(
        Exception, match=r"^The choice decide has the default 'up'; its options are left, right\.$"
    ):
        wrong.default_value(None)


def test_a_branch_may_end_without_a_check_that_complains_of_it() -> None:
    class Ends(Workflow):
        decide = ChoiceStep(left, options=["left", "right"])
        one = free(depends_on=decide["left"])
        one_more = free()
        other = free(depends_on=decide["right"])

    assert Ends.declaration.loose_ends == ()


def implicit() -> None:
    class Flow(Workflow):
        decide = ChoiceStep(left, options=["left", "right"])
        below = free()


def optionless() -> None:
    class Flow(Workflow):
        decide = ChoiceStep(left, options=["left", "right"])
        below = free(depends_on=[decide])


def in_a_subclass() -> None:
    class Parent(Workflow):
        decide = ChoiceStep(left, options=["left", "right"])

    class Flow(Parent):
        below = free()


@pytest.mark.parametrize("make", [implicit, optionless, in_a_subclass])
def test_the_step_below_a_choice_must_name_an_option(make: Callable[[], Any]) -> None:
    assert refused(make) == (
        "Flow: step 'below' stands below the choice 'decide' and must say which option it follows: "
        "depends_on=decide['left'], or a list of decide['left'] and decide['right'] to follow each."
    )


def with_and_without() -> None:
    class Flow(Workflow):
        decide = ChoiceStep(left, options=["left", "right"])
        below = free(depends_on=[decide, decide["left"]])


def twice() -> None:
    class Flow(Workflow):
        decide = ChoiceStep(left, options=["left", "right"])
        below = free(depends_on=[decide["left"], "decide[left]"])


def no_choice() -> None:
    Workflow.from_steps("Flow", [Step("a", nothing), Step("b", nothing, depends_on="a[left]")])


def unknown_by_name() -> None:
    decide = ChoiceStep(left, options=["left", "right"], name="decide")
    Workflow.from_steps("Flow", [decide, Step("b", nothing, depends_on="decide[up]")])


def narrowed() -> None:
    class Flow(Forked):
        decide = ChoiceStep(left, options=["left", "ahead"])


def no_longer_a_choice() -> None:
    class Flow(Forked):
        @step
        def decide(self, ctx: Any) -> str:
            return "left"


def elsewhere() -> None:
    class Flow(Workflow):
        below = free(depends_on=Forked.decide["left"])


def undecorated() -> None:
    class Flow(Workflow):
        decide = ChoiceStep(options=["left", "right"])


def circular() -> None:
    decide = ChoiceStep(left, options=["left", "right"], name="decide", depends_on="one")
    Workflow.from_steps("Flow", [decide, Step("one", nothing, depends_on=decide["left"])])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            with_and_without,
            (
                "Flow: depends_on of step 'below' names 'decide' with an option and without: "
                "give the options that it follows."
            ),
        ),
        (twice, "Flow: depends_on of step 'below' names 'decide[left]' twice."),
        (no_choice, "Flow: step 'b' follows the option 'left' of 'a', which is no ChoiceStep."),
        (
            unknown_by_name,
            "Flow: step 'b' follows the option 'up' of 'decide', whose options are left, right.",
        ),
        (
            narrowed,
            "Flow: step 'other' follows the option 'right' of 'decide', whose options are left, ahead.",
        ),
        (
            no_longer_a_choice,
            "Flow: step 'one' follows the option 'left' of 'decide', which is no ChoiceStep.",
        ),
        (elsewhere, "Flow: depends_on of step 'below': <ChoiceStep decide> is not in this workflow."),
        (
            undecorated,
            (
                "Flow: the choice 'decide' has no function that returns one of its options: "
                "ChoiceStep(fn, options=[...]), or decorate a method with it."
            ),
        ),
        (circular, "Flow: these steps wait for each other: decide -> one -> decide."),
    ],
)
def test_what_cannot_be_followed_is_refused(make: Callable[[], Any], words: str) -> None:
    assert refused(make) == words


def test_an_option_that_does_not_exist_is_refused_where_it_is_written() -> None:
    assert isinstance(Forked.decide["left"], Option)
    assert refused(lambda: Forked.decide["up"]) == (
        "<ChoiceStep decide> has no option 'up'; its options are left, right."
    )


@pytest.mark.parametrize(
    "options",
    [[], ["left"], ["left", 1], "left", None, ["left", ""], ["left", "a[b]"], ["left", "x" * 101]],
)
def test_options_are_two_names_or_more(options: Any) -> None:
    assert refused(lambda: ChoiceStep(left, options=options, name="decide")) == (
        "ChoiceStep decide: options are two names or more, as ['left', 'right'], each of at most 100 characters "
        f"without brackets, not {options!r}."
    )


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: ChoiceStep(left, options=["left", "left"], name="decide"),
            "ChoiceStep decide: options has 'left' twice.",
        ),
        (
            lambda: ChoiceStep("left", options=["left", "right"], name="decide"),  # type: ignore[arg-type]
            "ChoiceStep decide takes a function (ctx) that returns one of the options, not 'left'.",
        ),
        (
            lambda: ChoiceStep(left, options=["left", "right"], name="decide", default="up"),
            "ChoiceStep decide: default is one of the options left, right, not 'up'.",
        ),
        (
            lambda: ChoiceStep(left, options=["left", "right"])(left),
            "<ChoiceStep of left> decorates a plain method (self, ctx), once, not ",
        ),
    ],
)
def test_a_choice_that_cannot_work_is_refused(make: Callable[[], Any], words: str) -> None:
    assert refused(make).startswith(words)


def test_an_unknown_option_of_the_step_is_refused() -> None:
    message = refused(lambda: ChoiceStep(left, options=["left", "right"], transactional=True))  # type: ignore[call-arg]

    assert message.startswith(
        "ChoiceStep left has no option transactional; there are background, collect_errors, compensate,"
    )
