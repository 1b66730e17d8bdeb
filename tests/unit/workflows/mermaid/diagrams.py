"""Random diagrams, and the texts and names that are most likely to break out of them."""

from __future__ import annotations

from hypothesis import strategies as st

from flowstate.workflows.mermaid import TERMINAL, Diagram, Direction, Edge, Grammar, Node, Shape

HOSTILE = [
    'a"]; click a "javascript:alert(1)"',
    '%%{init: {"securityLevel": "loose"}}%%',
    "a\nclick a callback",
    "a\r\n    b --> c",
    "</text><script>alert(1)</script>",
    "]] --> b; style a fill:#f00",
    "#59; #quot; &#34; &lt;br&gt;",
    "end note\nsubgraph x",
    "|b| --> c",
    "\\n <br/> `md` $$x$$",
    " spaces around ",
]

texts = st.text(max_size=30) | st.sampled_from(HOSTILE)
names = st.from_regex(r"(?!__)[^\W\d][\w-]{0,15}", fullmatch=True) | st.sampled_from(
    [
        "end",
        "End",
        "class",
        "_self",
        "graph",
        "a--b",
        "_0x41_",
        "a_0x5f_0x",
        "naïve",
        "x",
        "o",
        "note",
        "state",
    ]
)
css_classes = st.sampled_from(["", "done", "failed", "undo_done", "mine"])


@st.composite
def diagrams(draw: st.DrawFn) -> Diagram:
    """Return any diagram that can be written: all shapes, labels and arrows, cycles too."""
    grammar = draw(st.sampled_from(Grammar))
    shapes = Shape if grammar is Grammar.FLOWCHART else [Shape.BOX, Shape.CHOICE]
    nodes = []
    for name in draw(st.lists(names, min_size=1, max_size=6, unique=True)):
        shape = draw(st.sampled_from(list(shapes)))
        labelled = shape is not Shape.CHOICE or grammar is Grammar.FLOWCHART
        label = draw(texts) if labelled else ""
        label = "" if label == name else label  # that is what stands there anyway
        nodes.append(Node(name=name, label=label, shape=shape, css=draw(css_classes)))
    ends = st.sampled_from([node.name for node in nodes])
    if grammar is Grammar.STATES:
        ends |= st.just(TERMINAL)
    dots = st.booleans() if grammar is Grammar.FLOWCHART else st.just(False)
    arrows = st.builds(Edge, source=ends, target=ends, label=texts, dotted=dots)
    return Diagram(
        grammar=grammar,
        direction=draw(st.sampled_from(Direction)),
        title=draw(texts),
        nodes=tuple(nodes),
        edges=tuple(draw(st.lists(arrows, max_size=8))),
    )
