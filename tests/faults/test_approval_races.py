"""People who decide at the same moment, and time, and a cancel: one decision, one resumption, each time.

I8, I9, I21, I22, I27; matrix row 32. Deadlocks cost nobody anything; how many there were is printed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from django.contrib.auth.models import User

from flowstate import AlreadyDecided, AlreadyVoted, ApprovalExpired, RunConflict
from flowstate.engine.carry.messages import carry_run
from flowstate.engine.database import blocks
from flowstate.engine.database.contention import is_contention
from flowstate.models import Approval, InboxEntry, Run, Vote
from flowstate.models.clock import shift_clock
from tests.faults import post
from tests.faults.afterwards import broken
from tests.faults.crowd import at_once
from tests.kiosk import returns
from tests.kiosk.consents import DAY, Asked, Parallel, TwoOfThree
from tests.kiosk.crew import asked, buyers, person
from tests.kiosk.stall import OnSale

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 100
LATE = (AlreadyDecided, ApprovalExpired, RunConflict)


@pytest.fixture(autouse=True)
def deadlocks(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[list[BaseException]]:
    """Count the transactions that others made begin again, and print how many that were."""
    met: list[BaseException] = []

    def counted(error: BaseException) -> bool:
        found = is_contention(error)
        if found:
            met.append(error)
        return found

    monkeypatch.setattr(blocks, "is_contention", counted)
    returns.forget()
    yield met
    returns.forget()
    print(f"\n{request.node.name}: {len(met)} deadlocks")  # noqa: T201 - a figure that is asked for


@pytest.fixture
def two(db: None) -> tuple[User, User]:
    return person("bea", permission="change_sale"), person("cem", permission="change_sale")


def question(on_sale: OnSale, user: User) -> Approval:
    """Ask about a sale of its own."""
    run = on_sale(Asked).run(user=user)
    post.letters.clear()
    return run.approvals.get()


def races(
    on_sale: OnSale, user: User, rounds: int, *rivals: Callable[[Approval], Any]
) -> Iterator[tuple[Approval, list[Any]]]:
    """Let them at one question at once, again and again, and yield it with what came of each."""
    for _round in range(rounds):
        approval = question(on_sale, user)
        results = at_once(*[partial(rival, approval_again(approval)) for rival in rivals])
        post.deliver()
        yield approval.refresh(), results


def approval_again(approval: Approval) -> Approval:
    """Return an object of its own for the same row."""
    return Approval.objects.select_related("run").get(pk=approval.pk)


def judged(approval: Approval, results: list[Any]) -> list[str]:
    """Return what is wrong after a race: more or less than one decision, or an error that is none."""
    run = approval.run.refresh()
    refusals = [result for result in results if isinstance(result, BaseException)]
    decisions = run.events.filter(
        kind__in=("approval_approved", "approval_rejected", "approval_expired")
    ).count()
    resumed = run.step_runs.get(name="ship").attempt
    found = {
        f"errors {refusals}": not all(isinstance(refusal, LATE) for refusal in refusals),
        f"{len(refusals)} of {len(results)} were refused": len(refusals) > len(results) - 1,
        f"{approval.status}, {decisions} decisions": decisions != (approval.status != "cancelled"),
        f"{approval.status}, resumed {resumed} times": resumed != (run.status == "succeeded"),
        f"{approval.status}, but {run.status}": (approval.status == "approved", run.status)
        not in {(True, "succeeded"), (False, "compensated"), (False, "cancelled"), (True, "cancelled")},
    }
    return [words for words, wrong in found.items() if wrong]


def approves(user: User) -> Callable[[Approval], Any]:
    return lambda approval: approval.approve(user)


def rejects(user: User) -> Callable[[Approval], Any]:
    return lambda approval: approval.reject(user, "No.")


def all_is_well() -> None:
    assert not Approval.objects.pending().exists()
    assert not InboxEntry.objects.exists()
    assert broken() == []


def test_of_two_who_approve_at_once_one_decides(on_sale: OnSale, user: User, two: tuple[User, User]) -> None:
    """I21, matrix row 32."""
    failed = {}
    for approval, results in races(on_sale, user, ROUNDS, approves(two[0]), approves(two[1])):
        wrong = judged(approval, results)
        refused = [result for result in results if isinstance(result, AlreadyDecided)]
        if wrong or len(refused) != 1 or approval.votes.count() != 1:
            failed[approval.pk] = (wrong, results)

    assert failed == {}
    all_is_well()


def test_approving_and_rejecting_at_once_one_of_them_stands(
    on_sale: OnSale, user: User, two: tuple[User, User]
) -> None:
    """I21, matrix row 32."""
    failed, seen = {}, set()
    for approval, results in races(on_sale, user, ROUNDS, approves(two[0]), rejects(two[1])):
        seen.add(approval.status)
        wrong = judged(approval, results)
        if wrong or approval.votes.count() != 1:
            failed[approval.pk] = (wrong, results)

    assert failed == {}
    assert seen <= {"approved", "rejected"}
    all_is_well()


def test_a_decision_and_the_end_of_its_time_exclude_each_other(
    on_sale: OnSale, user: User, two: tuple[User, User]
) -> None:
    """I22: the clock passes the end while one decides and another looks."""

    def passes(approval: Approval) -> Any:
        shift_clock(7 * DAY + 1)
        return carry_run(str(approval.run_id), queue="flowstate")

    failed, seen = {}, set()
    for approval, results in races(on_sale, user, ROUNDS, approves(two[0]), passes):
        seen.add(approval.status)
        wrong = judged(approval, results)
        expired = isinstance(results[0], ApprovalExpired)
        if wrong or expired != (approval.status == "expired"):
            failed[approval.pk] = (wrong, results)

    assert failed == {}
    assert seen <= {"approved", "expired"}
    all_is_well()


def test_a_decision_and_a_cancel_exclude_each_other(
    on_sale: OnSale, user: User, two: tuple[User, User]
) -> None:
    """I9, I21: where both came through, the decision came first."""
    failed, seen = {}, set()
    for approval, results in races(
        on_sale, user, ROUNDS, approves(two[0]), lambda approval: approval.run.cancel(user)
    ):
        seen.add(approval.status)
        wrong = judged(approval, results)
        refused = isinstance(results[0], AlreadyDecided)
        if wrong or refused != (approval.status == "cancelled"):
            failed[approval.pk] = (wrong, results)

    assert failed == {}
    assert seen <= {"approved", "cancelled"}
    all_is_well()


def test_who_votes_twice_at_once_counts_once(on_sale: OnSale, user: User) -> None:
    """S6."""
    ann, _bob, _cem = buyers("ann", "bob", "cem")
    for _round in range(10):
        approval = asked(on_sale, TwoOfThree, user)

        results = at_once(*[partial(approves(ann), approval_again(approval)) for _voice in range(3)])

        assert sum(isinstance(result, AlreadyVoted) for result in results) == 2
        assert Vote.objects.filter(approval=approval).count() == 1
        assert approval.refresh().pending
    assert broken() == []


def test_of_three_votes_at_once_two_decide(on_sale: OnSale, user: User) -> None:
    """I21: a quorum is reached once."""
    people = buyers("ann", "bob", "cem")
    for _round in range(15):
        approval = asked(on_sale, TwoOfThree, user)

        results = at_once(*[partial(approves(who), approval_again(approval)) for who in people])
        post.deliver()

        assert sum(isinstance(result, AlreadyDecided) for result in results) == 1
        assert Vote.objects.filter(approval=approval).count() == 2
        assert approval.refresh().status == "approved"
        assert approval.run.events.filter(kind="approval_approved").count() == 1
        assert approval.run.refresh().success
    assert broken() == []


def test_a_branch_that_fails_beside_a_decision_leaves_nothing_pending(on_sale: OnSale, user: User) -> None:
    """I9: the failure turns the run round while somebody decides."""
    [bob] = buyers("bob")
    for _round in range(15):
        returns.errors["work"] = [RuntimeError("down")]
        run = on_sale(Parallel).run(user=user)
        approval = run.approvals.get()

        results = at_once(
            partial(approves(bob), approval_again(approval)),
            partial(carry_run, str(run.pk), queue="flowstate"),
        )
        post.deliver()

        assert all(isinstance(result, AlreadyDecided) for result in results if isinstance(result, Exception))
        assert run.refresh().status == "compensated"
        assert approval.refresh().status in {"approved", "cancelled"}
    all_is_well()
    assert Run.objects.live().count() == 0
