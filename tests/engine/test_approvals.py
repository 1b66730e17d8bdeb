"""Runs that people decide: what waits, what a decision brings, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from django.contrib.auth.models import User
from django.test import TestCase

from flowstate import (
    SYSTEM,
    Action,
    AlreadyDecided,
    AlreadyVoted,
    ApprovalDenied,
    ApprovalRejected,
    ApproversMissing,
    InputInvalid,
    ReasonMissing,
    allow_any,
    verbs,
)
from flowstate.actions.bound import BoundAction
from flowstate.engine.calls import guard
from flowstate.models import Approval, InboxEntry, Run, Vote
from flowstate.testing import approve, carry_due, reject
from tests.kiosk import returns
from tests.kiosk.consents import Above, AllOfThem, Asked, Filled, Listened, Nobody, Parallel, TwoOfThree
from tests.kiosk.crew import asked, broken, buyers, lines, pending_of, person, sale_of, told
from tests.kiosk.models import Sale
from tests.kiosk.stall import OnSale

pytestmark = pytest.mark.django_db(transaction=True)

STATEMENTS_OF_A_VOTE = 20
STATEMENTS_OF_A_DECISION = 29


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    returns.forget()
    yield
    returns.forget()


@pytest.fixture
def boss(db: None) -> User:
    return person("bea", permission="change_sale")


def test_a_run_that_waits_for_people_says_so_and_holds_nothing(
    on_sale: OnSale, user: User, boss: User
) -> None:
    """P44, I12, I29."""
    run = on_sale(Asked).run(user=user)

    row = run.refresh().step_runs.get(name="review")
    approval = pending_of(run)
    assert (run.status, run.waiting_for, run.success) == ("running", "person", False)
    assert (row.status, row.lease_until, run.wake_at) == ("waiting", None, row.wake_at)
    assert (approval.step, approval.quorum, approval.run_id) == ("review", 1, run.pk)
    assert run.results == {"reserve": run.results["reserve"]}
    assert lines() == []
    assert told(run) == ["requested"]
    assert broken() == []


def test_an_approval_lets_the_run_go_on_with_what_was_approved(
    on_sale: OnSale, user: User, boss: User
) -> None:
    """P45."""
    run = on_sale(Asked).run(user=user)

    approve(run, by=boss, comment="Fine.")

    assert run.success
    assert lines() == ["ship 3"]
    result = run.results["review"]
    assert (result["approved"], result["who"], result["user"], result["comment"]) == (
        True,
        "bea",
        boss.pk,
        "Fine.",
    )
    assert result["shown"] == {"quantity": 3, "product__name": "tea"}
    assert result["at"] == run.approvals.get().decided_at
    assert [decision["who"] for decision in result["decisions"]] == ["bea"]
    assert told(run) == ["requested", "approved"]
    assert not InboxEntry.objects.exists()
    assert broken() == []


def test_whoever_decides_works_on_nothing_themselves(on_sale: OnSale, user: User, boss: User) -> None:
    run = on_sale(Asked).run(user=user)

    pending_of(run).approve(boss)

    assert lines() == []
    row = run.step_runs.get(name="ship")
    assert row.status == "ready"
    assert carry_due() == 1


def test_a_rejection_undoes_the_run_and_says_why(on_sale: OnSale, user: User, sale: Sale, boss: User) -> None:
    """P46."""
    run = on_sale(Asked).run(user=user)

    reject(run, by=boss, reason="Too many.")

    sale.refresh_from_db()
    assert (run.status, run.failed_step, sale.status) == ("compensated", "review", "open")
    with pytest.raises(ApprovalRejected, match=r"bea has rejected step review: Too many\."):
        run.raise_for_status()
    assert run.approvals.get().status == "rejected"
    assert lines() == []
    assert told(run) == ["requested", "rejected"]
    assert broken() == []


def test_a_rejection_may_be_an_answer_like_another(on_sale: OnSale, user: User) -> None:
    """P46: the declared branch."""
    [buyer] = buyers("bob")
    run = on_sale(Listened).run(user=user)

    reject(run, by=buyer, reason="No.")

    assert run.success
    assert run.value is False
    assert run.results["review"]["comment"] == "No."


def test_a_rejection_without_a_reason_is_refused(on_sale: OnSale, user: User, boss: User) -> None:
    """P48."""
    approval = asked(on_sale, Asked, user)

    with pytest.raises(ReasonMissing, match="says why"):
        approval.reject(boss, "  ")

    assert approval.refresh().pending
    assert told(approval.run) == ["requested", "refused"]
    assert not Vote.objects.exists()


def test_a_decision_stands_for_ever(on_sale: OnSale, user: User, boss: User) -> None:
    """I21."""
    other = person("cem", permission="change_sale")
    approval = asked(on_sale, Asked, user).approve(boss)

    with pytest.raises(AlreadyDecided, match=r"was approved by bea, and that stands") as refused:
        approval.reject(other, "No.")
    with pytest.raises(AlreadyDecided):
        approval.approve(boss)

    assert refused.value.outcome == "approved"
    assert approval.refresh().status == "approved"
    assert [vote.user_label for vote in Vote.objects.all()] == ["bea"]
    assert told(approval.run) == ["requested", "approved", "refused", "refused"]


def test_who_decided_when_and_from_where_is_in_the_history(on_sale: OnSale, user: User, boss: User) -> None:
    """I27."""
    approval = asked(on_sale, Asked, user).approve(boss, "Fine.", source="192.0.2.7")

    event = approval.run.events.get(kind="approval_approved")
    assert (event.actor_id, event.actor_label, event.step) == (boss.pk, "bea", "review")
    assert event.data == {"detail": "Fine.", "vote": "approve", "source": "192.0.2.7"}
    assert Vote.objects.get().source == "192.0.2.7"
    assert "bea" in [entry.who for entry in approval.run.timeline()]


def test_as_many_must_approve_as_the_quorum_says(on_sale: OnSale, user: User) -> None:
    one, two, _three = buyers("ann", "bob", "cem")
    approval = asked(on_sale, TwoOfThree, user)

    approval.approve(one)
    assert approval.pending
    assert approval.run.refresh().waiting_for == "person"
    approval.approve(two)

    assert approval.status == "approved"
    assert told(approval.run) == ["requested", "voted", "approved"]
    carry_due()
    assert approval.run.refresh().success
    assert [vote.user_label for vote in approval.counting_votes] == ["ann", "bob"]
    assert broken() == []


def test_a_person_counts_once(on_sale: OnSale, user: User) -> None:
    """S6."""
    one, _two, _three = buyers("ann", "bob", "cem")
    approval = asked(on_sale, TwoOfThree, user).approve(one)

    with pytest.raises(AlreadyVoted, match="You have voted"):
        approval.approve(one)

    assert approval.refresh().pending


def test_one_rejection_rejects_whatever_the_quorum(on_sale: OnSale, user: User) -> None:
    one, two, _three = buyers("ann", "bob", "cem")
    approval = asked(on_sale, TwoOfThree, user).approve(one)

    approval.reject(two, "No.")

    assert approval.status == "rejected"


def test_all_means_all_whom_the_query_named_when_the_step_was_reached(on_sale: OnSale, user: User) -> None:
    one, two = buyers("ann", "bob")
    approval = asked(on_sale, AllOfThem, user)
    [late] = buyers("late")

    with pytest.raises(ApprovalDenied):
        approval.approve(late)
    approval.approve(one)

    assert (approval.quorum, approval.pending) == (2, True)
    assert approval.approve(two).status == "approved"


def test_who_asked_is_not_among_those_who_are_asked(on_sale: OnSale) -> None:
    one, two = buyers("ann", "bob")

    approval = asked(on_sale, AllOfThem, one)

    assert approval.quorum == 1
    assert [approver.user_id for approver in approval.approvers.all()] == [two.pk]


def test_a_step_that_nobody_can_decide_fails(on_sale: OnSale, user: User) -> None:
    run = on_sale(Nobody).run(user=user)

    assert run.status == "failed"
    with pytest.raises(
        ApproversMissing, match="Step review needs 1 people to approve, and approver_users gave 0"
    ):
        run.raise_for_status()


def test_what_the_form_asks_for_is_validated_and_handed_on(on_sale: OnSale, user: User) -> None:
    [buyer] = buyers("bob")
    approval = asked(on_sale, Filled, user)

    with pytest.raises(InputInvalid) as refused:
        approval.approve(buyer, form={"limit": "many"})
    assert set(refused.value.errors) == {"limit"}
    assert approval.refresh().pending
    approval.approve(buyer, form={"limit": "2.50"})
    carry_due()

    assert approval.run.refresh().value == Decimal("2.50")
    assert Vote.objects.get().form == {"limit": Decimal("2.50")}


def test_a_form_where_none_is_asked_for_is_refused(on_sale: OnSale, user: User, boss: User) -> None:
    approval = asked(on_sale, Asked, user)

    with pytest.raises(InputInvalid):
        approval.approve(boss, form={"limit": 1})


def test_cancelling_a_run_cancels_what_it_asks(on_sale: OnSale, user: User, boss: User) -> None:
    """I9."""
    approval = asked(on_sale, Asked, user)

    approval.run.cancel(user)

    assert approval.refresh().status == "cancelled"
    assert not InboxEntry.objects.exists()
    with pytest.raises(AlreadyDecided, match="was cancelled") as refused:
        approval.approve(boss)
    assert refused.value.outcome == "cancelled"
    assert broken() == []


def test_a_failure_beside_cancels_what_the_run_asks(on_sale: OnSale, user: User) -> None:
    """I9."""
    buyers("bob")
    returns.errors["work"] = [RuntimeError("down")]
    run = on_sale(Parallel).run(user=user)
    approval = pending_of(run)

    carry_due()

    assert run.refresh().status == "compensated"
    assert approval.refresh().status == "cancelled"
    assert not InboxEntry.objects.exists()
    assert broken() == []


def test_observers_are_told_of_the_request_and_of_the_decision(
    on_sale: OnSale, user: User, boss: User, signals: list[dict[str, Any]]
) -> None:
    approval = asked(on_sale, Asked, user)
    assert ("approval_requested", "review") in [(told["kind"], told["step"]) for told in signals]

    approval.approve(boss)

    assert ("approval_approved", "review") in [(told["kind"], told["step"]) for told in signals]


def test_a_retry_asks_again_what_was_rejected(on_sale: OnSale, user: User, boss: User) -> None:
    run = on_sale(Asked).run(user=user)
    reject(run, by=boss, reason="Too many.")

    again = run.retry(SYSTEM)
    approve(again, by=boss)

    assert again.refresh().success
    assert run.approvals.get().status == "rejected"
    assert again.approvals.get().status == "approved"


def test_asking_people_is_not_taken_for_rows_that_a_step_wrote(
    on_sale: OnSale, user: User, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "_reported", set())
    buyers("ann", "bob", "cem")

    asked(on_sale, TwoOfThree, user)

    assert [record for record in caplog.records if record.name == "flowstate.steps"] == []


def test_the_run_shows_what_people_read(on_sale: OnSale, user: User) -> None:
    approval = asked(on_sale, Asked, user)

    assert approval.shown_texts == [
        {"name": "quantity", "label": "Quantity", "text": "3"},
        {"name": "product__name", "label": "Product", "text": "tea"},
    ]
    assert approval.shown == {"quantity": 3, "product__name": "tea"}


def test_a_vote_and_a_decision_cost_the_same_however_many_have_voted(
    on_sale: OnSale, user: User, django_assert_num_queries: Any
) -> None:
    """I30."""
    one, two, _three = buyers("ann", "bob", "cem")
    approval = asked(on_sale, TwoOfThree, user)

    with django_assert_num_queries(STATEMENTS_OF_A_VOTE):
        verbs.approve(approval, user=one)
    with django_assert_num_queries(STATEMENTS_OF_A_DECISION):
        verbs.approve(approval, user=two)


class DecidedInATestCase(TestCase):
    """Everything works inside the transaction of a test."""

    def test_one_line_decides(self) -> None:
        ada, bea = person("ada"), person("bea", permission="change_sale")
        action = Action(Asked, rules=[allow_any])
        run: Run = BoundAction("trial", action, Sale, sale_of(ada)).run(user=ada)

        approve(run, by=bea)

        assert run.success
        assert Approval.objects.get().status == "approved"


def test_a_run_whose_child_asks_people_needs_nobody_to_act(on_sale: OnSale, user: User, boss: User) -> None:
    """It is not listed with the runs that need attention, as neither is the child."""
    run = on_sale(Above).run(user=user)
    carry_due()

    approval = Approval.objects.get()
    assert (approval.run.parent_id, approval.run.waiting_for) == (run.pk, "person")
    assert list(Run.objects.attention()) == []
    approval.approve(boss)
    carry_due()

    assert run.refresh().success
    assert broken() == []


def test_cancelling_a_run_cancels_what_its_child_asks(on_sale: OnSale, user: User) -> None:
    """I9, I24."""
    run = on_sale(Above).run(user=user)
    carry_due()

    run.cancel(user)

    assert Approval.objects.get().status == "cancelled"
    assert not InboxEntry.objects.exists()
    carry_due()
    assert run.refresh().status == "cancelled"
    assert broken() == []
