"""Reads what must be known of people and an approval before it can be judged who may decide."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth import get_user_model
from django.db import DatabaseError, transaction
from django.db.models import Model

from flowstate.actions.rules import Rule
from flowstate.engine.approvals.judge import Person, Question, Voice, Why, judge
from flowstate.engine.database.contention import is_contention
from flowstate.engine.waits.opening import rule_of
from flowstate.models import Approval, ApprovalApprover, ApprovalDelegate, Run, Vote
from flowstate.workflows.approvals import ApprovalStep


@dataclass(slots=True, kw_only=True)
class Asked:
    """One approval with all that says who may decide it."""

    approval: Approval
    run: Run
    step: ApprovalStep
    entity: Any
    votes: Sequence[Vote]
    approvers: Sequence[ApprovalApprover]
    requesters: frozenset[Any]
    """The keys of those who asked for the run, for the runs above it, and for those that these retry."""
    exact_for: Collection[Any] = frozenset()
    """The keys of people for whom it was found by words that say already that the rules pass."""
    using: str
    _named: dict[Any, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._named = {approver.user_id: approver.asked for approver in self.approvers}

    def allows(self, user: Any) -> bool:
        """Return whether a person may decide by themselves, as far as rules and names go."""
        named = self._named.get(user.pk)
        if named is False:  # they have handed it on
            return False
        if self.step.approver_users is None:
            return self.admits(user)
        return named is True or self._escalated(user)

    def admits(self, user: Any) -> bool:
        """Return whether rules let a person decide, whether or not they have handed it on."""
        return (
            user.pk in self.exact_for
            or self._passes(rule_of(self.step.approvers), user)
            or self._escalated(user)
        )

    def judged(self, user: Any, standing_in: Standing) -> Voice | Why:
        """Return by whose right a person may vote, or why they may not."""
        person = Person(
            pk=user.pk,
            active=bool(user.is_active),
            allowed=self.allows(user),
            stands_in_for=[other.pk for other in standing_in.away if other.is_active and self.allows(other)],
        )
        return judge(person, self.question(standing_in))

    def question(self, standing_in: Standing) -> Question:
        """Return what is to be decided, as plain values."""
        return Question(
            requesters=self.requesters,
            four_eyes=self.approval.four_eyes,
            requesters_delegates=standing_in.delegates_of(self.requesters),
            voters={vote.user_id for vote in self.votes},
            voices={vote.voice_id for vote in self.votes},
        )

    def _escalated(self, user: Any) -> bool:
        if self.approval.escalated_at is None or not self.step.escalate_to:
            return False
        return self._passes(rule_of(self.step.escalate_to), user)

    def _passes(self, rule: Rule, user: Any) -> bool:
        return passes(rule, user, self.entity, self.using)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """For whom a person stands in now."""

    of: Any
    """The person's key."""
    away: Sequence[Any]
    """The users for whom they do."""

    for_whom: Mapping[Any, Collection[Any]] = field(default_factory=dict)
    """The keys of those for whom those stand in themselves."""

    def delegates_of(self, people: Collection[Any]) -> set[Any]:
        """Return who stands in for one of these people: of the person and those for whom they do."""
        standing = {**self.for_whom, self.of: [user.pk for user in self.away]}
        return {pk for pk, others in standing.items() if not set(others).isdisjoint(people)}


def passes(rule: Rule, user: Any, entity: Any, using: str) -> bool:
    """Return whether a rule lets the person pass; one that broke the database's transaction has not."""
    try:
        with transaction.atomic(using=using):  # its error is not to poison ours
            return rule(user, entity)
    except DatabaseError as err:
        if is_contention(err):
            raise
        return False


def fresh_user(user: Any) -> Any:
    """Return the person as the database has them now, without permissions read before; None where there is none."""
    users = get_user_model()
    if isinstance(user, Model) and not isinstance(user, users):
        return None  # customer 5 is not user 5
    key = getattr(user, "pk", None)
    return None if key is None else users._default_manager.filter(pk=key).first()


def standing_in(user: Any, using: str) -> Standing:
    """Return for whom the person stands in now, by the database's clock."""
    now = ApprovalDelegate.objects.using(using).now().order_by("pk")
    keys = list(now.filter(delegate=user.pk).values_list("delegator_id", flat=True))
    if not keys:
        return Standing(of=user.pk, away=())
    users = get_user_model()._default_manager.in_bulk(keys)
    for_whom: dict[Any, set[Any]] = {key: set() for key in keys}
    for delegate, delegator in now.filter(delegate__in=keys).values_list("delegate_id", "delegator_id"):
        for_whom[delegate].add(delegator)
    away = [users[key] for key in dict.fromkeys(keys) if key in users]
    return Standing(of=user.pk, away=away, for_whom=for_whom)


def approvers_of(approvals: Iterable[Approval], using: str) -> dict[int, list[ApprovalApprover]]:
    """Return who is asked by name, by approval. One statement."""
    found: dict[int, list[ApprovalApprover]] = {approval.pk: [] for approval in approvals}
    for row in ApprovalApprover.objects.using(using).filter(approval__in=list(found)):
        found[row.approval_id].append(row)
    return found


def votes_of(approvals: Iterable[Approval], using: str) -> dict[int, list[Vote]]:
    """Return the votes that count, by approval. One statement."""
    by_key = {approval.pk: approval for approval in approvals}
    found: dict[int, list[Vote]] = {pk: [] for pk in by_key}
    for vote in Vote.objects.using(using).filter(approval__in=list(by_key)).order_by("pk"):
        if vote.round == by_key[vote.approval_id].round:
            found[vote.approval_id].append(vote)
    return found
