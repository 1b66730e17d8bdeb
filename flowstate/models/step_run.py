"""StepRun: one step in one run."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from flowstate.models.memory import about_to_change
from flowstate.models.statuses import BRANCH, Compensation, Join, StepStatus
from flowstate.models.step_verbs import StepRunQuerySet
from flowstate.models.values import decode

if TYPE_CHECKING:
    from flowstate.models.run import Run


class StepRun(models.Model):
    """One step in one run."""

    run: models.ForeignKey[Run, Run] = models.ForeignKey(
        "flowstate.Run",
        on_delete=models.CASCADE,
        related_name="step_runs",
        db_index=False,  # unique (run, seq) serves it; an index more is an entry more for every UPDATE
        # Written with their run in one transaction and deleted through it; checking that again for every step
        # at COMMIT took a tenth of a queued run's time. `flowstate_fsck` looks for steps without a run.
        db_constraint=False,
    )
    seq = models.IntegerField(_("order"))
    name = models.CharField(_("step"), max_length=100)
    kind = models.CharField(_("kind"), max_length=20)
    depends_on = models.JSONField(_("depends on"), default=list)
    branches = models.JSONField(_("follows"), null=True, blank=True)
    join = models.CharField(_("waits for"), max_length=3, choices=Join, default=Join.ALL)
    optional = models.BooleanField(_("optional"), default=False)
    background = models.BooleanField(_("in the background"), default=False)
    queue = models.CharField(_("queue"), max_length=100, blank=True, default="")
    key = models.CharField(_("idempotency key"), max_length=200)

    status = models.CharField(_("status"), max_length=12, choices=StepStatus, default=StepStatus.BLOCKED)
    reason = models.CharField(_("reason"), max_length=500, blank=True, default="")
    attempt = models.IntegerField(_("fencing token"), default=0)
    failures = models.IntegerField(_("failures"), default=0)
    lost = models.IntegerField(_("lost leases"), default=0)
    uncertain = models.BooleanField(_("effect in doubt"), default=False)
    lease_until = models.DateTimeField(_("claimed until"), null=True, blank=True)
    claimed_by = models.CharField(_("claimed by process"), max_length=64, blank=True, default="")
    missing = models.IntegerField(_("waits for so many"), default=0)
    wake_at = models.DateTimeField(_("due at"), null=True, blank=True)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    result_json = models.JSONField(_("result"), db_column="result", null=True, blank=True)
    data_json = models.JSONField(_("data"), db_column="data", null=True, blank=True)
    error = models.JSONField(_("error"), null=True, blank=True)
    undo = models.JSONField(_("undo record"), null=True, blank=True)
    celery_task_id = models.CharField(_("Celery task"), max_length=255, blank=True, default="")

    compensation = models.CharField(
        _("compensation"), max_length=8, choices=Compensation, default=Compensation.NONE
    )
    compensation_attempt = models.IntegerField(_("compensation's token"), default=0)
    compensation_failures = models.IntegerField(_("compensation's failures"), default=0)
    compensation_lost = models.IntegerField(_("compensation's lost leases"), default=0)
    compensation_error = models.JSONField(_("compensation's error"), null=True, blank=True)
    compensation_started_at = models.DateTimeField(_("compensation started"), null=True, blank=True)
    compensation_ended_at = models.DateTimeField(_("compensation ended"), null=True, blank=True)

    child: models.ForeignKey[Run | None, Run | None] = models.ForeignKey(
        "flowstate.Run",
        verbose_name=_("child run"),
        on_delete=models.DO_NOTHING,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    undone_by: models.ForeignKey[Run | None, Run | None] = models.ForeignKey(
        "flowstate.Run",
        verbose_name=_("run that undoes the child"),
        on_delete=models.DO_NOTHING,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )

    objects = StepRunQuerySet.as_manager()

    class Meta:
        verbose_name = _("step run")
        verbose_name_plural = _("step runs")
        constraints = [
            models.UniqueConstraint(fields=["run", "seq"], name="flowstate_steprun_seq"),
            models.CheckConstraint(
                condition=Q(status__in=StepStatus.values), name="flowstate_steprun_status"
            ),
            models.CheckConstraint(
                condition=Q(compensation__in=Compensation.values), name="flowstate_steprun_compensation"
            ),
            models.CheckConstraint(
                condition=Q(lease_until=None)
                | Q(status=StepStatus.RUNNING)
                | Q(compensation=Compensation.RUNNING),
                name="flowstate_steprun_lease",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def reflect(self, **columns: Any) -> None:
        """Take over in memory what a verb has written, or what an insert is about to write."""
        about_to_change(self)
        for name, value in columns.items():
            # As read from the database: the plain word, not the member of the enumeration.
            setattr(self, name, value.value if isinstance(value, models.TextChoices) else value)

    @property
    def is_join(self) -> bool:
        """Whether it waits for more than one step."""
        return len(self.depends_on) > 1

    @property
    def left_out(self) -> bool:
        """Whether it was skipped since it stands on a branch that was not taken."""
        return self.status == StepStatus.SKIPPED and self.reason.startswith(BRANCH)

    @property
    def result(self) -> Any:
        """What the step returned, as the journal holds it; a copy."""
        return decode(self.result_json)

    @property
    def data(self) -> dict[str, Any]:
        """What the step set in the run's data; a copy."""
        return {name: decode(value) for name, value in (self.data_json or {}).items()}

    @property
    def compensation_key(self) -> str:
        """The idempotency key that all attempts of the compensation send."""
        return f"{self.key}:undo"

    @property
    def compensated(self) -> bool:
        """Whether the step was done and then undone."""
        return self.compensation == Compensation.DONE

    @property
    def settled(self) -> bool:
        """Whether nothing will happen to the step any more, but its undoing."""
        return self.status in {"done", "skipped", "failed", "cancelled", "unknown"}

    @property
    def duration(self) -> float | None:
        """Seconds between the last claim and the end; None while it has not ended."""
        return _seconds(self.started_at, self.ended_at)


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else (end - start).total_seconds()
