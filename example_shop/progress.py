"""Tells a customer in plain words where a run of an order's action stands, step by step."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from flowstate.models import Compensation, Run, RunStatus, StepStatus

if TYPE_CHECKING:
    from flowstate.models import StepRun

# What a step does, and what has become of it once it is undone.
WORDS = {
    "hold": ("Hold the order", "The order is open again"),
    "reserve": ("Reserve the goods", "The goods are back in stock"),
    "review": ("A manager looks at the order", ""),
    "charge": ("Charge the card", "The bank gave the money back"),
    "payment": ("Note the payment", "The payment was struck out"),
    "mark_paid": ("Mark the order paid", "The order is no longer marked paid"),
    "send_receipt": ("Send a receipt", ""),
    "call_off": ("Call the order off", "The order stands as before"),
    "agree": ("Two of our finance people agree", ""),
    "return_goods": ("Put the goods back into stock", "The goods are reserved again"),
    "note_refund": ("Note the refund", "The refund was struck out"),
    "pay_back": ("Give the money back", ""),
    "hand_over": ("Mark the order shipped", "The order is no longer marked shipped"),
    "shipment": ("Hand the parcel over", "The parcel was taken back"),
    "begin_delivery": ("Begin the delivery", ""),
    "tell_customer": ("Tell the customer", ""),
    "parcel": ("See whether the parcel can be followed", ""),
    "arrived": ("The parcel arrives", ""),
    "three_days": ("Three days pass", ""),
    "mark_delivered": ("Mark the order delivered", "The order is no longer marked delivered"),
    "archive": ("Put the order away", "The order is back"),
}
# What is waited for, where "waiting for it" would not say enough.
AWAITED = {
    "review": ("Waits for a manager", "orders over €1,000 are looked at first"),
    "agree": ("Waits for two of our finance people", "they agree to every refund"),
    "arrived": ("Waits for the parcel", "the parcel service says when it has arrived"),
}
TITLES = {
    "checkout": "Payment",
    "cancel_order": "Cancellation",
    "ship": "Shipping",
    "deliver": "Delivery",
    "archive": "Archiving",
}
HEADLINES = {
    RunStatus.RUNNING: "Under way",
    RunStatus.COMPENSATING: "Something went wrong. Undoing what was done.",
    RunStatus.ATTENTION: "This could not be undone completely. Somebody of our staff is looking at it.",
    RunStatus.SUCCEEDED: "Done",
    RunStatus.COMPENSATED: "This did not work, and everything was undone.",
    RunStatus.FAILED: "This did not work. There was nothing to undo.",
    RunStatus.CANCELLED: "Stopped on request, and everything was undone.",
}
# What an error of the workflow itself says to a customer; the others were written for people.
REASONS = {
    "step_failed": "An error on our side. It has been written down.",
    "event_timeout": "What was waited for has not happened in time.",
    "approval_timeout": "Nobody has approved it within a week.",
    "approvers_missing": "There is nobody who could approve it. Please call us.",
}
# A run that nobody works on before that is not worth asking about again and again.
SOON = timedelta(minutes=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLine:
    """One step for people: `state` picks sign and colour, `words` say it, `undone` what became of it."""

    name: str
    title: str
    state: str
    words: str
    undone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One run for people; `live` means that looking again is worth while, `expected` what it waits for."""

    run: Run
    title: str
    headline: str
    reason: str
    live: bool
    tone: str
    percent: int
    expected: set[str]
    lines: list[StepLine]


def progress_of(run: Run) -> Progress:
    """Describe a run that was read with its steps."""
    return Progress(
        run=run,
        title=TITLES.get(run.label, run.label.replace("_", " ").capitalize()),
        headline=_headline(run),
        reason=_why(run.error),
        live=run.status in {RunStatus.RUNNING, RunStatus.COMPENSATING} and _goes_on_soon(run),
        tone=_tone(run),
        percent=run.progress,
        expected={row.name for row in run.steps if row.status == StepStatus.WAITING},
        lines=[_line(row) for row in run.steps],
    )


def _headline(run: Run) -> str:
    """Return where the run stands; what people or parcels are waited for is more than "under way"."""
    awaited = [
        AWAITED[row.name] for row in run.steps if row.status == StepStatus.WAITING and row.name in AWAITED
    ]
    if run.status == RunStatus.RUNNING and awaited:
        return f"{': '.join(awaited[0])}."
    return HEADLINES[RunStatus(run.status)]


def _goes_on_soon(run: Run) -> bool:
    return run.wake_at is not None and run.wake_at < timezone.now() + SOON


def _why(error: dict[str, Any] | None) -> str:
    """Return what an error says if that was meant for people; other errors are for the staff's eyes."""
    if not error:
        return ""
    if error["code"] == "approval_rejected":  # the detail also names who said so, which is not for customers
        return f"It was not approved: {str(error['detail']).partition(': ')[2]}"
    return REASONS.get(error["code"], str(error["detail"]))


def _tone(run: Run) -> str:
    if run.status == RunStatus.SUCCEEDED:
        return "good"
    return "busy" if run.status == RunStatus.RUNNING else "bad"


def _line(row: StepRun) -> StepLine:
    title, undone = WORDS.get(row.name, (row.name.replace("_", " ").capitalize(), ""))
    if row.compensation == Compensation.DONE:
        return StepLine(
            name=row.name, title=title, state="undone", words=_words(row), undone=undone or "Undone"
        )
    if row.compensation == Compensation.RUNNING:
        return StepLine(name=row.name, title=title, state="busy", words=_words(row), undone="Being undone")
    if row.compensation == Compensation.FAILED:
        why = _why(row.compensation_error)
        return StepLine(
            name=row.name, title=title, state="stuck", words=_words(row), undone=f"Could not be undone. {why}"
        )
    return StepLine(name=row.name, title=title, state=_state(row), words=_words(row))


def _state(row: StepRun) -> str:
    return {
        StepStatus.RUNNING: "busy",
        StepStatus.DONE: "done",
        StepStatus.FAILED: "failed",
        StepStatus.UNKNOWN: "failed",
        StepStatus.SKIPPED: "skipped",
        StepStatus.CANCELLED: "skipped",
    }.get(StepStatus(row.status), "waiting")


def _words(row: StepRun) -> str:
    if row.status == StepStatus.RUNNING:
        return f"Trying again, attempt {row.failures + 1}" if row.failures else "Working on it"
    if row.status == StepStatus.READY and row.failures:
        return f"No luck yet, attempt {row.failures + 1} follows"
    if row.status == StepStatus.SKIPPED:
        # A condition says why, "when is false: the order was not paid"; which branch was taken shows by itself.
        why = "" if row.left_out else row.reason.partition(": ")[2]
        return f"Not needed: {why}" if why else "Not needed"
    return {
        StepStatus.DONE: "Was done" if row.compensated else "Done",
        StepStatus.FAILED: "Failed",
        StepStatus.UNKNOWN: "No answer: nobody knows whether it happened",
        StepStatus.CANCELLED: "Not started",
        StepStatus.WAITING: AWAITED.get(row.name, ("Waiting for it", ""))[0],
    }.get(StepStatus(row.status), "Waits for its turn")
