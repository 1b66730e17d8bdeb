"""The steps of a run as bars along the time: when each began and ended, what failed meanwhile, and the undoing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.utils.translation import gettext

from flowstate.admin import display
from flowstate.admin.diagram.svg import element, joined, shortened
from flowstate.models import Compensation, EventKind, StepStatus
from flowstate.models.clock import host_now

if TYPE_CHECKING:
    from django.utils.safestring import SafeString

    from flowstate.models import Run, RunEvent, StepRun

LABELS, PLOT, RIGHT, LINE, AXIS = 168, 600, 76, 26, 24
"""Pixels: of the names, of the time, of what stands beside the last bar; the height of a line, and of the axis."""
LONGEST_NAME = 20
THINNEST = 3

_STEPS = (
    *(unit * n for unit in (0.001, 0.01, 0.1, 1) for n in (1, 2, 5)),
    *(10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200),
)
_DAY = 86400.0
_TROUBLES = {
    EventKind.ATTEMPT_FAILED: "bad",
    EventKind.LEASE_LOST: "alarm",
    EventKind.COMPENSATION_ATTEMPT_FAILED: "alarm",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """What lies between the left and the right end of the time."""

    start: datetime
    seconds: float

    def x(self, at: datetime) -> int:
        """Return where a moment is; one from before the run, of a step that was taken over, at the left end."""
        part = (at - self.start).total_seconds() / self.seconds
        return LABELS + round(PLOT * min(max(part, 0.0), 1.0))


def ticks(seconds: float, *, most: int = 6) -> list[float]:
    """Return round numbers of seconds from 0 on, at most so many."""
    for step in _STEPS:
        if seconds / step < most:
            return [step * index for index in range(int(seconds / step) + 1)]
    days = int(seconds / (most * _DAY)) + 1
    return [days * _DAY * index for index in range(int(seconds / (days * _DAY)) + 1)]


def run_waterfall(run: Run, now: datetime | None = None) -> SafeString:
    """Return the time line of a run as SVG, the bars of what goes on ending at `now`; empty before any step began."""
    now = now or host_now()
    rows = [row for row in run.steps if row.started_at or row.compensation_started_at]
    if not rows:
        return joined(())
    end = run.ended_at or now
    scale = Scale(start=run.started_at, seconds=max((end - run.started_at).total_seconds(), 0.001))
    events = _by_step(run)
    width, height = LABELS + PLOT + RIGHT, AXIS + LINE * len(rows) + 4
    lines = (_line(row, index, events.get(row.name, ()), scale, end) for index, row in enumerate(rows))
    took = display.run_duration(run)
    return element(
        "svg",
        element("title", gettext("Time line of the run"), id="flowstate-waterfall-title"),
        element(
            "desc", gettext("From start to end: %(took)s.") % {"took": took}, id="flowstate-waterfall-desc"
        ),
        *_axis(scale, height),
        *lines,
        css="flowstate-waterfall",
        role="group",
        aria_labelledby="flowstate-waterfall-title",
        aria_describedby="flowstate-waterfall-desc",
        width=width,
        height=height,
        viewBox=f"0 0 {width} {height}",
    )


def _by_step(run: Run) -> dict[str, list[RunEvent]]:
    found: dict[str, list[RunEvent]] = {}
    for event in run.events.all():
        if event.kind in _TROUBLES:
            found.setdefault(event.step, []).append(event)
    return found


def _axis(scale: Scale, height: int) -> Iterator[SafeString]:
    for seconds in ticks(scale.seconds):
        x = LABELS + round(PLOT * seconds / scale.seconds)
        label = display.duration(seconds) if seconds else "0"
        yield element("path", css="flowstate-tick", d=f"M{x} {AXIS - 6}V{height}")
        yield element("text", label, css="flowstate-state", x=x, y=AXIS - 10, text_anchor="middle")


def _line(row: StepRun, index: int, events: Sequence[RunEvent], scale: Scale, end: datetime) -> SafeString:
    top = AXIS + LINE * index
    bars = [*_bars(row, top, scale, end)]
    took = display.between(row.started_at, row.ended_at) or display.between(row.started_at, end)
    label = ", ".join(_told(row, events, took))
    return element(
        "a",
        element("title", label),  # its name for who hears it, and on hover
        element("rect", css="flowstate-hit", x=0, y=top, width=LABELS + PLOT + RIGHT, height=LINE),
        element(
            "text",
            shortened(row.name, LONGEST_NAME),
            css="flowstate-name",
            x=LABELS - 12,
            y=top + 17,
            text_anchor="end",
        ),
        *bars,
        *(_trouble(event, top, scale) for event in events),
        href=f"#flowstate-step-{row.seq}",
        css="flowstate-node",
    )


def _bars(row: StepRun, top: int, scale: Scale, end: datetime) -> Iterator[SafeString]:
    begins = LABELS + PLOT + RIGHT  # where the undoing does
    if row.compensation_started_at and row.compensation != Compensation.NONE:
        begins, ends = _span(row.compensation_started_at, row.compensation_ended_at or end, scale)
        tone = display.compensation_mark(row).tone
        yield _bar(begins, ends, top + 5, f"flowstate-outline flowstate-undoing flowstate-{tone}")
        yield from _took(row.compensation_started_at, row.compensation_ended_at, ends, top)
    if row.started_at:
        begin, ends = _span(row.started_at, row.ended_at or end, scale)
        waits = " flowstate-waiting" if row.status == StepStatus.WAITING else ""
        yield _bar(begin, ends, top + 5, f"flowstate-outline flowstate-{display.step_mark(row).tone}{waits}")
        if begins - ends >= RIGHT:
            yield from _took(row.started_at, row.ended_at, ends, top)


def _took(start: datetime, end: datetime | None, x: int, top: int) -> Iterator[SafeString]:
    if took := display.between(start, end):
        yield element("text", took, css="flowstate-state", x=x + 6, y=top + 17)


def _span(start: datetime, end: datetime, scale: Scale) -> tuple[int, int]:
    begin = min(scale.x(start), LABELS + PLOT - THINNEST)
    return begin, max(scale.x(end), begin + THINNEST)


def _bar(begin: int, end: int, top: int, css: str) -> SafeString:
    return element("rect", css=css, x=begin, y=top, width=end - begin, height=LINE - 10, rx=2)


def _trouble(event: RunEvent, top: int, scale: Scale) -> SafeString:
    """Return a cross where an attempt failed or its worker was lost."""
    x, y = scale.x(event.at), top + LINE // 2
    return element(
        "path",
        css=f"flowstate-trouble flowstate-{_TROUBLES[EventKind(event.kind)]}",
        d=f"M{x - 4} {y - 4}l8 8m0 -8l-8 8",
    )


def _told(row: StepRun, events: Sequence[RunEvent], took: str) -> Iterator[str]:
    yield row.name
    yield str(row.get_status_display())
    if took:
        yield took
    for event in events:
        yield f"{event.get_kind_display()} {display.moment(event.at)}"
    if row.compensation_started_at and row.compensation != Compensation.NONE:
        yield str(row.get_compensation_display())
