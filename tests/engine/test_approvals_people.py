"""Who may decide: judged in the deciding transaction, whoever stands in for whom."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from django.contrib.auth.models import Group, User
from django.utils import timezone

from flowstate import (
    SYSTEM,
    AlreadyVoted,
    ApprovalDenied,
    DelegationInvalid,
    InputInvalid,
    ReassignmentInvalid,
)
from flowstate.engine.approvals.handing import delegate, end_delegation
from flowstate.engine.approvals.inbox import inbox_of
from flowstate.models import Approval, ApprovalDelegate, Vote
from flowstate.testing import carry_due
from tests.kiosk.consents import Above, AllOfThem, Asked, Escalating, Filled, Opaque, TwoOfThree
from tests.kiosk.crew import asked, broken, buyers, pending_of, person, told
from tests.kiosk.models import Sale
from tests.kiosk.stall import OnSale

pytestmark = pytest.mark.django_db(transaction=True)

WEEK = timedelta(days=7)


def soon() -> Any:
    return timezone.now() + WEEK


def why(decide: Callable[[], Any]) -> str:
    with pytest.raises(ApprovalDenied) as refused:
        decide()
    return refused.value.why


def test_who_asked_does_not_decide_and_neither_does_a_superuser_who_asked(on_sale: OnSale) -> None:
    """S5, I23."""
    root = person("root", superuser=True)
    approval = asked(on_sale, Asked, root)

    assert why(lambda: approval.approve(root)) == "own_request"
    assert why(lambda: approval.reject(root, "No.")) == "own_request"
    assert not approval.may_decide(root)
    assert approval.refresh().pending
    assert told(approval.run) == ["requested", "refused", "refused"]


def test_who_asked_first_does_not_decide_about_a_retry_by_somebody_else(on_sale: OnSale, user: User) -> None:
    """S5."""
    bea, cem = person("bea", permission="change_sale"), person("cem", permission="change_sale")
    first = asked(on_sale, Asked, bea).reject(cem, "No.").run
    carry_due()
    again = first.refresh().retry(SYSTEM)

    assert again.requested_by_id is None
    assert why(lambda: again.approvals.get().approve(bea)) == "own_request"
    assert again.approvals.get().approve(cem).status == "approved"


def test_who_asked_first_does_not_decide_about_a_child_of_the_retry(on_sale: OnSale) -> None:
    """S5. The child is new and has the name of who retried; who asked for what it works for stays who asked."""
    bea, cem = person("bea", permission="change_sale"), person("cem", permission="change_sale")
    run = on_sale(Above).run(user=bea)
    carry_due()
    Approval.objects.get().reject(cem, "No.")
    carry_due()
    run.refresh().retry(SYSTEM)
    carry_due()

    approval = Approval.objects.pending().get()
    assert why(lambda: approval.approve(bea)) == "own_request"
    assert [row.pk for row in inbox_of(bea).approvals] == []
    assert approval.approve(cem).status == "approved"


def test_who_asked_first_is_not_among_those_whom_a_retry_asks(on_sale: OnSale) -> None:
    """Otherwise "all" could never be reached."""
    ann, bob, cem = buyers("ann", "bob", "cem")
    first = asked(on_sale, AllOfThem, ann).reject(bob, "No.").run
    carry_due()

    approval = pending_of(first.refresh().retry(SYSTEM))

    assert approval.quorum == 2
    approval.approve(bob)
    assert approval.approve(cem).status == "approved"


def test_a_row_of_another_model_is_nobody(on_sale: OnSale, user: User) -> None:
    bea = person("bea", permission="change_sale")
    approval = asked(on_sale, Asked, user)

    assert why(lambda: approval.approve(Sale(pk=bea.pk))) == "no_person"


@pytest.mark.parametrize("form", [None, [], {"limit": "NaN"}, {"limit": "1", "\x00": 1}])
def test_a_form_that_is_none_is_refused_and_kept_in_the_history(
    on_sale: OnSale, user: User, form: object
) -> None:
    """What nobody could store, such as a NUL character, is no reason to lose the refusal."""
    [bob] = buyers("bob")
    approval = asked(on_sale, Filled, user)

    with pytest.raises(InputInvalid):
        approval.approve(bob, form=form, source="192.0.2.7\x00")
    assert told(approval.run) == ["requested", "refused"]
    assert approval.approve(bob, form={"limit": "1"}, source="\x00").status == "approved"


def test_without_four_eyes_who_asked_may_decide(on_sale: OnSale, user: User) -> None:
    approval = asked(on_sale, Escalating, user)

    assert approval.approve(user).status == "approved"


@pytest.mark.parametrize(("workflow", "admitted"), [(Asked, True), (Filled, False), (TwoOfThree, False)])
def test_other_superusers_decide_only_where_the_approvers_admit_them(
    on_sale: OnSale, user: User, workflow: Any, *, admitted: bool
) -> None:
    buyers("bob", "cem")
    approval = asked(on_sale, workflow, user)

    assert approval.may_decide(person("root", superuser=True)) is admitted


def test_authority_that_was_lost_since_the_page_was_shown_is_no_authority(
    on_sale: OnSale, user: User
) -> None:
    """I23, reliability row 34: the user in hand still has its old permissions."""
    bea = person("bea", permission="change_sale")
    approval = asked(on_sale, Asked, user)
    assert bea.has_perm("kiosk.change_sale")
    User.objects.get(pk=bea.pk).user_permissions.clear()

    assert bea.has_perm("kiosk.change_sale")
    assert why(lambda: approval.approve(bea)) == "not_allowed"
    assert approval.refresh().pending


def test_who_was_deactivated_or_is_gone_does_not_decide(on_sale: OnSale, user: User) -> None:
    """I23, reliability row 34."""
    bea, cem = person("bea", permission="change_sale"), person("cem", permission="change_sale")
    approval = asked(on_sale, Asked, user)
    User.objects.filter(pk=bea.pk).update(is_active=False)
    gone = User(pk=cem.pk, username="cem")
    cem.delete()

    assert why(lambda: approval.approve(bea)) == "inactive"
    assert why(lambda: approval.approve(gone)) == "no_person"
    assert why(lambda: approval.approve(SYSTEM)) == "no_person"
    assert why(lambda: approval.approve(None)) == "no_person"


def test_who_was_named_needs_no_group_any_more_but_must_be_active(on_sale: OnSale, user: User) -> None:
    ann, bob, cem = buyers("ann", "bob", "cem")
    approval = asked(on_sale, TwoOfThree, user)
    Group.objects.get(name="buyers").user_set.clear()
    User.objects.filter(pk=cem.pk).update(is_active=False)

    approval.approve(ann)

    assert why(lambda: approval.approve(cem)) == "inactive"
    assert approval.approve(bob).status == "approved"


def test_a_rule_that_breaks_the_transaction_lets_nobody_in(on_sale: OnSale, user: User, sale: Sale) -> None:
    Sale.objects.filter(pk=sale.pk).update(note="a")
    [ann] = buyers("ann")
    approval = asked(on_sale, Opaque, user)

    assert approval.may_decide(ann)
    assert not approval.may_decide(person("bob"))
    assert approval.approve(ann).status == "approved"


# --- standing in -----------------------------------------------------------------------------------------


def test_who_stands_in_decides_for_a_time(
    on_sale: OnSale, user: User, clock: Callable[[float], None]
) -> None:
    bea, stand_in = person("bea", permission="change_sale"), person("sam")
    approval = asked(on_sale, Asked, user)
    assert not approval.may_decide(stand_in)

    row = delegate(user=bea, to=stand_in, until=soon())
    assert approval.may_decide(stand_in)
    clock(WEEK.total_seconds() + 1)
    assert not approval.may_decide(stand_in)
    clock(-WEEK.total_seconds() - 1)

    approval.approve(stand_in)
    vote = Vote.objects.get()
    assert (vote.user_label, vote.voice_label) == ("sam", "bea")
    assert (row.made_by_label, row.delegator_id, row.delegate_id) == ("bea", bea.pk, stand_in.pk)
    event = approval.run.events.get(kind="approval_approved")
    assert event.data["for_user"] == "bea"


def test_nobody_stands_in_for_who_asked(on_sale: OnSale) -> None:
    """S5."""
    bea, cem = person("bea", permission="change_sale"), person("cem", permission="change_sale")
    delegate(user=bea, to=cem, until=soon())
    approval = asked(on_sale, Asked, bea)

    assert why(lambda: approval.approve(cem)) == "stands_in_for_requester"


def test_nobody_stands_in_for_who_stands_in_for_who_asked(on_sale: OnSale) -> None:
    """S5. Who stands in may what the other may, and the other may not decide this."""
    bea, cem = person("bea", permission="change_sale"), person("cem", permission="change_sale")
    sam = person("sam")
    row = delegate(user=bea, to=cem, until=soon())
    delegate(user=cem, to=sam, until=soon())
    approval = asked(on_sale, Asked, bea)

    assert why(lambda: approval.approve(sam)) == "not_allowed"
    assert [one.pk for one in inbox_of(sam).approvals] == []
    assert end_delegation(row, user=cem)
    assert approval.approve(sam).status == "approved"


def test_a_right_to_decide_is_used_once_by_whoever(on_sale: OnSale, user: User) -> None:
    ann, bob, _cem = buyers("ann", "bob", "cem")
    sam = person("sam")
    delegate(user=ann, to=sam, until=soon())
    delegate(user=bob, to=sam, until=soon())
    approval = asked(on_sale, TwoOfThree, user).approve(sam)

    with pytest.raises(AlreadyVoted, match="stands in for you"):
        approval.approve(ann)
    with pytest.raises(AlreadyVoted, match="You have voted"):
        approval.approve(sam)
    assert approval.approve(bob).status == "approved"


def test_standing_in_is_ended_by_the_two_and_by_operators(on_sale: OnSale, user: User) -> None:
    bea, sam = person("bea", permission="change_sale"), person("sam")
    row = delegate(user=bea, to=sam, until=soon())

    with pytest.raises(DelegationInvalid):
        end_delegation(row, user=user)
    assert end_delegation(row, user=sam)
    assert not end_delegation(row, user=sam)
    assert not ApprovalDelegate.objects.now().exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"until": timezone.now()}, "over before it begins"),
        ({"until": timezone.now() + WEEK, "since": timezone.now() + 2 * WEEK}, "over before it begins"),
        ({"until": (timezone.now() + WEEK).replace(tzinfo=None)}, "no time zone"),
        ({"until": datetime(9999, 12, 31, tzinfo=UTC)}, "more than 3660 days"),
    ],
)
def test_a_time_that_is_none_is_refused(db: None, options: dict[str, Any], words: str) -> None:
    with pytest.raises(DelegationInvalid, match=words):
        delegate(user=person("bea"), to=person("sam"), **options)


def test_nobody_has_stood_in_before_it_was_said(db: None) -> None:
    long_ago = datetime(1, 1, 1, tzinfo=UTC)

    row = delegate(user=person("bea"), to=person("sam"), since=long_ago, until=soon())

    assert abs(row.since - row.made_at) < timedelta(minutes=1)


def test_nobody_appoints_for_others_or_themselves(db: None) -> None:
    bea, sam = person("bea"), person("sam")

    with pytest.raises(DelegationInvalid, match="stands in for themselves"):
        delegate(user=bea, to=bea, until=soon())
    with pytest.raises(DelegationInvalid, match="who may operate all runs"):
        delegate(user=sam, to=sam, delegator=bea, until=soon())
    root = person("root", superuser=True)
    with pytest.raises(DelegationInvalid, match="appoints themselves"):
        delegate(user=root, to=root, delegator=bea, until=soon())
    assert delegate(user=root, to=sam, delegator=bea, until=soon()).pk


# --- handing on --------------------------------------------------------------------------------------------


def test_a_decision_is_handed_to_somebody_else_who_is_allowed(on_sale: OnSale, user: User) -> None:
    bea, cem = person("bea", permission="change_sale"), person("cem", permission="change_sale")
    approval = asked(on_sale, Asked, user).reassign(bea, to=cem, reason="On leave.", source="192.0.2.7")

    assert why(lambda: approval.approve(bea)) == "not_allowed"
    assert [row.pk for row in inbox_of(bea).approvals] == []
    assert [row.pk for row in inbox_of(cem).approvals] == [approval.pk]
    assert approval.approve(cem).status == "approved"
    event = approval.run.events.get(kind="approval_reassigned")
    assert (event.actor_label, event.data["detail"]) == ("bea", "bea → cem: On leave.")
    assert broken() == []


@pytest.mark.parametrize(
    ("to", "words"),
    [("sam", "rules do not let them"), ("ada", "who asked"), ("bea", "have it already"), (None, "nobody")],
)
def test_it_is_handed_to_nobody_else(on_sale: OnSale, user: User, to: str | None, words: str) -> None:
    bea = person("bea", permission="change_sale")
    person("sam")
    approval = asked(on_sale, Asked, user)

    with pytest.raises(ReassignmentInvalid, match=words):
        approval.reassign(bea, to=to and User.objects.get(username=to))
    assert told(approval.run) == ["requested", "refused"]


def test_who_asked_does_not_choose_who_decides(on_sale: OnSale) -> None:
    root, cem = person("root", superuser=True), person("cem", permission="change_sale")
    bea = person("bea", permission="change_sale")
    approval = asked(on_sale, Asked, root)

    assert why(lambda: approval.reassign(root, to=cem, instead_of=bea)) == "own_request"


def test_named_people_hand_on_to_whom_the_query_names_and_operators_to_anybody(
    on_sale: OnSale, user: User
) -> None:
    ann, bob = buyers("ann", "bob")
    approval = asked(on_sale, AllOfThem, user)
    sam, root = person("sam"), person("root", superuser=True)

    with pytest.raises(ReassignmentInvalid, match="does not name them"):
        approval.reassign(ann, to=sam)
    with pytest.raises(ReassignmentInvalid, match="asked already"):
        approval.reassign(ann, to=bob)
    [late] = buyers("late")
    approval.reassign(ann, to=late)
    approval.reassign(root, to=sam, instead_of=bob)

    assert approval.quorum == 2
    approval.approve(late)
    assert approval.approve(sam).status == "approved"


def test_an_operator_does_not_name_themselves(on_sale: OnSale, user: User) -> None:
    """S5. A superuser decides only where the approvers admit them."""
    _ann, bob = buyers("ann", "bob")
    root = person("root", superuser=True)
    approval = asked(on_sale, AllOfThem, user)

    with pytest.raises(ReassignmentInvalid, match="does not name them"):
        approval.reassign(root, to=root, instead_of=bob)
    assert why(lambda: approval.approve(root)) == "not_allowed"


def test_a_decision_is_handed_back(on_sale: OnSale, user: User) -> None:
    bea, cem = person("bea", permission="change_sale"), person("cem", permission="change_sale")
    approval = asked(on_sale, Asked, user).reassign(bea, to=cem)

    approval.reassign(cem, to=bea)

    assert why(lambda: approval.approve(cem)) == "not_allowed"
    assert [row.pk for row in inbox_of(bea).approvals] == [approval.pk]
    assert approval.approve(bea).status == "approved"


def test_nothing_is_handed_to_who_has_voted_for_another(on_sale: OnSale, user: User) -> None:
    """They have no second vote, so that "all" could never be reached."""
    ann, bob = buyers("ann", "bob")
    sam = person("sam")
    delegate(user=ann, to=sam, until=soon())
    approval = asked(on_sale, AllOfThem, user).approve(sam)
    person("sam", group="buyers")

    with pytest.raises(ReassignmentInvalid, match="voted for somebody else"):
        approval.reassign(bob, to=sam)


def test_a_stranger_hands_on_nothing(on_sale: OnSale, user: User) -> None:
    bea, cem = person("bea", permission="change_sale"), person("cem", permission="change_sale")
    approval = asked(on_sale, Asked, user)

    assert why(lambda: approval.reassign(person("sam"), to=cem, instead_of=bea)) == "not_allowed"
