"""Run: one execution of a workflow, and what people ask it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

from asgiref.sync import sync_to_async

from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from flowstate import verbs
from flowstate.models.clock import host_now
from flowstate.models.drawing import drawn_run
from flowstate.models.identifiers import new_run_id
from flowstate.models.memory import about_to_change
from flowstate.models.outcome import error_of
from flowstate.models.progress import settled_of
from flowstate.models.run_verbs import RunQuerySet
from flowstate.models.statuses import ENDED, LIVE, Compensation, RunStatus, StepStatus, WaitingFor
from flowstate.models.timeline import TimelineEntry, timeline_of
from flowstate.models.undo_preview import StepPreview
from flowstate.models.values import decode
from flowstate.workflows import mermaid

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractUser

    from flowstate.models.step_run import StepRun


class Run(models.Model):
    """One execution of a workflow. The row is the result: look at it, wait for it, cancel it, retry it."""

    id = models.UUIDField(primary_key=True, default=new_run_id, editable=False)
    workflow = models.CharField(_("workflow"), max_length=255)
    version = models.IntegerField(_("version"), default=1)
    action = models.CharField(_("action"), max_length=255, blank=True, default="")
    atomic = models.BooleanField(_("in one transaction"), default=False)

    status = models.CharField(_("status"), max_length=12, choices=RunStatus, default=RunStatus.RUNNING)
    waiting_for = models.CharField(
        _("waiting for"), max_length=8, choices=WaitingFor, blank=True, default=WaitingFor.NOTHING
    )
    # No constraint on what everybody shares: checking it at COMMIT locks that row, and each run would write to
    # the row of its user and of its content type. Django itself still sets these to NULL.
    content_type = models.ForeignKey(
        ContentType,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    object_id = models.CharField(_("row"), max_length=255, blank=True, default="")
    requested_by: models.ForeignKey[AbstractUser | None, AbstractUser | None] = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("requested by"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    requested_by_label = models.CharField(_("requested by"), max_length=150, blank=True, default="")
    by_system = models.BooleanField(_("started by the program itself"), default=False)
    cancelled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("cancelled by"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    cancelled_by_label = models.CharField(_("cancelled by"), max_length=150, blank=True, default="")
    cancelled_at = models.DateTimeField(_("cancelled"), null=True, blank=True)

    input_json = models.JSONField(_("input"), db_column="input", default=dict, blank=True)
    initial_data_json = models.JSONField(_("initial data"), db_column="data", default=dict, blank=True)
    value_json = models.JSONField(_("value"), db_column="value", null=True, blank=True)
    error = models.JSONField(_("error"), null=True, blank=True)
    traceback = models.TextField(_("traceback"), blank=True, default="")
    failed_step = models.CharField(_("failed step"), max_length=100, blank=True, default="")

    started_at = models.DateTimeField(_("started"), default=host_now)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    deadline_at = models.DateTimeField(_("must end by"), null=True, blank=True)
    wake_at = models.DateTimeField(_("looked at next"), null=True, blank=True)

    # NULL for "none": several rows may have that, while "" would be unique.
    idempotency_key = models.CharField(max_length=64, null=True, blank=True)  # noqa: DJ001
    input_hash = models.CharField(max_length=64, blank=True, default="")
    exclusive_key = models.CharField(max_length=64, null=True, blank=True)  # noqa: DJ001
    retry_of = models.OneToOneField(
        "self",
        verbose_name=_("retry of"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="retried_by",
    )

    parent: models.ForeignKey[Run | None, Run | None] = models.ForeignKey(
        "self",
        verbose_name=_("child of"),
        on_delete=models.DO_NOTHING,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,  # the parent's step names the child; nobody looks from here but by the key
        db_constraint=False,
    )
    parent_step = models.CharField(_("step of the parent"), max_length=100, blank=True, default="")
    ancestors = models.JSONField(_("runs above"), null=True, blank=True)
    """The keys of the runs above a child, the root first: the order in which they are locked."""
    undo_of: models.ForeignKey[Run | None, Run | None] = models.ForeignKey(
        "self",
        verbose_name=_("undoes"),
        on_delete=models.DO_NOTHING,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )

    objects = RunQuerySet.as_manager()

    replayed: bool = False
    """True on the object that a start gave back for a key it already knew."""

    cause: BaseException | None = None
    """The exception that failed the run, in the process where it was raised."""

    class Meta:
        verbose_name = _("run")
        verbose_name_plural = _("runs")
        permissions = [("operate_run", _("Can cancel, retry, force and waive"))]
        indexes = [
            models.Index(fields=["wake_at"], name="flowstate_run_wake"),
            models.Index(fields=["ended_at"], name="flowstate_run_ended"),
            models.Index(fields=["content_type", "object_id", "id"], name="flowstate_run_entity"),
            models.Index(fields=["requested_by", "id"], name="flowstate_run_requester"),
        ]
        constraints = [
            # Not `unique=True`: that is a second index on PostgreSQL, for LIKE, which nobody asks of a digest.
            models.UniqueConstraint(fields=["idempotency_key"], name="flowstate_run_idempotency"),
            models.UniqueConstraint(fields=["exclusive_key"], name="flowstate_run_exclusive"),
            models.CheckConstraint(condition=Q(status__in=RunStatus.values), name="flowstate_run_status"),
            models.CheckConstraint(
                condition=Q(waiting_for__in=WaitingFor.values), name="flowstate_run_waiting_for"
            ),
            # A live run has a moment at which somebody looks at it; an ended one holds nothing any more.
            models.CheckConstraint(
                condition=Q(status__in=LIVE, ended_at=None, wake_at__isnull=False)
                | Q(status__in=ENDED, ended_at__isnull=False, wake_at=None, exclusive_key=None),
                name="flowstate_run_ends_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.label} {self.pk}"

    # --- what people ask it ----------------------------------------------------------------------

    def reflect(self, **columns: Any) -> None:
        """Take over in memory what a verb has written, or what an insert is about to write."""
        about_to_change(self)
        for name, value in columns.items():
            # As read from the database: the plain word, not the member of the enumeration.
            setattr(self, name, value.value if isinstance(value, models.TextChoices) else value)

    @property
    def label(self) -> str:
        """The action's or the workflow's short name."""
        return (self.action or self.workflow).rpartition(".")[2]

    @property
    def finished(self) -> bool:
        """Whether the run has ended, well or not."""
        return self.status in ENDED

    @property
    def success(self) -> bool:
        """Whether the run has ended well; False while it goes on."""
        return self.status == RunStatus.SUCCEEDED

    @property
    def steps(self) -> list[StepRun]:
        """The steps in their order; from the prefetched rows where there are any."""
        return sorted(self.step_runs.all(), key=lambda row: row.seq)

    @property
    def input(self) -> dict[str, Any]:
        """The validated input; a copy."""
        return {name: decode(value) for name, value in self.input_json.items()}

    @property
    def value(self) -> Any:
        """What the workflow's `output` gave; a copy."""
        return decode(self.value_json)

    @property
    def results(self) -> dict[str, Any]:
        """What each step that is done returned, by name; copies."""
        return {row.name: row.result for row in self.steps if row.status == StepStatus.DONE}

    @property
    def data(self) -> dict[str, Any]:
        """The initial data with what the steps set, the later over the earlier; a copy."""
        merged = {name: decode(value) for name, value in self.initial_data_json.items()}
        for row in self.steps:
            merged.update(row.data)
        return merged

    @property
    def compensated_steps(self) -> list[str]:
        """The names of the steps that were undone, in the order of their undoing."""
        undone = [row for row in self.steps if row.compensated]
        undone.sort(key=lambda row: (row.compensation_ended_at or row.ended_at or self.started_at, -row.seq))
        return [row.name for row in undone]

    @property
    def compensation_errors(self) -> dict[str, dict[str, Any]]:
        """The errors of the compensations that failed, by step."""
        return {
            row.name: row.compensation_error or {}
            for row in self.steps
            if row.compensation == Compensation.FAILED
        }

    @property
    def duration(self) -> float | None:
        """Seconds from start to end; None while the run goes on."""
        return None if self.ended_at is None else (self.ended_at - self.started_at).total_seconds()

    @property
    def progress(self) -> int:
        """Percent of the steps that have settled; 100 only when all have."""
        settled, expected = settled_of(self.step_runs.all())
        return 100 * settled // expected if expected else 100

    @property
    def metadata(self) -> dict[str, Any]:
        """Which run this is, of what, since when."""
        return {
            "run_id": str(self.pk),
            "workflow": self.workflow,
            "action": self.action,
            "version": self.version,
            "started_at": self.started_at,
        }

    @property
    def entity_model(self) -> type[models.Model] | None:
        """The model of the row the run works on; no query, since content types are cached."""
        if self.content_type_id is None:
            return None
        return ContentType.objects.get_for_id(self.content_type_id).model_class()

    @property
    def entity(self) -> models.Model | None:
        """The row the run works on, as it is now; None where there is none or it is gone."""
        model = self.entity_model
        if model is None:
            return None
        return model._base_manager.using(self._state.db).filter(pk=self.object_id).first()

    # --- verbs -------------------------------------------------------------------------------------

    def refresh(self) -> Self:
        """Read the run and its steps again and return it."""
        self._prefetched_objects_cache: dict[str, Any] = {}
        self.refresh_from_db()
        return self

    def wait(self, timeout: float, interval: float = 0.05) -> Self:
        """Return the run once it has ended or needs a person. `timeout` and `interval` are seconds.

        Raises TimeoutError when it still goes on after `timeout`. Looks at the row, holds no transaction.
        """
        end = time.monotonic() + timeout
        while self.refresh().status in {RunStatus.RUNNING, RunStatus.COMPENSATING}:
            if time.monotonic() >= end:
                message = f"Run {self.pk} is still {self.status} after {timeout} seconds."
                raise TimeoutError(message)
            time.sleep(interval)
        return self

    def cancel(self, user: Any, reason: str = "") -> Self:
        """Stop the run and have undone what was done; return it as it is afterwards.

        Raises `RunConflict` when it has ended or is already being undone.
        """
        verbs.cancel(self, user=user, reason=reason)
        return self.refresh()

    def retry(self, user: Any, from_step: str | None = None) -> Run:
        """Go on: the failed compensations of a run in attention, else in a new run that is returned.

        With `from_step`, the new run does that step and all after it again, and takes over only the others. Raises
        `RunConflict` when there is nothing to retry, and when what such a step did stands and could be undone.
        """
        return verbs.retry(self, user=user, from_step=from_step)

    def resume(self, user: Any) -> Self:
        """Let attempts that wait for their moment begin now, have workers look at the run, and return it.

        Raises `RunConflict` for a run that has ended or needs a person.
        """
        verbs.resume(self, user=user)
        return self.refresh()

    def waive(self, user: Any, step: str, reason: str) -> Self:
        """Leave a step as it is whose undoing failed, for this reason; return the run, which ends after the last.

        Raises `RunConflict` when the run is not in attention, or that step's undoing did not fail.
        """
        verbs.waive(self, user=user, step=step, reason=reason)
        return self.refresh()

    def force(self, user: Any, step: str, reason: str = "") -> Self:
        """Undo an entity step that met a conflict, once, over what somebody else wrote; return the run.

        What cannot be overwritten stays a conflict, as a row that is gone or a value that is taken: then the run
        is in attention still. Raises `RunConflict` as `waive` does, and for a step that is no entity step.
        """
        verbs.force(self, user=user, step=step, reason=reason)
        return self.refresh()

    def preview_undo(self) -> list[StepPreview]:
        """Return what undoing the run would do now, step by step in the order of undoing; reads only.

        Of a running run: what cancelling it would undo. In attention: what would be tried again. Otherwise
        what is left to undo, nothing for a run that has ended. Undoing asks again when it is done.
        """
        return verbs.preview_undo(self)

    async def acancel(self, user: Any, reason: str = "") -> Self:
        """Do as `cancel`, from asynchronous code."""
        return await sync_to_async(self.cancel)(user, reason)

    async def aretry(self, user: Any, from_step: str | None = None) -> Run:
        """Do as `retry`, from asynchronous code."""
        return await sync_to_async(self.retry)(user, from_step)

    async def aresume(self, user: Any) -> Self:
        """Do as `resume`, from asynchronous code."""
        return await sync_to_async(self.resume)(user)

    async def awaive(self, user: Any, step: str, reason: str) -> Self:
        """Do as `waive`, from asynchronous code."""
        return await sync_to_async(self.waive)(user, step, reason)

    async def aforce(self, user: Any, step: str, reason: str = "") -> Self:
        """Do as `force`, from asynchronous code."""
        return await sync_to_async(self.force)(user, step, reason)

    async def apreview_undo(self) -> list[StepPreview]:
        """Do as `preview_undo`, from asynchronous code."""
        return await sync_to_async(self.preview_undo)()

    async def arefresh(self) -> Self:
        """Do as `refresh`, from asynchronous code."""
        return await sync_to_async(self.refresh)()

    def raise_for_status(self) -> None:
        """Do nothing while the run goes on or ended well, otherwise raise what ended it.

        Raises the step's own `StepError` class where code and detail can rebuild it, else `StepFailed`;
        `RunCancelled`; `CompensationFailed` for a run that needs attention.
        """
        error = error_of(self)
        if error is not None:
            raise error from self.cause

    def timeline(self) -> list[TimelineEntry]:
        """Return what happened, in the order of time, from the rows and the history together."""
        return timeline_of(self)

    def to_mermaid(self) -> str:
        """Return a Mermaid flowchart of the steps by their status, and of what was undone by dotted arrows.

        It can be shown to whoever may see the run: names and statuses, nothing of its input or results.
        """
        return mermaid.write(drawn_run(self))
