"""Vote: what one person said about an approval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from flowstate.models.clock import host_now
from flowstate.models.statuses import Ballot
from flowstate.models.values import decode

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractUser

    from flowstate.models.approval import Approval


class VoteQuerySet(models.QuerySet["Vote"]):
    """Votes are only ever added."""

    def counting(self, approval: Approval) -> list[Vote]:
        """Return the votes of the approval's present round, the oldest first."""
        return list(self.filter(approval=approval.pk, round=approval.round).order_by("pk"))


class Vote(models.Model):
    """What one person said, once. A rejection says why."""

    approval: models.ForeignKey[Approval, Approval] = models.ForeignKey(
        "flowstate.Approval", on_delete=models.CASCADE, related_name="votes", db_index=False
    )
    round = models.IntegerField(_("round"), default=1)
    user: models.ForeignKey[AbstractUser | None, AbstractUser | None] = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("who"),
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        db_index=False,
        db_constraint=False,  # as with `Run.requested_by`
    )
    user_label = models.CharField(_("who"), max_length=150)
    voice: models.ForeignKey[AbstractUser | None, AbstractUser | None] = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("for whom"),
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    """Whose right to decide was used: the person's own, or that of who they stand in for."""
    voice_label = models.CharField(_("for whom"), max_length=150)
    ballot = models.CharField(_("vote"), max_length=8, choices=Ballot)
    comment = models.TextField(_("comment"), blank=True, default="")
    form_json = models.JSONField(_("form"), db_column="form", null=True, blank=True)
    digest = models.CharField(max_length=64)
    """Of what was shown to them."""
    source = models.CharField(_("from where"), max_length=200, blank=True, default="")
    at = models.DateTimeField(_("when"), default=host_now)

    objects = VoteQuerySet.as_manager()

    class Meta:
        verbose_name = _("vote")
        verbose_name_plural = _("votes")
        constraints = [
            models.UniqueConstraint(fields=["approval", "round", "user"], name="flowstate_vote_user"),
            models.UniqueConstraint(fields=["approval", "round", "voice"], name="flowstate_vote_voice"),
            models.CheckConstraint(condition=Q(ballot__in=Ballot.values), name="flowstate_vote_ballot"),
            models.CheckConstraint(
                condition=Q(ballot=Ballot.APPROVE) | ~Q(comment=""), name="flowstate_vote_says_why"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user_label}: {self.ballot}"

    @property
    def form(self) -> Any:
        """What they filled in; a copy."""
        return decode(self.form_json)
