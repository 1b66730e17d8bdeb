"""How statuses, values and durations look to a person: words, signs and colours, all of it escaped."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.timezone import localtime
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from flowstate.models import ApprovalStatus, Compensation, RunStatus, StepStatus, WaitingFor
from flowstate.models.clock import host_now
from flowstate.models.progress import settled_of
from flowstate.models.values import masked

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from django.utils.functional import _StrPromise
    from django.utils.safestring import SafeString

    from flowstate.models import Approval, Run, StepRun

LONGEST_VALUE = 20_000
"""Characters of one value that a page shows; the journal keeps all of it."""


class Mark(NamedTuple):
    """How a status is told apart: the tone is a colour, sign and word say the same without it."""

    tone: str
    sign: str
    meaning: _StrPromise


_RUN: dict[str, Mark] = {
    RunStatus.RUNNING: Mark("busy", "▸", _("Steps are being worked on, or wait for their turn.")),
    RunStatus.COMPENSATING: Mark("undo", "↺", _("What was done is being undone.")),
    RunStatus.ATTENTION: Mark("alarm", "!", _("Undoing failed somewhere: a person must act.")),
    RunStatus.SUCCEEDED: Mark("good", "✓", _("Ended well.")),
    RunStatus.COMPENSATED: Mark("undo", "↺", _("It failed, and what had been done was undone.")),
    RunStatus.FAILED: Mark("bad", "✕", _("It failed, and nothing was undone.")),
    RunStatus.CANCELLED: Mark("quiet", "⊘", _("Cancelled on request, and undone.")),
}
_STEP: dict[str, Mark] = {
    StepStatus.BLOCKED: Mark("quiet", "·", _("Waits for the steps it depends on.")),
    StepStatus.READY: Mark("busy", "▹", _("May be started by a worker.")),
    StepStatus.RUNNING: Mark("busy", "▸", _("A worker is at it.")),
    StepStatus.WAITING: Mark("busy", "…", _("Waits for a person, an event or a time.")),
    StepStatus.DONE: Mark("good", "✓", _("Done.")),
    StepStatus.SKIPPED: Mark("quiet", "»", _("Left out; the reason says why.")),
    StepStatus.FAILED: Mark("bad", "✕", _("Failed for good.")),
    StepStatus.CANCELLED: Mark("quiet", "⊘", _("Never started: the run failed or was cancelled before.")),
    StepStatus.UNKNOWN: Mark("alarm", "?", _("Nobody knows whether its outside effect happened.")),
}
_COMPENSATION: dict[str, Mark] = {
    Compensation.NONE: Mark("quiet", "·", _("There is nothing to undo.")),
    Compensation.PENDING: Mark("quiet", "↺", _("Will be undone if the run fails or is cancelled.")),
    Compensation.RUNNING: Mark("busy", "▸", _("Is being undone.")),
    Compensation.DONE: Mark("undo", "↺", _("Was undone.")),
    Compensation.FAILED: Mark("alarm", "!", _("Could not be undone: a person must act.")),
    Compensation.WAIVED: Mark("quiet", "⊘", _("It stays as it is: a person said so, or the step itself.")),
}

_APPROVAL: dict[str, Mark] = {
    ApprovalStatus.PENDING: Mark("busy", "…", _("People have not decided yet.")),
    ApprovalStatus.APPROVED: Mark("good", "✓", _("Approved, and the run has gone on.")),
    ApprovalStatus.REJECTED: Mark("bad", "✕", _("Rejected, with a reason.")),
    ApprovalStatus.EXPIRED: Mark("quiet", "⊘", _("Nobody has decided in time.")),
    ApprovalStatus.CANCELLED: Mark("quiet", "⊘", _("Nobody needs to decide any more.")),
}

_WAITING: dict[str, Any] = {
    WaitingFor.PERSON: _("Goes on when somebody acts; the run below it, or an approval, says on what."),
    WaitingFor.EVENT: _("Goes on when something outside tells, which nobody here can hurry."),
    WaitingFor.TIME: _("Goes on by itself: a delay ends then, or a step is tried again."),
}


def run_badge(run: Run) -> SafeString:
    """Return the run's status, and beside it what it waits for."""
    badge = _badge(_RUN[run.status], run.get_status_display())
    if not run.waiting_for or run.status == RunStatus.ATTENTION:
        return badge
    waits = gettext("waits for %(what)s") % {"what": WaitingFor(run.waiting_for).label}
    meaning = _WAITING[run.waiting_for]
    return format_html('{} <span class="flowstate-waits" title="{}">{}</span>', badge, meaning, waits)


def step_mark(row: StepRun) -> Mark:
    """Return how the step's status is told apart."""
    return _STEP[row.status]


def compensation_mark(row: StepRun) -> Mark:
    """Return how the status of its undoing is told apart."""
    return _COMPENSATION[row.compensation]


def step_badge(row: StepRun) -> SafeString:
    """Return the step's status."""
    return _badge(_STEP[row.status], row.get_status_display())


def compensation_badge(row: StepRun) -> SafeString:
    """Return where the undoing of the step stands."""
    return _badge(_COMPENSATION[row.compensation], row.get_compensation_display())


def approval_badge(approval: Approval) -> SafeString:
    """Return where a decision stands."""
    return _badge(_APPROVAL[approval.status], approval.get_status_display())


def progress_bar(run: Run) -> SafeString:
    """Return how many of the steps have settled; reads them unless they are prefetched."""
    settled, total = settled_of(run.step_runs.all())
    label = ngettext(
        "%(settled)d of %(total)d step has settled", "%(settled)d of %(total)d steps have settled", total
    ) % {"settled": settled, "total": total}
    return format_html(
        '<span class="flowstate-progress" title="{}">'
        '<progress class="flowstate-{}" max="{}" value="{}" aria-label="{}"></progress> {}/{}</span>',
        label,
        _RUN[run.status].tone,
        total or 1,
        settled,
        label,
        settled,
        total,
    )


def short_id(pk: UUID) -> str:
    """Return the last eight digits: the first ones are the time, and the same for runs of one minute."""
    return pk.hex[-8:]


def moment(at: datetime) -> str:
    """Return a time with its seconds, in the reader's time zone."""
    local = localtime(at)
    return f"{date_format(local, 'SHORT_DATE_FORMAT')} {date_format(local, 'H:i:s')}"


def age(at: datetime) -> SafeString:
    """Return how long ago a moment was; the moment itself on hover."""
    ago = gettext("%(duration)s ago") % {"duration": _largest_unit((host_now() - at).total_seconds())}
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), moment(at), ago)


def attempts(count: int, failures: int, lost: int) -> str:
    """Return how many attempts there were, and how many of them failed or were lost; empty without any."""
    if not count:
        return ""
    told = troubles(failures, lost)
    return f"{count} ({told})" if told else str(count)


def troubles(failures: int, lost: int) -> str:
    """Return how many attempts failed, and how many lost their worker; empty where none did."""
    failed = gettext("%(count)d failed") % {"count": failures} if failures else ""
    vanished = gettext("%(count)d lost") % {"count": lost} if lost else ""
    return ", ".join(filter(None, (failed, vanished)))


def run_duration(run: Run) -> str:
    """Return how long the run took, or has taken so far."""
    if run.duration is not None:
        return duration(run.duration)
    so_far = duration((host_now() - run.started_at).total_seconds())
    return gettext("%(duration)s so far") % {"duration": so_far}


def between(start: datetime | None, end: datetime | None) -> str:
    """Return the time from start to end; empty where one of them is missing."""
    return "" if start is None or end is None else duration((end - start).total_seconds())


def _largest_unit(seconds: float) -> str:
    minutes, hours, days = (int(seconds // unit) for unit in (60, 3600, 86400))
    if days:
        return gettext("%d d") % days
    if hours:
        return gettext("%d h") % hours
    if minutes:
        return gettext("%d min") % minutes
    return gettext("%d s") % max(seconds, 1)


def duration(seconds: float) -> str:
    """Return so many seconds in the two largest units that say something."""
    if seconds < 1:
        return gettext("%d ms") % round(max(seconds, 0) * 1000)
    if seconds < 60:
        return gettext("%.1f s") % seconds
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return gettext("%(days)d d %(hours)d h") % {"days": days, "hours": hours}
    if hours:
        return gettext("%(hours)d h %(minutes)d min") % {"hours": hours, "minutes": minutes}
    return gettext("%(minutes)d min %(seconds)d s") % {"minutes": minutes, "seconds": rest}


def pretty(value: Any) -> str:
    """Return a journaled value as indented text, not escaped, type tags left out, and shortened if huge."""
    text = json.dumps(_without_tags(masked(value)), indent=2, ensure_ascii=False)
    if len(text) <= LONGEST_VALUE:
        return text
    note = gettext("… shortened, %(count)d characters in all") % {"count": len(text)}
    return f"{text[:LONGEST_VALUE]}\n{note}"


def _badge(mark: Mark, word: str) -> SafeString:
    return format_html(
        '<span class="flowstate-badge flowstate-{}" title="{}"><span aria-hidden="true">{}</span> {}</span>',
        mark.tone,
        mark.meaning,
        mark.sign,
        word,
    )


def _without_tags(value: Any) -> Any:
    # Not decoded: that would read rows from the database, which may be gone.
    if isinstance(value, list):
        return [_without_tags(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        [(tag, content)] = value.items()
        if tag == "$object":
            return {key: _without_tags(item) for key, item in content.items()}
        if tag in {"$row", "$enum"}:
            return " ".join(map(str, content))
        if tag.startswith("$"):
            return content
    return {key: _without_tags(item) for key, item in value.items()}
