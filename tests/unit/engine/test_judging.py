"""Who may vote, and what the votes come to: pure, and true of whatever people do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstate.engine.approvals.judge import ANSWERED, Person, Question, Voice, Why, judge, outcome
from flowstate.models.statuses import ApprovalStatus, Ballot

ADA, BEA, CEM, SAM = 1, 2, 3, 4


def question(**known: Any) -> Question:
    return Question(**{"requesters": {ADA}, "four_eyes": True, **known})


def person(pk: Any, **known: Any) -> Person:
    return Person(pk=pk, **{"active": True, "allowed": True, **known})


@pytest.mark.parametrize(
    ("who", "about", "judged"),
    [
        (person(BEA), {}, Voice(BEA)),
        (person(None), {}, Why.NO_PERSON),
        (person(BEA, active=False), {}, Why.INACTIVE),
        (person(BEA, allowed=False), {}, Why.NOT_ALLOWED),
        (person(ADA), {}, Why.OWN_REQUEST),
        (person(ADA), {"four_eyes": False}, Voice(ADA)),
        (person(ADA), {"requesters": set()}, Voice(ADA)),
        (person(SAM), {"requesters_delegates": {SAM}}, Why.STANDS_IN_FOR_REQUESTER),
        (person(SAM, allowed=False, stands_in_for=[BEA]), {}, Voice(BEA)),
        (person(SAM, stands_in_for=[BEA]), {}, Voice(SAM)),
        (person(SAM, allowed=False, stands_in_for=[ADA]), {}, Why.NOT_ALLOWED),
        (person(SAM, allowed=False, stands_in_for=[BEA, CEM]), {"voices": {BEA}}, Voice(CEM)),
        (person(SAM, allowed=False, stands_in_for=[BEA]), {"voices": {BEA}}, Why.VOICE_USED),
        (person(BEA), {"voters": {BEA}, "voices": {BEA}}, Why.VOTED),
        (person(BEA, stands_in_for=[CEM]), {"voters": {BEA}, "voices": {BEA}}, Why.VOTED),
        (person(BEA), {"voters": {SAM}, "voices": {BEA}}, Why.VOICE_USED),
    ],
    ids=str,
)
def test_who_may_vote(who: Person, about: dict[str, Any], judged: Voice | Why) -> None:
    """S5, S6."""
    assert judge(who, question(**about)) == judged


PEOPLE = st.integers(1, 6)
SOME = st.frozensets(PEOPLE)


@given(
    st.booleans(),
    SOME,
    SOME,
    st.lists(st.tuples(PEOPLE, st.frozensets(PEOPLE, max_size=3)), max_size=30),
)
def test_whoever_votes_no_right_is_used_twice_and_nobody_decides_their_own_request(
    four_eyes: bool,
    requesters: frozenset[int],
    allowed: frozenset[int],
    attempts: list[tuple[int, frozenset[int]]],
) -> None:
    """I21, S5, S6: whatever the order in which people try, and for whom they stand in then."""
    voters: list[int] = []
    voices: list[int] = []
    for who, away in attempts:
        about = Question(
            requesters=requesters,
            four_eyes=four_eyes,
            requesters_delegates={who} if requesters & away else frozenset(),
            voters=set(voters),
            voices=set(voices),
        )
        judged = judge(person(who, allowed=who in allowed, stands_in_for=sorted(away & allowed)), about)
        if isinstance(judged, Voice):
            voters.append(who)
            voices.append(judged.pk)

    assert len(set(voters)) == len(voters)
    assert len(set(voices)) == len(voices)
    assert set(voices) <= allowed
    if four_eyes:
        assert not requesters & (set(voters) | set(voices))


@given(st.lists(st.sampled_from([Ballot.APPROVE, Ballot.REJECT]), max_size=12), st.integers(1, 6))
def test_votes_decide_once_and_for_ever(ballots: list[Ballot], quorum: int) -> None:
    """I21: from the first vote that decides on, the same comes out as long as nobody rejects."""
    reached = [outcome(ballots[:number], quorum) for number in range(len(ballots) + 1)]

    decided = [status for status in reached if status != ApprovalStatus.PENDING]
    approvals = ballots.count(Ballot.APPROVE)
    assert reached[0] == ApprovalStatus.PENDING
    assert (reached[-1] == ApprovalStatus.REJECTED) == (Ballot.REJECT in ballots)
    assert (reached[-1] == ApprovalStatus.PENDING) == (Ballot.REJECT not in ballots and approvals < quorum)
    assert decided == reached[len(reached) - len(decided) :]


@given(st.permutations([Ballot.APPROVE, Ballot.APPROVE, Ballot.REJECT]), st.integers(1, 3))
def test_the_order_of_votes_does_not_matter_for_what_all_of_them_come_to(
    ballots: list[Ballot], quorum: int
) -> None:
    assert outcome(ballots, quorum) == ApprovalStatus.REJECTED


def test_having_voted_is_told_apart_from_not_being_allowed() -> None:
    assert {Why.VOTED, Why.VOICE_USED} == ANSWERED
