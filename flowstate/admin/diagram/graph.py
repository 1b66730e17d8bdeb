"""The graph of a run's steps: a box for each, linked to its row in the table, and the way back where it is undone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.translation import gettext, ngettext

from flowstate.admin import display
from flowstate.admin.diagram.layout import Box, Layout, Room, Way, arrange
from flowstate.admin.diagram.shapes import bow, line, outline
from flowstate.admin.diagram.svg import element, joined, shortened
from flowstate.models import StepStatus
from flowstate.models.drawing import drawn_run, undo_of
from flowstate.models.statuses import SETTLED
from flowstate.workflows.mermaid import shape_of

if TYPE_CHECKING:
    from django.utils.safestring import SafeString

    from flowstate.models import Run, StepRun

HEAD, UNDO = 46, 20
"""Height of a box, in pixels, and of what is added below it where the step is undone."""
LONGEST_NAME = 18
"""Characters of a name that fit into a box."""

# How far an arrow has been followed: never will be, not yet, or done.
_NEVER = (StepStatus.SKIPPED, StepStatus.CANCELLED)
ROOM = Room()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drawn:
    """What is drawn: the rows by name, which of them are undone, and where everything is."""

    rows: Mapping[str, StepRun]
    undone: frozenset[str]
    layout: Layout
    page: str
    """Where the steps are that the boxes lead to; empty for the same page."""

    @property
    def boxes(self) -> dict[str, Box]:
        return {box.name: box for box in self.layout.boxes}


def run_graph(run: Run, page: str = "") -> SafeString:
    """Return the steps of a run as SVG, from the rows alone; it says names, statuses and reasons, and no values.

    Its boxes lead to the steps on this page, or on the one whose URL is given.
    """
    rows = {row.name: row for row in run.steps}
    diagram = drawn_run(run)
    nodes = {node.name for node in diagram.nodes}
    undone = frozenset(name for name in rows if undo_of(name) in nodes)
    heights = {name: HEAD + (UNDO if name in undone else 0) for name in rows}
    layout = arrange({name: tuple(row.depends_on) for name, row in rows.items()}, heights, ROOM)
    drawn = _Drawn(rows=rows, undone=undone, layout=layout, page=page)
    names = {undo_of(name): name for name in undone}
    back = [
        (names[edge.source], names[edge.target])
        for edge in diagram.edges
        if edge.dotted and edge.source in names
    ]
    # The bows of the way back leave to the right.
    width = layout.width + (40 if back else 0)
    return element(
        "svg",
        element("title", gettext("Steps of the run"), id="flowstate-graph-title"),
        element("desc", _summary(list(rows.values()), len(undone)), id="flowstate-graph-desc"),
        element(
            "defs", _head("flowstate-head", "flowstate-edge"), _head("flowstate-head-back", "flowstate-back")
        ),
        *(_edge(way, drawn) for way in layout.ways),
        *(_edge_label(way, drawn) for way in layout.ways),
        *(_way_back(before, name, drawn) for before, name in back),
        *(_node(box, drawn) for box in layout.boxes),
        css="flowstate-graph",
        role="group",
        aria_labelledby="flowstate-graph-title",
        aria_describedby="flowstate-graph-desc",
        width=width,
        height=layout.height,
        viewBox=f"0 0 {width} {layout.height}",
    )


def _summary(rows: Sequence[StepRun], undone: int) -> str:
    counts: dict[str, int] = {}
    for row in rows:
        word = str(row.get_status_display())
        counts[word] = counts.get(word, 0) + 1
    told = [f"{count} {word}" for word, count in counts.items()]
    if undone:
        told.append(gettext("%(count)d undone or to be undone") % {"count": undone})
    steps = ngettext("%(count)d step", "%(count)d steps", len(rows)) % {"count": len(rows)}
    return f"{steps}: {', '.join(told)}."


def _head(name: str, css: str) -> SafeString:
    tip = element("path", d="M0 0L8 4L0 8Z")
    return element(
        "marker",
        tip,
        id=name,
        css=css,
        viewBox="0 0 8 8",
        refX=8,
        refY=4,
        markerWidth=7,
        markerHeight=7,
        orient="auto",
    )


# --- arrows --------------------------------------------------------------------------------------


def _edge(way: Way, drawn: _Drawn) -> SafeString:
    return element(
        "path",
        css=f"flowstate-edge flowstate-edge-{_followed(way, drawn)}",
        d=line(way.points),
        marker_end="url(#flowstate-head)",
    )


def _followed(way: Way, drawn: _Drawn) -> str:
    """Return how far the arrow was followed; told by its stroke, not by a colour alone."""
    source, target = drawn.rows[way.source], drawn.rows[way.target]
    if target.status in _NEVER or source.left_out:
        return "never"
    return "done" if source.status in SETTLED else "ahead"


def _edge_label(way: Way, drawn: _Drawn) -> SafeString:
    """Return the options of a choice that the arrow stands for, just above where it ends."""
    options = (drawn.rows[way.target].branches or {}).get(way.source, ())
    if not options:
        return joined(())
    (from_x, _), (x, y) = way.points[-2:]
    text = shortened(", ".join(map(str, options)), LONGEST_NAME)
    # On the side where the arrow does not come from.
    side, anchor = (-8, "end") if from_x > x else (8, "start")
    return element("text", text, css="flowstate-option", x=x + side, y=y - 10, text_anchor=anchor)


def _way_back(before: str, name: str, drawn: _Drawn) -> SafeString:
    boxes = drawn.boxes
    ends = [(box.x + box.width, box.y + box.height - UNDO // 2) for box in (boxes[before], boxes[name])]
    return element("path", css="flowstate-back", d=bow(*ends), marker_end="url(#flowstate-head-back)")


# --- boxes ---------------------------------------------------------------------------------------


def _node(box: Box, drawn: _Drawn) -> SafeString:
    row = drawn.rows[box.name]
    mark = display.step_mark(row)
    label = ", ".join(_told(row, undone=box.name in drawn.undone))
    parts = [
        element("title", label),  # its name for who hears it, and on hover
        _step_box(box, row, undone=box.name in drawn.undone),
        element(
            "text", mark.sign, css="flowstate-sign", x=box.x + 22, y=box.y + HEAD // 2, aria_hidden="true"
        ),
        element(
            "text",
            shortened(row.name, LONGEST_NAME),
            css="flowstate-name",
            x=box.x + 38,
            y=box.y + HEAD // 2 - 2,
        ),
        element("text", _below(row), css="flowstate-state", x=box.x + 38, y=box.y + HEAD // 2 + 14),
    ]
    if box.name in drawn.undone:
        parts.append(_undo_strip(box, row))
    return element(
        "a",
        *parts,
        href=f"{drawn.page}#flowstate-step-{row.seq}",
        css=f"flowstate-node flowstate-is-{row.status}",
    )


def _step_box(box: Box, row: StepRun, *, undone: bool) -> SafeString:
    tone = display.step_mark(row).tone
    head = Box(name=box.name, x=box.x, y=box.y, width=box.width, height=box.height - (UNDO if undone else 0))
    return element("path", css=f"flowstate-outline flowstate-{tone}", d=outline(head, shape_of(row.kind)))


def _undo_strip(box: Box, row: StepRun) -> SafeString:
    mark = display.compensation_mark(row)
    top = box.y + box.height - UNDO
    text = f"{mark.sign} {row.get_compensation_display()}"
    return element(
        "g",
        element(
            "rect",
            x=box.x + 14,
            y=top + 2,
            width=box.width - 14,
            height=UNDO - 2,
            rx=4,
            css="flowstate-outline",
        ),
        element("text", text, css="flowstate-state", x=box.x + 38, y=top + UNDO // 2 + 5),
        css=f"flowstate-strip flowstate-{mark.tone}",
    )


def _below(row: StepRun) -> str:
    parts = [str(row.get_status_display())]
    if row.failures or row.lost:
        tries = ngettext("%(count)d attempt", "%(count)d attempts", row.attempt) % {"count": row.attempt}
        parts.append(tries)
    elif took := display.between(row.started_at, row.ended_at):
        parts.append(took)
    return " · ".join(parts)


def _told(row: StepRun, *, undone: bool) -> Iterator[str]:
    """Yield what the box says, for who hears it; and, on hover, the whole name."""
    yield row.name
    yield _below(row)
    if row.reason:
        yield row.reason
    if row.depends_on:
        yield gettext("after %(steps)s") % {"steps": ", ".join(row.depends_on)}
    if undone:
        yield str(row.get_compensation_display())
