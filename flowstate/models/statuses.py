"""The words for where a run, a step and a compensation stand. Their values never change."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class RunStatus(models.TextChoices):
    """Where a run stands; `running`, `compensating` and `attention` are live, the others are ends."""

    # Steps are being worked on, or wait for a worker, a person, an event or a time.
    RUNNING = "running", _("running")
    # A step failed or somebody cancelled: what was done is being undone.
    COMPENSATING = "compensating", _("undoing")
    # Undoing met an error or a conflict: a person must act.
    ATTENTION = "attention", _("needs attention")
    # Ended well.
    SUCCEEDED = "succeeded", _("succeeded")
    # Failed, and everything that had been done was undone, or waived.
    COMPENSATED = "compensated", _("undone")
    # Failed, and nothing was undone: there was nothing to undo, or rollback is "none".
    FAILED = "failed", _("failed")
    # Cancelled on request, and undone.
    CANCELLED = "cancelled", _("cancelled")


class StepStatus(models.TextChoices):
    """Where a step of a run stands."""

    # Something it depends on has not settled yet.
    BLOCKED = "blocked", _("blocked")
    # May be claimed from `wake_at` on.
    READY = "ready", _("ready")
    # Claimed; `attempt` is the token of the claim and `lease_until` its end.
    RUNNING = "running", _("running")
    # Waits for a person, an event or a time.
    WAITING = "waiting", _("waiting")
    # Its effect and this row are one.
    DONE = "done", _("done")
    # Left out by a condition or a branch; `reason` says which.
    SKIPPED = "skipped", _("skipped")
    # Failed for good.
    FAILED = "failed", _("failed")
    # Never started, because the run failed or was cancelled before.
    CANCELLED = "cancelled", _("cancelled")
    # Nobody knows whether the outside effect happened: it is compensated too.
    UNKNOWN = "unknown", _("unknown")


class Compensation(models.TextChoices):
    """Where the undoing of a step stands."""

    # There is nothing to undo.
    NONE = "none", _("nothing to undo")
    # Will be undone if the run fails or is cancelled.
    PENDING = "pending", _("can be undone")
    # Claimed.
    RUNNING = "running", _("undoing")
    # Undone.
    DONE = "done", _("undone")
    # Tried, and a person must act.
    FAILED = "failed", _("undo failed")
    # It stays as it is: a person decided so, or the step says so for conflicts.
    WAIVED = "waived", _("waived")


class Join(models.TextChoices):
    """How a step begins that waits for several."""

    # When all have settled.
    ALL = "all", _("all")
    # As soon as one of them is done.
    ANY = "any", _("the first that is done")


class ApprovalStatus(models.TextChoices):
    """Where a question to people stands; all but `pending` are for ever."""

    # People may vote.
    PENDING = "pending", _("pending")
    # As many as are needed have approved.
    APPROVED = "approved", _("approved")
    # One has rejected.
    REJECTED = "rejected", _("rejected")
    # It was not decided in time; what becomes of the run then is declared.
    EXPIRED = "expired", _("expired")
    # The run does not need it any more.
    CANCELLED = "cancelled", _("cancelled")


class Ballot(models.TextChoices):
    """What one person said."""

    APPROVE = "approve", _("approved")
    REJECT = "reject", _("rejected")


class WaitingFor(models.TextChoices):
    """What a live run waits for, beside its status."""

    NOTHING = "", _("nothing")
    PERSON = "person", _("a person")
    EVENT = "event", _("an event")
    TIME = "time", _("a time")


CONDITIONS = ("when is false", "unless is true")
"""How the `reason` of a step begins that its own condition left out."""

BRANCH = "branch: "
"""How the `reason` of a step begins that stands on a branch which was not taken."""

LIVE = (RunStatus.RUNNING, RunStatus.COMPENSATING, RunStatus.ATTENTION)
ENDED = (RunStatus.SUCCEEDED, RunStatus.COMPENSATED, RunStatus.FAILED, RunStatus.CANCELLED)
UNSTARTED = (StepStatus.BLOCKED, StepStatus.READY, StepStatus.WAITING)
SETTLED = (
    StepStatus.DONE,
    StepStatus.SKIPPED,
    StepStatus.FAILED,
    StepStatus.CANCELLED,
    StepStatus.UNKNOWN,
)
