"""Functions that ask people: the votes, the inbox, the end of the time, and what has changed meanwhile."""

from __future__ import annotations

import pytest

from django.contrib.auth.models import User

from flowstate import ApprovalRejected, RunConflict
from flowstate.engine.approvals.inbox import inbox_of
from flowstate.engine.carry.sweep import sweep
from flowstate.models import Run
from flowstate.testing import approve, carry_due, move_clock, reject
from tests.kiosk import functions, returns
from tests.kiosk.calls import broken, carry, lines, statuses
from tests.kiosk.crew import pending_of, person, told
from tests.kiosk.functions import consult
from tests.kiosk.models import Sale
from tests.kiosk.stall import OnSale

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("forgotten")]


@pytest.fixture
def boss(db: None) -> User:
    return person("bea", permission="change_sale")


@pytest.fixture
def run(on_sale: OnSale, user: User, boss: User) -> Run:
    return on_sale(consult).run(user=user)


def test_a_function_waits_for_people_and_holds_nothing(run: Run) -> None:
    """P44, I29."""
    assert statuses(run) == {"reserve": "done", "review": "waiting", "function": "blocked"}
    assert (run.waiting_for, told(run)) == ("person", ["requested"])
    assert lines() == ["reserve"]
    assert broken() == []


def test_it_goes_on_with_what_was_approved(run: Run, boss: User) -> None:
    """P45: whoever votes has never called the function, and calls it for what the step says."""
    approve(run, by=boss)

    assert (run.refresh().value, lines()) == ("bea", ["reserve", "ship 3"])
    assert told(run) == ["requested", "approved"]
    assert broken() == []


def test_a_rejection_fails_the_run_and_undoes_it(run: Run, boss: User) -> None:
    """P46."""
    reject(run, by=boss, reason="Too many.")

    assert (run.refresh().status, run.failed_step) == ("compensated", "review")
    assert lines() == ["reserve", "undo reserve"]
    with pytest.raises(ApprovalRejected):
        run.raise_for_status()
    assert broken() == []


def test_a_rejection_may_be_an_answer_like_another(on_sale: OnSale, user: User, boss: User) -> None:
    functions.turns["on_reject"] = "continue"
    run = on_sale(consult).run(user=user)

    reject(run, by=boss, reason="Too many.")

    assert (run.refresh().status, run.value, lines()) == ("succeeded", "left it", ["reserve"])
    assert broken() == []


def test_it_is_in_the_inbox_of_who_may_decide(run: Run, boss: User) -> None:
    assert [approval.pk for approval in inbox_of(boss).approvals] == [pending_of(run).pk]
    assert inbox_of(person("carl")).approvals == []


def test_a_sweep_ends_its_time(run: Run) -> None:
    """Nobody else is there: what the end of the time means says the function, called by the sweeper."""
    with move_clock(seconds=3700):
        sweep()
        carry(run)

    assert (run.refresh().status, run.failed_step) == ("compensated", "review")
    assert told(run) == ["requested", "expired"]
    assert broken() == []


def test_what_has_changed_since_is_asked_again_before_the_function_goes_on(run: Run, boss: User) -> None:
    """The function is the first that depends on the approval: it never sees what does not hold any more."""
    pending_of(run).approve(boss)
    Sale.objects.update(quantity=5)

    carry_due()
    assert statuses(run) == {"reserve": "done", "review": "waiting", "function": "blocked"}
    approve(run, by=boss)

    assert run.refresh().success
    assert lines() == ["reserve", "ship 5"]
    assert broken() == []


def test_once_the_function_has_gone_on_nothing_is_compared(run: Run, boss: User) -> None:
    def change() -> None:
        Sale.objects.update(quantity=5)

    returns.within["ship 3"] = [change]
    approve(run, by=boss)

    assert run.refresh().success
    assert lines() == ["reserve", "ship 3"]
    assert told(run) == ["requested", "approved"]


def test_a_function_that_does_not_come_to_its_approval_leaves_it_undecided(run: Run, boss: User) -> None:
    """What a vote or the end of the time means says code that is not there: nothing is settled by guessing."""
    run.step_runs.filter(name="reserve").update(name="earlier")
    pending = pending_of(run)

    with pytest.raises(RunConflict):
        pending.approve(boss)
    with move_clock(seconds=3700):
        sweep()
        carry(run)

    assert statuses(run)["review"] == "waiting"
    assert run.refresh().status == "running"
