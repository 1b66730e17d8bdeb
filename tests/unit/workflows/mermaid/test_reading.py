"""Mermaid text as a diagram: what the two grammars can say, and where what they cannot is refused."""

from __future__ import annotations

import pickle
from contextlib import suppress

import pytest
from hypothesis import given

from flowstate import DeclarationInvalid, DiagramInvalid
from flowstate.workflows.mermaid import Diagram, Direction, Edge, Grammar, Node, Shape, read, write
from flowstate.workflows.mermaid.reading import read_source
from flowstate.workflows.mermaid.source import Source
from tests.unit.workflows.mermaid.diagrams import diagrams

GAMGEE = r"""---
title: Parcel
---

stateDiagram-v2
    state by_weight <<choice>>

    direction LR
    [*] --> weigh
    weigh --> by_weight %% whoever weighs decides
    by_weight --> bike: isLight
    by_weight --> van: isHeavy
    %% the van is not always there
    van --> van: attempts=2\nbackoffMs=500
    note right of van: it is slow
    note left of bike
        it is quick --> [*]
    end note
    bike --> [*]
    van-->[*]
"""


def nodes_of(diagram: Diagram) -> list[str]:
    return [node.name for node in diagram.nodes]


def arrows(text: str) -> list[tuple[str, str]]:
    """Return the arrows that the statements of a flowchart draw."""
    return [(edge.source, edge.target) for edge in read(f"flowchart TD\n{text}").edges]


def refused(text: str) -> tuple[int | None, int | None, str]:
    """Return line, column and words of the refusal."""
    with pytest.raises(DiagramInvalid) as refusal:
        read(text)
    return refusal.value.line, refusal.value.column, str(refusal.value.args[0])


# --- state diagrams ----------------------------------------------------------------------------------


def test_a_state_diagram_is_read_with_all_that_gamgee_draws() -> None:
    """C1."""
    assert read(GAMGEE) == Diagram(
        grammar=Grammar.STATES,
        direction=Direction.RIGHT,
        title="Parcel",
        nodes=(
            Node(name="by_weight", shape=Shape.CHOICE),
            Node(name="weigh"),
            Node(name="bike"),
            Node(name="van"),
        ),
        edges=(
            Edge(source="[*]", target="weigh"),
            Edge(source="weigh", target="by_weight"),
            Edge(source="by_weight", target="bike", label="isLight"),
            Edge(source="by_weight", target="van", label="isHeavy"),
            Edge(source="van", target="van", label="attempts=2\nbackoffMs=500"),
            Edge(source="bike", target="[*]"),
            Edge(source="van", target="[*]"),
        ),
    )


def test_lines_may_end_as_on_windows_and_begin_with_a_mark() -> None:
    assert read("\N{BYTE ORDER MARK}" + GAMGEE.replace("\n", "\r\n")) == read(GAMGEE)


@pytest.mark.parametrize(
    ("written", "title"),
    [
        ("Order checkout", "Order checkout"),
        ('"Say \\"when\\": now"', 'Say "when": now'),
        ("'It''s'", "It's"),
        ("", ""),
        ("a: b", "a: b"),
    ],
)
def test_a_title_may_be_quoted(written: str, title: str) -> None:
    assert read(f"---\n\ntitle: {written}\n---\nstateDiagram-v2\na").title == title


@pytest.mark.parametrize(
    "statement", ['state "The first" as a', "a : The first", "state a : The first", "a: The first"]
)
def test_a_state_may_be_described_in_several_ways(statement: str) -> None:
    assert read(f"stateDiagram\n{statement}").nodes == (Node(name="a", label="The first"),)


def test_what_is_there_for_the_eye_alone_is_passed_over() -> None:
    text = """stateDiagram-v2
        accTitle: Parcels
        accDescr: How parcels go
        hide empty description
        classDef done fill:#fff,stroke:#000;
        style a fill:#f00
        note "floating" as N1
        a:::done --> b:::mine
        [*]:::mine --> a
        class b,a done
        """

    diagram = read(text)

    assert diagram.nodes == (Node(name="a", css="done"), Node(name="b", css="done"))
    assert [(edge.source, edge.target) for edge in diagram.edges] == [("a", "b"), ("[*]", "a")]


# --- flowcharts --------------------------------------------------------------------------------------


def test_a_flowchart_is_read_with_nodes_of_every_outline() -> None:
    text = 'graph LR; a[One] --> b("Two"); c([3]); d[[4]]; e[(5)]; f((6)); g{7?}; h{{8}}:::done; i-j'

    diagram = read(text)

    assert diagram.direction is Direction.RIGHT
    assert [(node.name, node.text, node.shape) for node in diagram.nodes] == [
        ("a", "One", Shape.BOX),
        ("b", "Two", Shape.ROUNDED),
        ("c", "3", Shape.STADIUM),
        ("d", "4", Shape.SUBROUTINE),
        ("e", "5", Shape.CYLINDER),
        ("f", "6", Shape.CIRCLE),
        ("g", "7?", Shape.CHOICE),
        ("h", "8", Shape.HEXAGON),
        ("i-j", "i-j", Shape.BOX),
    ]
    assert diagram.nodes[7].css == "done"


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("a-->b-->c", [("a", "b"), ("b", "c")]),
        ("a --> b & c", [("a", "b"), ("a", "c")]),
        ("a & b --> c --> d & e", [("a", "c"), ("b", "c"), ("c", "d"), ("c", "e")]),
        ("a ---> b; c ==> d;", [("a", "b"), ("c", "d")]),
        ("a-b-->c-d", [("a-b", "c-d")]),
        ("%% a --> b\nc --> d", [("c", "d")]),
    ],
)
def test_arrows_may_be_chained_and_shared(text: str, drawn: list[tuple[str, str]]) -> None:
    assert arrows(text) == drawn


@pytest.mark.parametrize(
    "arrow", ["-->|yes, now|", '-->|"yes, now"|', "-- yes, now -->", "== yes, now ==>", '--"yes, now"-->']
)
def test_an_arrow_may_have_its_name_in_several_places(arrow: str) -> None:
    assert read(f"flowchart TD\na {arrow} b").edges == (Edge(source="a", target="b", label="yes, now"),)


@pytest.mark.parametrize("arrow", ["-.->", "-..->", "-. late .->", "-.->|late|"])
def test_an_arrow_may_be_dotted(arrow: str) -> None:
    edge = read(f"flowchart TD\na {arrow} b").edges[0]

    assert edge.dotted
    assert edge.label == ("late" if "late" in arrow else "")


def test_the_style_of_a_flowchart_is_passed_over() -> None:
    text = "flowchart\nclassDef x fill:#f00;\nstyle a fill:#f00\nlinkStyle 0 stroke:#f00\nclass a,b x\n"

    assert read(text).nodes == (Node(name="a", css="x"), Node(name="b", css="x"))


# --- what is refused ---------------------------------------------------------------------------------

STATES = "stateDiagram-v2\n"
FLOWCHART = "flowchart TD\n"


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("", 1, 1, "the text ends before a diagram begins, by stateDiagram-v2, flowchart or graph."),
        ("---\ntitle: x\n---\n", 4, 1, "the text ends before a diagram begins"),
        ("\nsequenceDiagram\n", 2, 16, "not with 'sequenceDiagram'."),
        ("---\ntitle: x\n", 3, 1, "the text ends here"),
        ("---\nconfig: x\n---\n", 2, 7, "in front of a diagram there is a title"),
        ('---\ntitle: "x\n---\n', 2, 10, "no text that YAML could read"),
        ("stateDiagram-v2 LR", 1, 17, "the line ends before"),
        (STATES + "    direction UP", 2, 17, "a direction is TB, TD, BT, LR or RL, not 'UP'."),
        (STATES + "a -> b", 2, 3, "'-> b' cannot stand here; after the state a there is an arrow"),
        (STATES + "a --> ", 2, 7, "the line ends; the name of a state is expected"),
        (STATES + "a --> b c", 2, 9, "'c' cannot stand here; a statement ends with its line."),
        (STATES + "\n\n  [*] a", 4, 7, "after the state [*] there is an arrow"),
        (STATES + "a:::", 2, 5, "the name of a class is expected"),
        (STATES + "class a,b", 2, 10, "the name of a class is expected"),
        (STATES + "state a {", 2, 10, "states in states are not known"),
        (STATES + "state a <<fork>>", 2, 17, "the state a is a fork; there are choices only."),
        (STATES + "state a <<choice", 2, 11, "the kind of the state is not closed by >> on its line."),
        (STATES + 'state "a as b', 2, 8, 'the text of the state is not closed by " on its line.'),
        (STATES + 'state "a" b', 2, 12, "the name of the state is expected"),
        (STATES + "note above a: x", 2, 11, "a note stands right of or left of a state"),
        (STATES + "note left of a x", 2, 16, "after the state a there is the text of the note"),
        (STATES + "note left of a\nx\n", 4, 1, "the text ends here, but something is still open."),
        (STATES + "%%{init: {}}%%", 2, 1, "'%%{init: {}}%%' cannot stand here"),
        (STATES + "--", 2, 1, "'--' cannot stand here"),
        ("flowchart UP", 1, 13, "a flowchart grows to TD, TB, BT, LR or RL, not to UP."),
        (FLOWCHART + "subgraph x", 2, 9, "groups are not known"),
        (FLOWCHART + "a\nend", 3, 4, "end belongs to Mermaid"),
        (FLOWCHART + 'click a "https://x"', 2, 6, "links are not known."),
        (FLOWCHART + "direction LR", 2, 10, "the direction stands in the first line"),
        (FLOWCHART + "a --- b", 2, 6, "the arrow is not closed by --> on its line."),
        (FLOWCHART + "a -.- b", 2, 5, "the arrow is not closed by .-> on its line."),
        (FLOWCHART + "a <--> b", 2, 3, "after a node there is an arrow"),
        (FLOWCHART + "a -->|x b", 2, 7, "the name of the arrow is not closed by | on its line."),
        (FLOWCHART + 'a -->|"x" y| b', 2, 11, "behind its name an arrow goes on with |."),
        (FLOWCHART + "a -->", 2, 6, "the name of a node is expected"),
        (FLOWCHART + "a[x", 2, 3, "the node is not closed by ] on its line."),
        (FLOWCHART + 'a["x]', 2, 4, 'the text is not closed by " on its line.'),
        (FLOWCHART + 'a["x"', 2, 6, "behind its text a node is closed by ]."),
        (FLOWCHART + "a[x(y)]", 2, 8, "the text 'x(y)' holds brackets or quotes"),
        (FLOWCHART + "a>x]", 2, 2, "after a node there is an arrow"),
        (FLOWCHART + "a@{ shape: rect }", 2, 2, "after a node there is an arrow"),
        (FLOWCHART + "a & b --> c & d", 2, 16, "several nodes on both sides of an arrow"),
        (FLOWCHART + "%%{init: {}}%%", 2, 1, "the name of a node is expected"),
    ],
)
def test_what_is_not_known_is_refused_with_line_and_column(
    text: str, line: int, column: int, words: str
) -> None:
    found = refused(text)

    assert found[:2] == (line, column)
    assert words in found[2]


def test_a_refusal_is_a_declaration_error_that_says_where_and_crosses_processes() -> None:
    with pytest.raises(DeclarationInvalid) as refusal:
        read("flowchart TD\n  a --- b")

    again = pickle.loads(pickle.dumps(refusal.value))  # noqa: S301 - our own
    assert str(again).startswith("line 2, column 8: the arrow is not closed")
    assert (again.line, again.column, again.code) == (2, 8, "diagram_invalid")
    assert str(DiagramInvalid("as a whole")) == "as a whole"


# --- both ways ---------------------------------------------------------------------------------------


@given(diagram=diagrams())
def test_a_diagram_is_read_as_it_was_written(diagram: Diagram) -> None:
    """S12: whatever its names and texts hold."""
    assert read(write(diagram)) == diagram


@given(diagram=diagrams())
def test_a_text_that_was_written_is_written_again_as_it_was(diagram: Diagram) -> None:
    text = write(diagram)

    assert write(read(text)) == text


# --- how long it takes -------------------------------------------------------------------------------

REPEATED = {
    "comments": (STATES, "%% %%{ %%\n"),
    "spaces": (STATES, " " * 50 + "a" + "\t" * 50 + "\n"),
    "one long line": (STATES + "a : ", "x --> [*] : <<choice>> #"),
    "a quote that is never closed": (FLOWCHART + 'a["', "x]]-->|(({{&&#34"),
    "a bracket that is never closed": (FLOWCHART + "a[", "([{((-.-==&;"),
    "an arrow that has no head": (FLOWCHART + "a -- ", "- - = . .- <br "),
    "dashes": (FLOWCHART + "a ", "-----"),
    "ampersands": (FLOWCHART + "a", " & a"),
    "a chain": (FLOWCHART + "a", "-->a[#quot;]"),
    "codes": (FLOWCHART + 'a["', "#35#x;#1234567890<br <br/ \\n"),
    "a name": (STATES, "_0x41"),
    "a note that never ends": (STATES + "note left of a\n", "end  note end note x\n"),
    "titles": ("---\n", "title: 'x\n"),
    "semicolons": (FLOWCHART, "a;"),
    "classes": (STATES + "class a", ", a"),
    "states": (STATES, "state a <<choice>>\nb --> c : x\n"),
}


def looks_at(text: str) -> int:
    """Return how many characters are looked at until the text is read or refused."""
    source = Source(text)
    with suppress(DiagramInvalid):
        read_source(source)
    return source.looks


@pytest.mark.parametrize("name", REPEATED)
def test_ten_times_the_hostile_text_takes_at_most_twelve_times_the_looks(name: str) -> None:
    """S27."""
    before, repeated = REPEATED[name]

    once, tenfold = looks_at(before + repeated * 200), looks_at(before + repeated * 2000)

    assert tenfold <= 12 * once
    assert tenfold > len(repeated) * 1000  # it has been read, and not given up at the first line
