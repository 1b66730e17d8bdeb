"""Who may decide beside what rules say: people who were named, and people who stand in for others."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from flowstate.models.clock import DbNow, host_now

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractUser

    from flowstate.models.approval import Approval


class ApproverQuerySet(models.QuerySet["ApprovalApprover"]):
    """Who was named, and the verb that names somebody else."""

    def asked(self) -> Self:
        """Return those who are still asked."""
        return self.filter(asked=True)

    def hand_over(self, approval: Approval, *, of: Any, to: Any, to_label: str) -> None:
        """Ask one person instead of another, who is not asked any more; for who holds the lock of the run's row."""
        self.update_or_create(
            approval=approval, user_id=of.pk, defaults={"asked": False, "user_label": of.get_username()[:150]}
        )
        self.update_or_create(
            approval=approval,
            user_id=to.pk,
            defaults={"asked": True, "instead_of_id": of.pk, "user_label": to_label},
        )


class ApprovalApprover(models.Model):
    """One person who is asked by name, or who has handed their part on."""

    approval: models.ForeignKey[Approval, Approval] = models.ForeignKey(
        "flowstate.Approval", on_delete=models.CASCADE, related_name="approvers", db_index=False
    )
    user: models.ForeignKey[AbstractUser, AbstractUser] = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("who"),
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,  # as with `Run.requested_by`
    )
    user_label = models.CharField(_("who"), max_length=150)
    asked = models.BooleanField(_("is asked"), default=True)
    instead_of: models.ForeignKey[AbstractUser | None, AbstractUser | None] = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("instead of"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )

    objects = ApproverQuerySet.as_manager()

    class Meta:
        verbose_name = _("approver")
        verbose_name_plural = _("approvers")
        constraints = [models.UniqueConstraint(fields=["approval", "user"], name="flowstate_approver_user")]

    def __str__(self) -> str:
        return self.user_label


class DelegateQuerySet(models.QuerySet["ApprovalDelegate"]):
    """Who stands in for whom."""

    def now(self) -> Self:
        """Return what holds now, by the database's clock."""
        return self.filter(since__lte=DbNow(), until__gt=DbNow())

    def end(self, pk: int) -> bool:
        """Let it hold no longer; False where it is over already. One that has not begun never will."""
        over = {"until": models.functions.Greatest(DbNow(), F("since"))}
        return self.filter(pk=pk, until__gt=DbNow()).update(**over) == 1


class ApprovalDelegate(models.Model):
    """For a time, one person may decide whatever another one may."""

    delegator: models.ForeignKey[AbstractUser, AbstractUser] = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("who is away"),
        on_delete=models.CASCADE,
        related_name="+",
    )
    delegate: models.ForeignKey[AbstractUser, AbstractUser] = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("who stands in"),
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,  # the index below begins with it
    )
    since = models.DateTimeField(_("from"))
    until = models.DateTimeField(_("until"))
    made_by: models.ForeignKey[AbstractUser | None, AbstractUser | None] = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("by whom"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    made_by_label = models.CharField(_("by whom"), max_length=150)
    made_at = models.DateTimeField(_("when"), default=host_now)

    objects = DelegateQuerySet.as_manager()

    class Meta:
        verbose_name = _("delegate")
        verbose_name_plural = _("delegates")
        indexes = [models.Index(fields=["delegate", "until"], name="flowstate_delegate_until")]
        constraints = [
            models.CheckConstraint(
                condition=~Q(delegator=F("delegate")), name="flowstate_delegate_is_another"
            ),
            models.CheckConstraint(condition=Q(until__gte=F("since")), name="flowstate_delegate_time"),
        ]

    def __str__(self) -> str:
        return f"{self.delegate} for {self.delegator}"

    def holds(self, now: datetime) -> bool:
        """Return whether it holds at this moment."""
        return self.since <= now < self.until
