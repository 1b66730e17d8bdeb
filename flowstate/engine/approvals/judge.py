"""Who may decide, and what follows from what was said: pure, over plain values."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from flowstate.models.statuses import ApprovalStatus, Ballot


class Why(StrEnum):
    """What stands against somebody's vote."""

    NO_PERSON = "no_person"
    INACTIVE = "inactive"
    OWN_REQUEST = "own_request"
    STANDS_IN_FOR_REQUESTER = "stands_in_for_requester"
    NOT_ALLOWED = "not_allowed"
    VOTED = "voted"
    VOICE_USED = "voice_used"


ANSWERED = frozenset({Why.VOTED, Why.VOICE_USED})
"""What stands only against voting once more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who would decide."""

    pk: Any
    active: bool
    allowed: bool
    """Whether they may by themselves: a rule passes, or they are asked by name."""
    stands_in_for: Sequence[Any] = ()
    """The others who may, and for whom they stand in now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be decided, as far as it matters who decides."""

    requesters: Collection[Any]
    """Who asked for the run, and for those that it retries; nobody where no person did."""
    four_eyes: bool
    requesters_delegates: Collection[Any] = frozenset()
    """Who stands in for one of them now, of the person and those for whom they do."""
    voters: Collection[Any] = frozenset()
    """Who has voted."""
    voices: Collection[Any] = frozenset()
    """Whose right to decide was used, by themselves or by who stands in for them."""


@dataclass(frozen=True, slots=True)
class Voice:
    """They may: by the right of this person."""

    pk: Any


def judge(person: Person, question: Question) -> Voice | Why:
    """Return by whose right the person may vote, their own before that of others, or why they may not.

    Nobody decides what they have asked for themselves, and nobody in their name, nor in that of one who stands in
    for them; no right is used twice.
    """
    barred = _barred(person, question)
    if barred is not None:
        return barred
    may_not = {*question.requesters, *question.requesters_delegates} if question.four_eyes else frozenset()
    others = [pk for pk in person.stands_in_for if pk not in may_not]
    rights = [*([person.pk] if person.allowed else []), *others]
    if not rights:
        return Why.NOT_ALLOWED
    if person.pk in question.voters:
        return Why.VOTED
    unused = [pk for pk in rights if pk not in question.voices]
    return Voice(unused[0]) if unused else Why.VOICE_USED


def _barred(person: Person, question: Question) -> Why | None:
    if person.pk is None:
        return Why.NO_PERSON
    if not person.active:
        return Why.INACTIVE
    if not question.four_eyes:
        return None
    if person.pk in question.requesters:
        return Why.OWN_REQUEST
    if person.pk in question.requesters_delegates:
        return Why.STANDS_IN_FOR_REQUESTER
    return None


def outcome(ballots: Sequence[str], quorum: int) -> ApprovalStatus:
    """Return what the votes so far come to: one rejection rejects, as many approvals as are needed approve."""
    if Ballot.REJECT in ballots:
        return ApprovalStatus.REJECTED
    if sum(ballot == Ballot.APPROVE for ballot in ballots) >= quorum:
        return ApprovalStatus.APPROVED
    return ApprovalStatus.PENDING
