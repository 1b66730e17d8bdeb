"""A run as text for a terminal of 80 columns: its head, its steps, and what happened."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from textwrap import wrap
from typing import NamedTuple

from django.utils.timezone import localtime

from flowstate.models import Compensation, Run, RunStatus, StepRun, StepStatus, WaitingFor
from flowstate.models.clock import host_now
from flowstate.models.timeline import TimelineEntry, timeline_of

WIDTH = 80
_NAME, _STATUS = 30, 11


class Line(NamedTuple):
    """One line, and the word by which Django's styles colour it: "SUCCESS", "ERROR", "WARNING", "NOTICE" or ""."""

    text: str
    style: str = ""


_STYLES: dict[str, str] = {
    RunStatus.SUCCEEDED: "SUCCESS",
    RunStatus.FAILED: "ERROR",
    RunStatus.ATTENTION: "ERROR",
    RunStatus.COMPENSATED: "WARNING",
    RunStatus.COMPENSATING: "WARNING",
    StepStatus.DONE: "SUCCESS",
    StepStatus.UNKNOWN: "ERROR",
    StepStatus.WAITING: "NOTICE",
}


def text_of(run: Run) -> Iterator[Line]:
    """Yield the lines of a run whose steps and events have been read."""
    yield from head_of(run)
    yield from steps_of(run)
    yield Line("")
    yield from (line for entry in timeline_of(run) for line in entry_lines(entry, run))


def head_of(run: Run) -> Iterator[Line]:
    """Yield what run this is, where it stands, and what went wrong."""
    yield Line(f"{run.label}  {run.pk}")
    yield Line(f"  {status_of(run)}, {run.progress} % of the steps have settled", _STYLES.get(run.status, ""))
    who = run.requested_by_label or "nobody who is known"
    took = "" if run.duration is None else f", took {seconds(run.duration)}"
    yield Line(f"  asked for by {who} at {moment(run.started_at)}{took}")
    for what, named in (("row", _row(run)), ("retry of", run.retry_of_id), ("child of", run.parent_id)):
        if named:
            yield Line(f"  {what} {named}")
    if run.error:
        at = f"at {run.failed_step}: " if run.failed_step else ""
        yield from _wrapped(f"{at}{run.error.get('code', '')}: {run.error.get('detail', '')}", 2, "ERROR")


def steps_of(run: Run) -> Iterator[Line]:
    """Yield a line for each step, and below it why it was left out, and what went wrong."""
    yield Line("")
    yield Line(f"  {'step':{_NAME}} {'status':{_STATUS}} {'tries':>5} {'time':>8}  undo")
    for row in run.steps:
        yield Line(_step(row), _STYLES.get(row.status, "ERROR" if row.status == StepStatus.FAILED else ""))
        if row.child_id:
            yield Line(f"      child run {row.child_id}")
        if row.reason:
            yield from _wrapped(row.reason, 6, "")
        for error in (row.error, row.compensation_error):
            if error:
                yield from _wrapped(f"{error.get('code', '')}: {error.get('detail', '')}", 6, "ERROR")


def entry_lines(entry: TimelineEntry, run: Run) -> Iterator[Line]:
    """Yield one thing that happened, by the time since the run's start."""
    since = seconds((entry.at - run.started_at).total_seconds())
    attempt = "" if entry.attempt is None else f", try {entry.attempt}"
    who = f", by {entry.who}" if entry.who else ""
    what = entry.what.replace("_", " ")
    first = f"{entry.step}: {what}" if entry.step else what
    yield Line(f"  {'+' + since:>9}  {first}{attempt}{who}"[:WIDTH], _STYLES.get(entry.what, ""))
    if entry.detail:
        yield from _wrapped(entry.detail, 13, "")


def status_of(run: Run) -> str:
    """Return where the run stands, and what it waits for."""
    if not run.waiting_for or run.status == RunStatus.ATTENTION:
        return run.status
    return f"{run.status}, waits for {WaitingFor(run.waiting_for).label}"


def seconds(number: float) -> str:
    """Return a time in a form that is short for short and for long ones: "0.05s", "12.3s", "4m 10s", "2d 3h"."""
    if number < 60:
        return f"{number:.2f}s" if number < 10 else f"{number:.1f}s"
    whole = int(number)
    for above, name, below, unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= above:
            return f"{whole // above}{name} {whole % above // below}{unit}"
    return f"{whole}s"


def moment(at: datetime) -> str:
    """Return a time with its seconds, in the time zone of the project."""
    return f"{localtime(at):%Y-%m-%d %H:%M:%S}"


def _step(row: StepRun) -> str:
    took = row.duration
    if took is None and row.status == StepStatus.RUNNING and row.started_at:
        took = (host_now() - row.started_at).total_seconds()
    tries = row.failures + row.lost + (row.status in (StepStatus.DONE, StepStatus.RUNNING))
    undo = "" if row.compensation == Compensation.NONE else row.compensation
    name = row.name if len(row.name) <= _NAME else f"{row.name[: _NAME - 1]}…"
    time = "" if took is None else seconds(took)
    return f"  {name:{_NAME}} {row.status:{_STATUS}} {tries or '':>5} {time:>8}  {undo}".rstrip()


def _row(run: Run) -> str:
    kind = run.content_type
    return "" if kind is None or not run.object_id else f"{kind.app_label}.{kind.model} {run.object_id}"


def _wrapped(text: str, indent: int, style: str) -> Iterator[Line]:
    pad = " " * indent
    for part in text.splitlines():
        for line in wrap(part, WIDTH - indent, break_on_hyphens=False) or [""]:
            yield Line(f"{pad}{line}", style)
