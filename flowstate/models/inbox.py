"""The inbox: events from outside that were delivered, and the steps that wait for them."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from flowstate.models.clock import DbNow, host_now
from flowstate.models.values import decode

if TYPE_CHECKING:
    from flowstate.models.step_run import StepRun


def topic_of(name: str, key: str) -> str:
    """Return the digest of an event's name and key by which it is found."""
    return digest_of("topic", name, key)


def digest_of(*parts: str) -> str:
    """Return what stands for these texts in a column of fixed width."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


class EventQuerySet(models.QuerySet["Event"]):
    """Filters, and the verbs: one compare-and-set UPDATE each, which returns whether it won."""

    def untaken(self) -> Self:
        """Return the events that nobody has waited for yet, the oldest first."""
        return self.filter(taken_at=None).order_by("pk")

    def on(self, topic: str) -> Self:
        """Return the events under one name and key."""
        return self.filter(topic=topic)

    def fitting(self, wait: EventWait) -> Self:
        """Return the events that the wait is for: under its key, or for its step alone."""
        alone = Q(step_run=wait.pk)
        return self.filter(alone | Q(topic=wait.topic) if wait.topic else alone)

    def due(self) -> Self:
        """Return the events that somebody must look at now, the longest waiting first."""
        return self.filter(wake_at__lte=DbNow()).order_by("wake_at")

    def expired(self) -> Self:
        """Return the events that are over and that no step has yet to be given."""
        return self.filter(expires_at__lte=DbNow(), waits=None)

    def remove_expired(self, limit: int) -> int:
        """Delete up to `limit` events that are over; return how many. Raises RestrictedError for one that was given."""
        over = list(self.due().expired().values_list("pk", flat=True)[:limit])
        return self.filter(pk__in=over).delete()[1].get(self.model._meta.label, 0) if over else 0

    def take(self, pk: int) -> bool:
        """Note that the event goes to those who wait for it now, if it has not gone to others."""
        return self.filter(pk=pk, taken_at=None).update(taken_at=host_now()) == 1

    def rest(self, pk: int) -> bool:
        """Have nobody look at the event before it is over."""
        return self.filter(pk=pk).update(wake_at=models.F("expires_at")) == 1

    def put_off(self, pk: int, *, delay: float) -> bool:
        """Leave an event alone for a while that is over, but that a step has yet to be given."""
        return self.filter(pk=pk).update(wake_at=DbNow(delay)) == 1


class Event(models.Model):
    """One event that came from outside. It is kept after it was taken, so that a second one of its id counts once."""

    name = models.CharField(_("event"), max_length=100)
    key = models.CharField(_("key"), max_length=255, blank=True, default="")
    topic = models.CharField(max_length=64, blank=True, default="")
    step_run: models.ForeignKey[StepRun | None, StepRun | None] = models.ForeignKey(
        "flowstate.StepRun",
        verbose_name=_("step"),
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
    )
    delivery_key = models.CharField(max_length=64, null=True, blank=True, unique=True)
    signature = models.CharField(max_length=64, blank=True, default="")
    payload_json = models.JSONField(_("payload"), db_column="payload", null=True, blank=True)
    once = models.BooleanField(_("for one run only"), default=False)
    received_at = models.DateTimeField(_("received"), default=host_now)
    taken_at = models.DateTimeField(_("taken"), null=True, blank=True)
    expires_at = models.DateTimeField(_("kept until"))
    wake_at = models.DateTimeField(_("looked at next"))

    objects = EventQuerySet.as_manager()

    replayed: bool = False
    """True on the object that a delivery gave back for an id it already knew."""

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        indexes = [
            models.Index(fields=["topic", "taken_at"], name="flowstate_event_topic"),
            models.Index(fields=["wake_at"], name="flowstate_event_wake"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.key}".rstrip()

    @property
    def payload(self) -> Any:
        """What came with the event; a copy."""
        return decode(self.payload_json)


class EventWaitQuerySet(models.QuerySet["EventWait"]):
    """Who waits for which event."""

    def open_for(self, event: Event) -> Self:
        """Return the waits that the event would end, those of the oldest steps first."""
        fitting = Q(topic=event.topic) if event.step_run_id is None else Q(pk=event.step_run_id)
        return self.filter(fitting, event=None).order_by("pk")

    def give(self, event: Event) -> int:
        """Give the event to all of these that have none yet; return how many."""
        return self.filter(event=None).update(event=event)

    def in_run(self, run_id: UUID) -> Self:
        """Return the waits of one run's steps."""
        return self.filter(step_run__run_id=run_id)


class EventWait(models.Model):
    """A step that waits for an event; the row goes when the wait is over, and the token's hash with it."""

    step_run: models.OneToOneField[StepRun, StepRun] = models.OneToOneField(
        "flowstate.StepRun", on_delete=models.CASCADE, primary_key=True, related_name="event_wait"
    )
    topic = models.CharField(max_length=64, blank=True, default="")
    token_hash = models.CharField(max_length=64)
    event: models.ForeignKey[Event | None, Event | None] = models.ForeignKey(
        Event, on_delete=models.RESTRICT, null=True, blank=True, related_name="waits"
    )

    objects = EventWaitQuerySet.as_manager()

    class Meta:
        verbose_name = _("wait for an event")
        verbose_name_plural = _("waits for events")
        indexes = [models.Index(fields=["topic"], name="flowstate_eventwait_topic")]

    def __str__(self) -> str:
        return str(self.pk)
