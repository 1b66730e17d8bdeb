"""What diagrams mean, and which mean nothing or two things at once."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

import pytest

from flowstate import DiagramInvalid, Retry
from flowstate.workflows.mermaid import Diagram, Need, Plan, planned, read


def states(*lines: str) -> Plan:
    return planned(read("\n".join(["stateDiagram-v2", *lines])))


def flowchart(*lines: str) -> Plan:
    return planned(read("\n".join(["flowchart TD", *lines])))


def refused(*lines: str) -> str:
    with pytest.raises(DiagramInvalid) as refusal:
        planned(read("\n".join(lines)))
    return str(refusal.value)


CHOICE = ("state c <<choice>>", "[*] --> d", "d --> c")


def test_a_state_waits_for_those_that_lead_to_it() -> None:
    plan = states("[*] --> a", "a --> b", "a --> c", "b --> d", "c --> d", "d --> [*]")

    assert {step.name: [need.step for need in step.needs] for step in plan.steps} == {
        "a": [],
        "b": ["a"],
        "c": ["a"],
        "d": ["b", "c"],
    }


def test_the_state_before_a_choice_chooses_and_the_choice_is_no_step() -> None:
    plan = states(
        *CHOICE, "c --> a: isLight", "c --> b: isHeavy", "c --> [*]: isGone", "a --> [*]", "b --> [*]"
    )

    decide, left, right = plan.steps
    assert (decide.name, decide.choice, decide.options) == ("d", "c", ("isLight", "isHeavy", "isGone"))
    assert left.needs == (Need("d", "isLight"),)
    assert right.needs == (Need("d", "isHeavy"),)
    assert not left.options


def test_several_options_may_lead_to_one_state_and_one_option_to_several() -> None:
    plan = states(*CHOICE, "c --> a: x", "c --> b: x", "c --> b: y", "a --> [*]", "b --> [*]")

    assert plan.steps[1].needs == (Need("d", "x"),)
    assert plan.steps[2].needs == (Need("d", "x"), Need("d", "y"))


def test_a_rhombus_of_a_flowchart_is_the_step_that_chooses() -> None:
    plan = flowchart("a --> which{Which?}", "which -->|left| b", "which -->|right| c", "b & c --> d")

    which = plan.steps[1]
    assert (which.name, which.choice, which.options) == ("which", "which", ("left", "right"))
    assert which.needs == (Need("a"),)
    assert plan.steps[2].needs == (Need("which", "left"),)
    assert plan.steps[4].needs == (Need("b"), Need("c"))


def test_steps_come_in_the_order_in_which_they_are_drawn_and_can_be_had_in_one_that_works() -> None:
    plan = flowchart("c --> d", "a --> b --> c")

    assert [step.name for step in plan.steps] == ["c", "d", "a", "b"]
    assert [step.name for step in plan.ordered] == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("attributes", "retry"),
    [
        ("attempts=3", Retry(3)),
        (r"attempts=2\nbackoffMs=500", Retry(2, delay=0.5)),
        ("attempts=2, backoffMs=0", Retry(2, delay=0)),
        ("backoffMs=500", Retry(1, delay=0.5)),
        ("attempts=2 backoffMs=90000", Retry(2, delay=90, max_delay=90)),
        (
            "attempts=4, backoffMs=100, backoff=1.5, maxDelayMs=2500, jitter=no",
            Retry(4, delay=0.1, backoff=1.5, max_delay=2.5, jitter=False),
        ),
    ],
)
def test_the_arrow_from_a_state_to_itself_says_how_it_is_tried_again(attributes: str, retry: Retry) -> None:
    """C1."""
    assert states("[*] --> a", f"a --> a: {attributes}", "a --> [*]").steps[0].retry == retry
    assert flowchart(f'a -->|"{attributes}"| a').steps[0].retry == retry


def test_a_state_that_chooses_may_be_tried_again() -> None:
    plan = states(*CHOICE, "d --> d: attempts=2", "c --> a: x", "c --> [*]: y", "a --> [*]")

    assert plan.steps[0].retry == Retry(2)


def test_a_name_that_has_no_effect_is_remarked() -> None:
    plan = states("[*] --> a", "a --> b: at last", "b --> [*]")

    assert plan.remarks == ("the name 'at last' of the arrow from a to b has no effect: a is no choice.",)


# --- what means nothing ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["flowchart TD"], "the diagram is empty: it needs at least one step."),
        (["stateDiagram-v2", "state c <<choice>>"], "no state leads to the choice c; the one that does picks its option."),
        (["stateDiagram-v2", "[*] --> [*]"], "the beginning leads straight to the end; draw a state between them."),
        (["stateDiagram-v2", "a --> [*]"], "nothing leads to a; draw '[*] --> a' if the diagram begins there."),
        (["stateDiagram-v2", "[*] --> a"], "a leads nowhere; draw 'a --> [*]' if the diagram ends there."),
        (
            ["stateDiagram-v2", "[*] --> a", "a --> b", "[*] --> b", "b --> [*]"],
            "b is where the diagram begins, but it comes after a as well.",
        ),
        (
            ["stateDiagram-v2", "[*] --> a", "a --> b", "a --> [*]", "b --> [*]"],
            "a is where the diagram ends, but it leads to b as well.",
        ),
        (["flowchart TD", "a --> b", "a --> b"], "the arrow from a to b is drawn twice."),
        (
            ["flowchart TD", "a -.-> b"],
            "the arrow from a to b is dotted, as the way back in the diagram of a run; what waits for something is drawn by a solid one.",
        ),
        (["flowchart TD", "a{A}", "a -->|x| b"], "the choice a needs two options or more: arrows of different names that leave it."),
        (["flowchart TD", "a{A}", "a -->|x| b", "a --> c"], "the arrow from the choice a to c has no name, but that is the option it stands for."),
        (["flowchart TD", "a{A}", "a -->|x| a"], "the choice a leads to itself; only what failed is tried again, as in 'attempts=3'."),
    ],
)  # fmt: skip
def test_a_diagram_that_means_nothing_is_refused_with_what_to_draw(lines: list[str], words: str) -> None:
    assert refused(*lines) == words


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["c --> c: attempts=2"], "the choice c leads to itself; only states are tried again."),
        (["c --> a"], "the arrow from the choice d to a has no name, but that is the option it stands for."),
        (["[*] --> c"], "the beginning leads straight to the choice c; draw the state between them that picks its option."),
        (
            ["state e <<choice>>", "c --> e: x"],
            "the choice c leads straight to the choice e; draw the state between them that picks its option.",
        ),
        (["[*] --> a", "a --> c"], "d and a lead to the choice c, but one state picks its option."),
        (["state e <<choice>>", "d --> e"], "d leads to the choices c and e, but a state picks one option."),
        (["d --> a", "c --> a: x", "a --> [*]"], "d leads to the choice c and to a; draw an arrow from c to a for each option that goes there."),
        (["c --> a: x", "a --> [*]"], "the choice c needs two options or more: arrows of different names that leave it."),
    ],
)  # fmt: skip
def test_a_choice_that_cannot_be_made_is_refused(lines: list[str], words: str) -> None:
    ends = [] if any("a --> [*]" in line for line in lines) or "a" not in "".join(lines) else ["a --> [*]"]

    assert refused("stateDiagram-v2", *CHOICE, *lines, *ends) == words


@pytest.mark.parametrize(
    ("lines", "way"),
    [
        (["flowchart TD", "x --> a --> b --> c --> a"], "a --> b --> c --> a"),
        (["stateDiagram-v2", "[*] --> a", "a --> b", "b --> a"], "a --> b --> a"),
        (
            ["stateDiagram-v2", "state c <<choice>>", "[*] --> count", "count --> c", "c --> [*]: zero", "c --> count: more"],
            "c --> count --> c",
        ),
    ],
)  # fmt: skip
def test_arrows_that_go_round_are_refused_with_their_way(lines: list[str], way: str) -> None:
    """C4."""
    assert refused(*lines) == f"the arrows go round: {way}."


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ("", "the arrow from a to itself says nothing; it says how often, as in 'attempts=3'."),
        (
            ": twice",
            "the arrow from a to itself says 'twice'; it says how a is tried again, by attempts, backoffMs, ",
        ),
        (": attempts=2, attempts=3", "the arrow from a to itself says attempts twice."),
        (": attempts=a", "attempts at a is a number, not 'a'."),
        (": attempts=-2", "attempts at a is a number, not '-2'."),
        (": attempts=0", "attempts at a is a whole number from 1, not 0."),
        (": attempts=1.5", "attempts at a is a whole number from 1, not 1.5."),
        (": backoffMs=1e9", "backoffMs at a is a number, not '1e9'."),
        (": backoff=0.5", "backoff at a is a number from 1, not 0.5."),
        (": jitter=maybe", "jitter at a is yes or no, not 'maybe'."),
    ],
)
def test_a_retry_that_cannot_be_is_refused(attributes: str, words: str) -> None:
    assert refused("stateDiagram-v2", "[*] --> a", f"a --> a{attributes}", "a --> [*]").startswith(words)


# --- how long it takes -------------------------------------------------------------------------------


def steps_of(diagram: Diagram) -> int:
    """Return how many functions are called, Python's own too, until it is known what a diagram means."""
    calls = 0

    def count(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        with suppress(DiagramInvalid):
            planned(diagram)
    finally:
        sys.setprofile(before)
    return calls


@pytest.mark.parametrize(
    "shape",
    [
        "a --> a{n}",
        "a{n} --> b",
        "a{n} --> a{m}",
        "a{m} --> a{n}",
        "x{{x}} -->|o{n}| a{n}",
        "a{n} --> a{m}\nend",
    ],
)
def test_ten_times_the_arrows_take_at_most_twelve_times_the_calls(shape: str) -> None:
    """S27."""

    def of(number: int) -> int:
        text = "\n".join(shape.removesuffix("\nend").format(n=n, m=n + 1) for n in range(number))
        round_again = f"\na{number} --> a0" if shape.endswith("end") else ""
        return steps_of(read(f"flowchart TD\n{text}{round_again}"))

    once, tenfold = of(100), of(1000)

    assert once > 300
    assert tenfold <= 12 * once
