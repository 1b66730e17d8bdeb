"""A decision is about what was shown: whatever has changed since is shown anew, and asked again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from django.contrib.auth.models import User

from flowstate import SYSTEM, ApprovalChanged, EntityGone
from flowstate.engine.approvals.showing import note_view
from flowstate.engine.carry.messages import carry_run, carry_step
from flowstate.models import Approval, Vote
from flowstate.testing import carry_due
from tests.kiosk import returns
from tests.kiosk.consents import AllOfThem, Asked, Computed, Joined, Spread, TwoOfThree, Unchecked
from tests.kiosk.crew import asked, broken, buyers, lines, pending_of, person, told
from tests.kiosk.models import Sale
from tests.kiosk.stall import OnSale

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    returns.forget()
    yield
    returns.forget()


@pytest.fixture
def boss(db: None) -> User:
    return person("bea", permission="change_sale")


def changed(sale: Sale, quantity: int = 7) -> None:
    Sale.objects.filter(pk=sale.pk).update(quantity=quantity)


def texts(shown: Any) -> dict[str, str]:
    return {item["name"]: item["text"] for item in shown}


def test_a_change_makes_a_decision_a_conflict_that_shows_old_and_new(
    on_sale: OnSale, user: User, sale: Sale, boss: User
) -> None:
    approval = asked(on_sale, Asked, user)
    changed(sale)

    with pytest.raises(ApprovalChanged) as refused:
        approval.approve(boss)

    assert texts(refused.value.old) == {"quantity": "3", "product__name": "tea"}
    assert texts(refused.value.new) == {"quantity": "7", "product__name": "tea"}
    assert approval.refresh().pending
    assert (approval.shown["quantity"], approval.digest) == (7, refused.value.digest)
    assert not Vote.objects.exists()
    assert told(approval.run) == ["requested", "changed", "refused"]


def test_after_a_conflict_the_new_values_can_be_decided(
    on_sale: OnSale, user: User, sale: Sale, boss: User
) -> None:
    approval = asked(on_sale, Asked, user)
    changed(sale)
    with pytest.raises(ApprovalChanged):
        approval.reject(boss, "No.")

    approval.approve(boss, shown_digest=approval.refresh().digest)
    carry_due()

    assert approval.run.refresh().results["review"]["shown"]["quantity"] == 7
    assert lines() == ["ship 7"]
    assert broken() == []


def test_an_old_page_is_a_conflict_though_the_approval_shows_what_there_is(
    on_sale: OnSale, user: User, sale: Sale, boss: User
) -> None:
    approval = asked(on_sale, Asked, user)
    seen = approval.digest
    changed(sale)
    with pytest.raises(ApprovalChanged):
        approval.approve(boss)

    with pytest.raises(ApprovalChanged) as refused:
        approval.approve(boss, shown_digest=seen)
    with pytest.raises(ApprovalChanged) as unknown:
        approval.approve(boss, shown_digest="never")

    assert texts(refused.value.old)["quantity"] == "3"
    assert texts(refused.value.new)["quantity"] == "7"
    assert unknown.value.old == []


def test_what_is_not_shown_may_change(on_sale: OnSale, user: User, sale: Sale, boss: User) -> None:
    approval = asked(on_sale, Asked, user)
    Sale.objects.filter(pk=sale.pk).update(note="other")

    assert approval.approve(boss).status == "approved"


def test_who_had_voted_is_asked_again(on_sale: OnSale, user: User, sale: Sale) -> None:
    ann, bob, _cem = buyers("ann", "bob", "cem")
    approval = asked(on_sale, TwoOfThree, user).approve(ann)
    changed(sale)
    with pytest.raises(ApprovalChanged):
        approval.approve(bob)

    assert approval.refresh().round == 2
    assert approval.approve(bob).pending
    assert approval.approve(ann).status == "approved"
    assert Vote.objects.count() == 3
    assert broken() == []


def test_where_the_step_says_so_earlier_votes_count_still(on_sale: OnSale, user: User, sale: Sale) -> None:
    ann, bob = buyers("ann", "bob")
    approval = asked(on_sale, AllOfThem, user).approve(ann)
    changed(sale)
    with pytest.raises(ApprovalChanged):
        approval.approve(bob)

    assert approval.refresh().approve(bob).status == "approved"


def test_what_a_function_says_is_shown_and_compared(on_sale: OnSale, user: User, sale: Sale) -> None:
    [buyer] = buyers("bob")
    approval = asked(on_sale, Computed, user)
    assert texts(approval.shown_texts) == {"Twice as many": "6"}
    changed(sale)

    with pytest.raises(ApprovalChanged):
        approval.approve(buyer)
    approval.approve(buyer)
    carry_due()

    assert approval.run.refresh().value == {"Twice as many": 14}


def test_what_is_gone_can_be_rejected_but_not_approved(
    on_sale: OnSale, user: User, sale: Sale, boss: User
) -> None:
    approval = asked(on_sale, Asked, user)
    Sale.objects.filter(pk=sale.pk).delete()

    with pytest.raises(EntityGone):
        approval.approve(boss)
    assert approval.refresh().pending

    assert approval.reject(boss, "It is gone.").status == "rejected"


# --- compared once more before it is acted on -----------------------------------------------------------


def test_a_change_before_anybody_acts_on_it_asks_again(
    on_sale: OnSale, user: User, sale: Sale, boss: User
) -> None:
    first = asked(on_sale, Asked, user).approve(boss)
    run = first.run
    changed(sale)

    carry_due()

    second = pending_of(run)
    row = run.step_runs.get(name="review")
    assert (row.status, row.result, row.attempt) == ("waiting", None, second.attempt)
    assert run.step_runs.get(name="ship").status == "blocked"
    assert (first.refresh().status, second.shown["quantity"]) == ("approved", 7)
    assert run.refresh().waiting_for == "person"
    assert told(run) == ["requested", "approved", "reopened", "requested"]
    assert broken() == []

    second.approve(boss)
    carry_due()
    assert lines() == ["ship 7"]
    assert run.refresh().success
    assert broken() == []


def test_a_step_that_is_carried_alone_is_compared_too(
    on_sale: OnSale, user: User, sale: Sale, boss: User
) -> None:
    run = asked(on_sale, Asked, user).approve(boss).run
    changed(sale)

    assert carry_step(run.step_runs.get(name="ship").pk, queue="flowstate") == "blocked"

    assert lines() == []
    assert Approval.objects.count() == 2


def test_once_a_step_was_claimed_nothing_is_compared(on_sale: OnSale, user: User, sale: Sale) -> None:
    [buyer] = buyers("bob")
    run = asked(on_sale, Spread, user).approve(buyer).run
    returns.within["one"] = [lambda: changed(sale)]

    carry_due()

    assert run.refresh().success
    assert lines() == ["one", "two", "both"]
    assert Approval.objects.count() == 1


def test_all_that_has_not_begun_is_blocked_again(on_sale: OnSale, user: User, sale: Sale) -> None:
    [buyer] = buyers("bob")
    run = asked(on_sale, Spread, user).approve(buyer).run
    assert {row.status for row in run.step_runs.filter(name__in=["one", "two"])} == {"ready"}
    changed(sale)

    assert carry_run(str(run.pk), queue="flowstate") == "running"

    assert {row.status for row in run.step_runs.exclude(name="review")} == {"blocked"}
    assert run.step_runs.exclude(wake_at=None).count() == 0
    assert broken() == []


def test_a_join_is_not_begun_with_what_was_approved_and_has_changed(
    on_sale: OnSale, user: User, sale: Sale
) -> None:
    """I7: the branch that ends last does not take the join by its counter alone."""
    [buyer] = buyers("bob")
    run = asked(on_sale, Joined, user).approve(buyer).run
    changed(sale)

    carry_due()

    assert lines() == ["begin", "work"]
    assert run.step_runs.get(name="join").status == "blocked"
    assert broken() == []
    pending_of(run).approve(buyer)
    carry_due()
    assert lines() == ["begin", "work", "join"]
    assert broken() == []


def test_a_step_may_say_that_nothing_is_compared_later(on_sale: OnSale, user: User, sale: Sale) -> None:
    [buyer] = buyers("bob")
    run = asked(on_sale, Unchecked, user).approve(buyer).run
    changed(sale)

    carry_due()

    assert run.refresh().success


def test_the_same_people_are_asked_again(on_sale: OnSale, user: User, sale: Sale) -> None:
    ann, bob, cem = buyers("ann", "bob", "cem")
    run = asked(on_sale, TwoOfThree, user).approve(ann).approve(bob).run
    buyers("late")
    changed(sale)

    carry_due()

    again = pending_of(run)
    assert {row.user_id for row in again.approvers.all()} == {ann.pk, bob.pk, cem.pk}


def test_a_retry_compares_what_it_takes_over(on_sale: OnSale, user: User, sale: Sale) -> None:
    [buyer] = buyers("bob")
    returns.errors["one"] = returns.errors["two"] = [RuntimeError("down")]
    run = asked(on_sale, Spread, user).approve(buyer).run
    carry_due()
    assert run.refresh().status == "failed"
    changed(sale)

    again = run.retry(SYSTEM)

    assert again.refresh().status == "running"
    assert pending_of(again).shown["quantity"] == 7


# --- looking ---------------------------------------------------------------------------------------------


def test_who_looked_at_what_is_written_down_once(on_sale: OnSale, user: User, sale: Sale, boss: User) -> None:
    """I27."""
    approval = asked(on_sale, Asked, user)

    note_view(approval, user=boss, source="192.0.2.7")
    note_view(approval, user=boss)
    assert told(approval.run) == ["requested", "viewed"]

    changed(sale)
    with pytest.raises(ApprovalChanged):
        approval.approve(boss)
    note_view(approval.refresh(), user=boss)
    assert told(approval.run, "viewed") == ["viewed", "viewed"]
