"""Approval: what a run asks people, what they are shown, and how it was decided."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from asgiref.sync import sync_to_async

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from flowstate import verbs
from flowstate.models.approval_verbs import ApprovalQuerySet
from flowstate.models.clock import host_now
from flowstate.models.statuses import ApprovalStatus
from flowstate.models.values import decode

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractUser

    from flowstate.models.run import Run
    from flowstate.models.step_run import StepRun
    from flowstate.models.vote import Vote


class Approval(models.Model):
    """One question to people. Once decided it stands for ever: who asks again opens another one."""

    run: models.ForeignKey[Run, Run] = models.ForeignKey(
        "flowstate.Run", verbose_name=_("run"), on_delete=models.CASCADE, related_name="approvals"
    )
    step_run: models.ForeignKey[StepRun, StepRun] = models.ForeignKey(
        "flowstate.StepRun", on_delete=models.CASCADE, related_name="approvals", db_index=False
    )
    step = models.CharField(_("step"), max_length=100)
    attempt = models.IntegerField(_("step's token"))
    """The step waits for the approval that has its own token; an earlier one is history."""

    status = models.CharField(
        _("status"), max_length=10, choices=ApprovalStatus, default=ApprovalStatus.PENDING
    )
    quorum = models.IntegerField(_("people needed"), default=1)
    four_eyes = models.BooleanField(_("not by who asked"), default=True)
    round = models.IntegerField(_("round"), default=1)
    """Votes of earlier rounds do not count: what was shown has changed since."""
    shown_json = models.JSONField(_("shown"), db_column="shown", default=list, blank=True)
    digest = models.CharField(max_length=64)

    opened_at = models.DateTimeField(_("asked"), default=host_now)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    remind_at = models.DateTimeField(_("next reminder"), null=True, blank=True)
    escalated_at = models.DateTimeField(_("escalated"), null=True, blank=True)
    decided_at = models.DateTimeField(_("decided"), null=True, blank=True)
    decided_by: models.ForeignKey[AbstractUser | None, AbstractUser | None] = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("decided by"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        db_constraint=False,  # as with `Run.requested_by`
    )
    decided_by_label = models.CharField(_("decided by"), max_length=150, blank=True, default="")

    objects = ApprovalQuerySet.as_manager()

    class Meta:
        verbose_name = _("approval")
        verbose_name_plural = _("approvals")
        constraints = [
            models.UniqueConstraint(fields=["step_run", "attempt"], name="flowstate_approval_step"),
            models.CheckConstraint(
                condition=Q(status__in=ApprovalStatus.values), name="flowstate_approval_status"
            ),
            models.CheckConstraint(
                condition=Q(status=ApprovalStatus.PENDING, decided_at=None)
                | (~Q(status=ApprovalStatus.PENDING) & Q(decided_at__isnull=False)),
                name="flowstate_approval_decided_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.step} of run {self.run_id}"

    @property
    def pending(self) -> bool:
        """Whether it is still to be decided."""
        return self.status == ApprovalStatus.PENDING

    @property
    def what(self) -> str:
        """What is asked in a few words, such as "Checkout: order 7"; no query where the run was read along."""
        model = self.run.entity_model
        name = self.run.label.replace("_", " ")
        name = f"{name[:1].upper()}{name[1:]}"
        return name if model is None else f"{name}: {model._meta.verbose_name} {self.run.object_id}"

    @property
    def shown(self) -> dict[str, Any]:
        """What is shown, by name, as values; copies. A row among them is read from the database."""
        return {item["name"]: decode(item["value"]) for item in self.shown_json}

    @property
    def shown_texts(self) -> list[dict[str, str]]:
        """What is shown, for people: `name`, `label` and `text` of each; no query."""
        return [{key: str(item[key]) for key in ("name", "label", "text")} for item in self.shown_json]

    @property
    def counting_votes(self) -> list[Vote]:
        """The votes that count, the oldest first: those of the present round."""
        return sorted(
            (vote for vote in self.votes.all() if vote.round == self.round), key=lambda vote: vote.pk
        )

    # --- verbs -------------------------------------------------------------------------------------

    def refresh(self) -> Self:
        """Read the row and its votes again and return it."""
        self._prefetched_objects_cache: dict[str, Any] = {}
        self.refresh_from_db()
        return self

    def approve(
        self, user: Any, comment: str = "", form: Any = None, *, shown_digest: str = "", source: str = ""
    ) -> Self:
        """Vote for it, and return it as it is afterwards; the last vote that is needed lets the run go on.

        `form` is what the step's `form=` asks for; `shown_digest` the `digest` that the person was shown; `source`
        where they came from, as an IP address, for the history. Raises `ApprovalDenied`, `AlreadyVoted`,
        `AlreadyDecided`, `ApprovalExpired`, `ApprovalChanged` and `InputInvalid`.
        """
        verbs.approve(self, user=user, comment=comment, form=form, shown_digest=shown_digest, source=source)
        return self.refresh()

    def reject(self, user: Any, reason: str, *, shown_digest: str = "", source: str = "") -> Self:
        """Reject it for this reason, which decides it, and return it as it is afterwards.

        Raises what `approve` does, and `ReasonMissing`.
        """
        verbs.reject(self, user=user, reason=reason, shown_digest=shown_digest, source=source)
        return self.refresh()

    def reassign(
        self, user: Any, to: Any, *, instead_of: Any = None, reason: str = "", source: str = ""
    ) -> Self:
        """Hand one's part in the decision to somebody else, or, as who may operate runs, that of another.

        Raises `ApprovalDenied`, `AlreadyDecided`, `ApprovalExpired` and `ReassignmentInvalid`.
        """
        verbs.reassign(self, user=user, to=to, instead_of=instead_of, reason=reason, source=source)
        return self.refresh()

    def may_decide(self, user: Any) -> bool:
        """Return whether the person may vote now. It is judged again when they do."""
        return verbs.may_decide(self, user=user)

    async def aapprove(
        self, user: Any, comment: str = "", form: Any = None, *, shown_digest: str = "", source: str = ""
    ) -> Self:
        """Do as `approve`, from asynchronous code."""
        return await sync_to_async(self.approve)(
            user, comment, form, shown_digest=shown_digest, source=source
        )

    async def areject(self, user: Any, reason: str, *, shown_digest: str = "", source: str = "") -> Self:
        """Do as `reject`, from asynchronous code."""
        return await sync_to_async(self.reject)(user, reason, shown_digest=shown_digest, source=source)

    async def areassign(
        self, user: Any, to: Any, *, instead_of: Any = None, reason: str = "", source: str = ""
    ) -> Self:
        """Do as `reassign`, from asynchronous code."""
        return await sync_to_async(self.reassign)(
            user, to, instead_of=instead_of, reason=reason, source=source
        )

    async def amay_decide(self, user: Any) -> bool:
        """Do as `may_decide`, from asynchronous code."""
        return await sync_to_async(self.may_decide)(user)

    async def arefresh(self) -> Self:
        """Do as `refresh`, from asynchronous code."""
        return await sync_to_async(self.refresh)()
