"""Diagrams as text: what is drawn, and that no name and no text gets out of its box."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstate import ChoiceStep, CreateStep, Step, Workflow
from flowstate.workflows.mermaid import Diagram, Direction, Edge, Grammar, Node, Shape, shape_of, write
from flowstate.workflows.mermaid.escaping import read_name, read_text, written_name, written_text
from flowstate.workflows.steps import Kind
from tests.unit.workflows.mermaid.diagrams import HOSTILE, names, texts
from tests.unit.workflows.refusals import free, nothing


class Checkout(Workflow):
    """P20."""

    validate = free()
    stock = free(depends_on=validate)
    discounts = free(depends_on=validate)
    tax = free(depends_on=[stock, discounts])
    charge = CreateStep("shop.Payment", values={})
    receipt = free()


def test_a_workflow_is_drawn_with_its_steps_and_what_they_wait_for() -> None:
    """P21."""
    assert Checkout.to_mermaid() == (
        "flowchart TD\n"
        "    validate\n"
        "    stock\n"
        "    discounts\n"
        "    tax\n"
        '    charge[("charge")]\n'
        "    receipt\n"
        "    validate --> stock\n"
        "    validate --> discounts\n"
        "    stock --> tax\n"
        "    discounts --> tax\n"
        "    tax --> charge\n"
        "    charge --> receipt\n"
    )


def test_a_workflow_has_one_node_for_each_step_and_one_arrow_for_each_dependency() -> None:
    """P21."""
    lines = Checkout.to_mermaid().splitlines()[1:]
    drawn = {tuple(line.split(" --> ")) for line in map(str.strip, lines) if "-->" in line}

    assert len(lines) == 12
    assert drawn == {(needed, step.name) for step in Checkout.declaration.steps for needed in step.depends_on}


@pytest.mark.parametrize(
    ("shape", "kinds"),
    [
        (Shape.BOX, {Kind.EXTERNAL, Kind.TRANSACTIONAL}),
        (Shape.CYLINDER, {Kind.CREATE, Kind.UPDATE, Kind.DELETE}),
        (Shape.CHOICE, {Kind.CHOICE}),
        (Shape.CIRCLE, {Kind.FIRST}),
    ],
)
def test_the_shape_of_a_step_tells_its_kind(shape: Shape, kinds: set[Kind]) -> None:
    """What is not told here waits for something, and is a hexagon or the box of a workflow in a workflow."""
    assert {kind for kind in Kind if shape_of(kind) is shape} == kinds


def test_a_name_that_mermaid_would_read_as_something_else_is_written_in_code() -> None:
    flow = Workflow.from_steps("odd", [Step(name, nothing) for name in ("end", "a-b", "naïve", "ende")])

    assert flow.to_mermaid() == (
        "flowchart TD\n"
        '    _0x65_nd["end"]\n'
        '    a_0x2d_b["a#45;b"]\n'
        '    na_0xef_ve["naïve"]\n'
        "    ende\n"
        "    _0x65_nd --> a_0x2d_b\n"
        "    a_0x2d_b --> na_0xef_ve\n"
        "    na_0xef_ve --> ende\n"
    )


def test_the_node_of_a_choice_is_named_like_no_step() -> None:
    decide = ChoiceStep(lambda ctx: "left", options=["left", "right"], name="decide")
    steps = [decide, Step("decide_choice", nothing, depends_on=decide["left"])]

    assert Workflow.from_steps("taken", steps).to_mermaid() == (
        "stateDiagram-v2\n"
        "    decide\n"
        "    state decide_choice_ <<choice>>\n"
        "    decide_choice\n"
        "    [*] --> decide\n"
        "    decide --> decide_choice_\n"
        "    decide_choice_ --> decide_choice : left\n"
        "    decide_choice_ --> [*] : right\n"
        "    decide_choice --> [*]\n"
    )


@pytest.mark.parametrize("shape", Shape)
def test_every_shape_of_a_flowchart_is_drawn_differently(shape: Shape) -> None:
    texts = {write(Diagram(nodes=(Node(name="a", label="b", shape=other),), edges=())) for other in Shape}

    assert len(texts) == len(Shape)
    assert write(Diagram(nodes=(Node(name="a", label="b", shape=shape),), edges=())) in texts


def test_a_flowchart_shows_labels_dots_colours_and_direction() -> None:
    diagram = Diagram(
        direction=Direction.RIGHT,
        nodes=(Node(name="a", label="first\ndone", css="done"), Node(name="b", shape=Shape.CHOICE)),
        edges=(Edge(source="a", target="b", label="yes"), Edge(source="b", target="a", dotted=True)),
    )

    assert write(diagram) == (
        "flowchart LR\n"
        '    a["first<br/>done"]:::done\n'
        '    b{"b"}\n'
        '    a -->|"yes"| b\n'
        "    b -.-> a\n"
        "    classDef done fill:#dcfce7,stroke:#16a34a,color:#14532d\n"
    )


def test_a_state_diagram_shows_title_choices_labels_and_both_ends() -> None:
    diagram = Diagram(
        grammar=Grammar.STATES,
        direction=Direction.RIGHT,
        title='The "way"',
        nodes=(Node(name="a", label="A state"), Node(name="which", shape=Shape.CHOICE), Node(name="b")),
        edges=(
            Edge(source="[*]", target="a"),
            Edge(source="a", target="a", label="attempts=2\nbackoffMs=500"),
            Edge(source="a", target="which"),
            Edge(source="which", target="b", label="left"),
            Edge(source="which", target="[*]", label="out: now"),
        ),
    )

    assert write(diagram) == (
        "---\n"
        'title: "The \\"way\\""\n'
        "---\n"
        "stateDiagram-v2\n"
        "    direction LR\n"
        '    state "A state" as a\n'
        "    state which <<choice>>\n"
        "    b\n"
        "    [*] --> a\n"
        r"    a --> a : attempts=2\nbackoffMs=500"
        "\n"
        "    a --> which\n"
        "    which --> b : left\n"
        "    which --> [*] : out#58; now\n"
    )


# --- nothing gets out of its box ---------------------------------------------------------------------


@given(text=texts)
def test_a_written_text_holds_nothing_that_means_something_to_mermaid(text: str) -> None:
    """S12."""
    bare = re.sub(r"#\d+;|<br/>", "", written_text(text))

    assert all(character.isalnum() or character in " _.,=" for character in bare)
    assert "\n" not in written_text(text)


@given(text=texts)
def test_a_text_is_read_as_it_was_written(text: str) -> None:
    assert read_text(written_text(text)) == text
    assert read_text(written_text(text, newline=r"\n")) == text


@given(name=names, grammar=st.sampled_from(Grammar))
def test_a_written_name_is_one_word_of_ascii_and_read_as_it_was(name: str, grammar: Grammar) -> None:
    """So that two names are never written alike, either."""
    assert re.fullmatch(r"[A-Za-z0-9_]+", written_name(name, grammar))
    assert read_name(written_name(name, grammar)) == name


@pytest.mark.parametrize("name", ["charge", "mark_paid", "SecondTask", "ended", "_private", "a1"])
def test_an_ordinary_name_is_written_as_it_is(name: str) -> None:
    assert [written_name(name, grammar) for grammar in Grammar] == [name, name]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("grammar", Grammar)
def test_a_hostile_text_adds_no_line_and_no_statement(grammar: Grammar, text: str) -> None:
    """S12: the text differs from that of a harmless label in the label alone."""

    def drawn(label: str) -> str:
        nodes = (Node(name="a", label=label), Node(name="b"))
        return write(
            Diagram(grammar=grammar, nodes=nodes, edges=(Edge(source="a", target="b", label=label),))
        )

    harmless = drawn("word")
    newline = r"\n" if grammar is Grammar.STATES else "<br/>"
    expected = [
        line.replace("word", written_text(text, newline=newline if "-->" in line else "<br/>"))
        for line in harmless.splitlines()
    ]

    assert drawn(text).splitlines() == expected


def test_a_code_that_stands_for_no_character_stays_as_it_is() -> None:
    assert read_text("#9999999; #nosuch; #12345678901;") == "#9999999; #nosuch; #12345678901;"
    assert read_name("a_0xffffff_b") == "a_0xffffff_b"
