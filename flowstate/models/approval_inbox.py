"""What waits for whom: an index of the approvals that are pending, by whom their rules are for.

A list of "mine to decide" reads the words that fit a person, and of each only the first so many approvals:
how many others wait, for the same person or for others, does not matter.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from flowstate.models.approval import Approval


class AudienceQuerySet(models.QuerySet["ApprovalAudience"]):
    """Words for people."""

    def named(self, keys: Collection[str], *, personal: Collection[str]) -> list[ApprovalAudience]:
        """Return the words, made where nobody has needed one before; `personal` are those for one person."""
        found = {audience.key: audience for audience in self.filter(key__in=keys)}
        for key in sorted(set(keys) - found.keys()):
            found[key], _made = self.get_or_create(key=key, defaults={"personal": key in personal})
        return [found[key] for key in sorted(found)]

    def that_may_fit(self, own: Iterable[str]) -> Self:
        """Return the words that may stand for people among others, with these for single ones: not all users'."""
        return self.filter(Q(personal=False) | Q(key__in=list(own)))


class ApprovalAudience(models.Model):
    """A word for people: who has a permission, is in a group, or one person. See `actions.audiences`."""

    key = models.CharField(_("for whom"), max_length=255, unique=True)
    personal = models.BooleanField(_("one person"), default=False)

    objects = AudienceQuerySet.as_manager()

    class Meta:
        verbose_name = _("audience of approvals")
        verbose_name_plural = _("audiences of approvals")
        indexes = [models.Index(fields=["personal"], name="flowstate_audience_personal")]

    def __str__(self) -> str:
        return self.key


class InboxQuerySet(models.QuerySet["InboxEntry"]):
    """Entries exist while their approval is pending."""

    def first_of(self, audience: ApprovalAudience, *, after: int, limit: int) -> list[InboxEntry]:
        """Return the entries of the longest waiting approvals for these people, after one of them."""
        mine = self.filter(audience=audience, position__gt=after)
        return list(mine.order_by("position")[:limit])

    def enter(self, approval: Approval, audiences: Iterable[ApprovalAudience], *, exact: bool) -> None:
        """Have the approval found by these people too."""
        known = set(self.filter(approval=approval.pk).values_list("audience_id", flat=True))
        self.bulk_create(
            InboxEntry(approval=approval, position=approval.pk, audience=audience, exact=exact)
            for audience in audiences
            if audience.pk not in known
        )

    def leave(self, approvals: Iterable[Approval]) -> None:
        """Have nobody find these approvals any more."""
        self.filter(approval__in=[approval.pk for approval in approvals]).delete()


class InboxEntry(models.Model):
    """One pending approval, for some people."""

    approval: models.ForeignKey[Approval, Approval] = models.ForeignKey(
        "flowstate.Approval", on_delete=models.CASCADE, related_name="inbox_entries"
    )
    audience: models.ForeignKey[ApprovalAudience, ApprovalAudience] = models.ForeignKey(
        ApprovalAudience, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    position = models.BigIntegerField(_("order"))
    """The approval's key once more: only one index has this order, that in which each audience stands by itself.

    Ordered by the other column, a planner may walk what waits for everybody in search of what waits for one.
    """
    exact = models.BooleanField(_("for all of them"), default=False)
    """Whether all of these people may decide as far as the rules go, so that nobody need ask them."""

    objects = InboxQuerySet.as_manager()

    class Meta:
        verbose_name = _("inbox entry")
        verbose_name_plural = _("inbox entries")
        constraints = [
            models.UniqueConstraint(fields=["audience", "position"], name="flowstate_inbox_audience")
        ]

    def __str__(self) -> str:
        return f"{self.audience_id}: {self.approval_id}"
