"""RunEvent: one line of a run's history, for what the rows themselves cannot tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from flowstate.models.clock import host_now

if TYPE_CHECKING:
    from flowstate.models.run import Run


class EventKind(models.TextChoices):
    """What happened."""

    ATTEMPT_FAILED = "attempt_failed", _("attempt failed")
    COMPENSATION_ATTEMPT_FAILED = "compensation_attempt_failed", _("undo attempt failed")
    LEASE_LOST = "lease_lost", _("worker lost")
    CANCEL_REQUESTED = "cancel_requested", _("cancel requested")
    RETRY_REQUESTED = "retry_requested", _("retry requested")
    UNDO_WAIVED = "undo_waived", _("undo waived")
    UNDO_FORCED = "undo_forced", _("undo forced")
    EVENT_RECEIVED = "event_received", _("event received")
    SHAPE_CHANGED = "shape_changed", _("code does not fit the run")
    APPROVAL_REQUESTED = "approval_requested", _("approval requested")
    APPROVAL_VIEWED = "approval_viewed", _("approval viewed")
    APPROVAL_VOTED = "approval_voted", _("voted")
    APPROVAL_REFUSED = "approval_refused", _("decision refused")
    APPROVAL_CHANGED = "approval_changed", _("shown anew, since it had changed")
    APPROVAL_REOPENED = "approval_reopened", _("asked again, since it had changed")
    APPROVAL_REASSIGNED = "approval_reassigned", _("approval reassigned")
    APPROVAL_REMINDED = "approval_reminded", _("people reminded")
    APPROVAL_ESCALATED = "approval_escalated", _("approval escalated")
    APPROVAL_APPROVED = "approval_approved", _("approved")
    APPROVAL_REJECTED = "approval_rejected", _("rejected")
    APPROVAL_EXPIRED = "approval_expired", _("approval expired")
    OUTPUT_FAILED = "output_failed", _("output failed")


class RunEventQuerySet(models.QuerySet["RunEvent"]):
    """History is only ever added to."""

    def record(self, run: Run, kind: EventKind, **columns: Any) -> RunEvent:
        """Add a line in the caller's transaction, the one that makes it true."""
        return self.create(run=run, kind=kind, **{"at": host_now(), **columns})


class RunEvent(models.Model):
    """One line of a run's history."""

    run: models.ForeignKey[Run, Run] = models.ForeignKey(
        "flowstate.Run", on_delete=models.CASCADE, related_name="events"
    )
    at = models.DateTimeField(_("when"))
    kind = models.CharField(_("what"), max_length=40, choices=EventKind)
    step = models.CharField(_("step"), max_length=100, blank=True, default="")
    attempt = models.IntegerField(_("attempt"), null=True, blank=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("who"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        db_constraint=False,  # as with `Run.requested_by`
    )
    actor_label = models.CharField(_("who"), max_length=150, blank=True, default="")
    data = models.JSONField(_("details"), default=dict, blank=True)

    objects = RunEventQuerySet.as_manager()

    class Meta:
        verbose_name = _("run event")
        verbose_name_plural = _("run events")
        constraints = [
            models.CheckConstraint(condition=models.Q(kind__in=EventKind.values), name="flowstate_event_kind")
        ]

    def __str__(self) -> str:
        return self.get_kind_display()
