"""What time does to a question: reminders, expiry, and others who are asked then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from django.contrib.auth.models import User

from flowstate import ApprovalExpired, ApprovalTimeout
from flowstate.engine.approvals.inbox import inbox_of
from flowstate.engine.carry.sweep import sweep
from flowstate.models import Run
from flowstate.models.clock import FAR_FUTURE
from flowstate.testing import carry_due
from tests.kiosk import returns
from tests.kiosk.consents import DAY, HOUR, AnswerOrTime, Asked, Escalating, Lenient, Listened
from tests.kiosk.crew import asked, broken, buyers, lines, person, told
from tests.kiosk.models import Sale
from tests.kiosk.stall import OnSale

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    returns.forget()
    yield
    returns.forget()


def test_nobody_looks_at_a_run_before_its_question_expires(
    on_sale: OnSale, user: User, clock: Callable[[float], None]
) -> None:
    """I26, I29: it waits without being looked at."""
    approval = asked(on_sale, Asked, user)

    clock(7 * DAY - 60)
    assert sweep() == 0

    assert approval.run.refresh().wake_at == approval.run.step_runs.get(name="review").wake_at
    assert approval.refresh().pending


def test_a_question_that_expires_fails_the_step_and_is_too_late_to_decide(
    on_sale: OnSale, user: User, sale: Sale, clock: Callable[[float], None]
) -> None:
    """P47, I22."""
    bea = person("bea", permission="change_sale")
    approval = asked(on_sale, Asked, user)

    clock(7 * DAY + 1)
    with pytest.raises(ApprovalExpired, match="too late"):
        approval.approve(bea)
    carry_due()

    sale.refresh_from_db()
    run = approval.run.refresh()
    assert (approval.refresh().status, run.status, sale.status) == ("expired", "compensated", "open")
    with pytest.raises(ApprovalTimeout, match="Step review was not approved within 604800 seconds"):
        run.raise_for_status()
    assert told(run) == ["requested", "expired", "refused"]
    assert lines() == []
    assert broken() == []


def test_the_sweeper_lets_a_question_expire(
    on_sale: OnSale, user: User, clock: Callable[[float], None]
) -> None:
    """P47."""
    approval = asked(on_sale, Asked, user)

    clock(7 * DAY + 1)
    assert sweep() == 1

    assert approval.refresh().status == "expired"
    assert approval.run.refresh().status == "compensating"
    assert inbox_of(person("bea", permission="change_sale")).approvals == []


def test_silence_may_be_consent(on_sale: OnSale, user: User, clock: Callable[[float], None]) -> None:
    approval = asked(on_sale, Lenient, user)

    clock(HOUR + 1)
    carry_due()

    run = approval.run.refresh()
    assert (run.status, run.value) == ("succeeded", 3)
    assert run.results["review"]["expired"] is True
    assert run.results["review"]["who"] == ""
    assert broken() == []


def test_silence_may_be_an_answer_like_another(
    on_sale: OnSale, user: User, clock: Callable[[float], None]
) -> None:
    approval = asked(on_sale, Listened, user)

    clock(HOUR + 1)
    carry_due()

    assert approval.run.refresh().value is False


def test_people_are_reminded_before_it_expires(
    on_sale: OnSale, user: User, clock: Callable[[float], None], signals: list[dict[str, Any]]
) -> None:
    approval = asked(on_sale, Escalating, user)
    run = approval.run

    clock(DAY - 6 * HOUR + 1)
    assert sweep() == 1
    assert sweep() == 0
    assert told(run) == ["requested", "reminded"]
    clock(4 * HOUR)
    carry_due()

    assert told(run) == ["requested", "reminded", "reminded"]
    kinds = [(told["kind"], told["status"]) for told in signals]
    assert kinds.count(("approval_reminded", "running")) == 2
    assert approval.refresh().pending
    assert run.refresh().wake_at == run.step_runs.get(name="review").wake_at == approval.expires_at
    assert broken() == []


def test_reminders_that_nobody_sent_in_time_are_one(
    on_sale: OnSale, user: User, clock: Callable[[float], None]
) -> None:
    approval = asked(on_sale, Escalating, user)

    clock(DAY - HOUR)
    carry_due()

    assert told(approval.run) == ["requested", "reminded"]


def test_after_its_time_others_are_asked_too(
    on_sale: OnSale, user: User, clock: Callable[[float], None]
) -> None:
    boss = person("bob", group="bosses")
    approval = asked(on_sale, Escalating, user)
    assert not approval.may_decide(boss)
    assert inbox_of(boss).approvals == []

    clock(DAY + 1)
    carry_due()

    assert [row.pk for row in inbox_of(boss).approvals] == [approval.pk]
    assert approval.refresh().pending
    assert approval.run.refresh().wake_at == FAR_FUTURE
    assert approval.may_decide(user)
    approval.approve(boss)
    carry_due()
    assert approval.run.refresh().value == "bob"
    assert told(approval.run) == ["requested", "escalated", "approved"]
    assert broken() == []


def test_who_decides_late_finds_others_asked_already(
    on_sale: OnSale, user: User, clock: Callable[[float], None]
) -> None:
    """Nobody has swept: the decision itself lets time have its say first."""
    boss = person("bob", group="bosses")
    approval = asked(on_sale, Escalating, user)

    clock(DAY + 1)

    assert approval.approve(boss).status == "approved"


@pytest.mark.parametrize(("decided", "status"), [(True, "approved"), (False, "cancelled")])
def test_of_a_decision_and_a_timer_the_first_wins(
    on_sale: OnSale, user: User, clock: Callable[[float], None], *, decided: bool, status: str
) -> None:
    """I9: what lost the race is cancelled, and in nobody's inbox."""
    [buyer] = buyers("bob")
    approval = asked(on_sale, AnswerOrTime, user)

    if decided:
        approval.approve(buyer)
    clock(HOUR + 1)
    carry_due()

    assert approval.refresh().status == status
    assert approval.run.refresh().value is decided
    assert inbox_of(buyer).approvals == []
    assert broken() == []


def test_a_refusal_after_its_time_leaves_the_run_where_time_has_brought_it(
    on_sale: OnSale, user: User, clock: Callable[[float], None]
) -> None:
    [buyer] = buyers("bob")
    approval = asked(on_sale, Lenient, user)

    clock(HOUR + 1)
    with pytest.raises(ApprovalExpired):
        approval.reject(buyer, "No.")

    assert approval.refresh().status == "expired"
    assert Run.objects.get().step_runs.get(name="last").status == "ready"
