"""What a worker does with a message, called as the worker calls it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from django.contrib.auth.models import User

from flowstate import SYSTEM, Workflow
from flowstate.engine.carry.messages import carry_run, carry_step, drain
from flowstate.models import Run, StepRun
from flowstate.models.clock import db_now
from tests.engine.test_counts import Single
from tests.kiosk import forks, returns
from tests.kiosk.models import Sale
from tests.kiosk.stall import OnSale
from tests.kiosk.statements import Statements
from tests.kiosk.workflows import Bank, Fork, OnASlowQueue, WhoAsks

pytestmark = pytest.mark.django_db(transaction=True)

QUEUE = "flowstate"
Clock = Callable[[float], None]


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    returns.forget()
    yield
    returns.forget()


def fail() -> None:
    raise OSError("no answer")


def charge_of(run: Run) -> StepRun:
    return StepRun.objects.get(run=run, name="charge")


def test_a_retry_waits_in_the_row_and_is_carried_when_its_time_has_come(
    sale: Sale, user: User, bank: Bank, clock: Clock
) -> None:
    """P14, I26: three executions, with waits of one and two seconds."""
    bank.script = [fail, fail]
    run = sale.actions.carry.run(user=user)
    waits = []

    for _attempt in range(2):
        assert carry_step(charge_of(run).pk, queue=QUEUE) == "ready"
        row = charge_of(run)
        assert row.wake_at is not None
        waits.append(row.wake_at - db_now("default"))
        assert carry_step(row.pk, queue=QUEUE) == ""
        assert carry_run(str(run.pk), queue=QUEUE) in {"", "running"}
        clock(waits[-1].total_seconds() + 0.5)
    assert carry_step(charge_of(run).pk, queue=QUEUE) == "done"

    run.refresh()
    row = charge_of(run)
    assert run.success
    assert len(bank.calls) == 3
    assert len(set(bank.calls)) == 1
    assert (row.failures, row.attempt) == (2, 3)
    assert timedelta(seconds=0.3) < waits[0] <= timedelta(seconds=1)
    assert timedelta(seconds=1.3) < waits[1] <= timedelta(seconds=2)


def test_a_look_at_the_run_carries_a_retry_too(sale: Sale, user: User, bank: Bank, clock: Clock) -> None:
    """I13: the step's own message was lost."""
    bank.script = [fail]
    run = sale.actions.carry.run(user=user)
    carry_run(str(run.pk), queue=QUEUE)
    clock(5)

    assert carry_run(str(run.pk), queue=QUEUE) == "succeeded"


def test_a_step_whose_attempts_are_used_up_fails_and_undoes(
    sale: Sale, user: User, bank: Bank, clock: Clock
) -> None:
    """P16, I25."""
    bank.script = [fail, fail, fail]
    run = sale.actions.carry.run(user=user)

    for _attempt in range(3):
        carry_step(charge_of(run).pk, queue=QUEUE)
        clock(10)

    sale.refresh_from_db()
    assert run.refresh().status == "compensated"
    assert run.compensated_steps == ["mark"]
    assert sale.status == "open"
    assert [event.data["again_in"] for event in run.events.order_by("pk")] == [1, 2]
    assert charge_of(run).failures == 3


def test_a_compensation_that_waits_is_carried_when_its_time_has_come(
    sale: Sale, user: User, bank: Bank, clock: Clock
) -> None:
    bank.refund_script = [fail]
    run = sale.actions.carry.run(user=user)
    Sale.objects.all().delete()  # the last step, on the row, will fail

    carry_step(charge_of(run).pk, queue=QUEUE)

    run.refresh()
    assert run.status == "compensating"
    assert carry_run(str(run.pk), queue=QUEUE) == "compensating"
    assert [what for what, _key in bank.calls] == ["charge", "refund"]
    clock(5)
    assert carry_run(str(run.pk), queue=QUEUE) in {"compensated", "attention"}
    assert [what for what, _key in bank.calls] == ["charge", "refund", "refund"]


def test_who_holds_a_step_is_disturbed_by_no_message(sale: Sale, user: User, bank: Bank) -> None:
    """I4."""
    run = sale.actions.carry.run(user=user)
    row = charge_of(run)
    answers: list[str] = []

    def look_again() -> None:
        answers.append(carry_step(row.pk, queue=QUEUE))
        answers.append(carry_run(str(run.pk), queue=QUEUE))

    bank.script = [look_again]

    assert carry_step(row.pk, queue=QUEUE) == "done"

    assert answers == ["", ""]
    assert len(bank.calls) == 1


def test_a_live_run_always_has_a_moment_at_which_somebody_looks(sale: Sale, user: User, bank: Bank) -> None:
    """I12: what is claimed counts with the end of its lease, what waits with its own time."""
    seen: list[Any] = []

    def look() -> None:
        run, row = Run.objects.get(), StepRun.objects.get(status="running")
        seen.append((run.wake_at, row.lease_until, db_now("default")))

    bank.script = [look]
    sale.actions.checkout.run(user=user)
    bank.script = [look]
    Run.objects.all().delete()
    enqueued = sale.actions.checkout.enqueue(user=user)
    carry_run(str(enqueued.pk), queue=QUEUE)

    assert len(seen) == 2
    for wake_at, lease_until, now in seen:
        assert wake_at <= lease_until
        assert lease_until - now > timedelta(seconds=30)


def test_a_worker_leaves_a_step_of_another_queue_to_others(
    sale: Sale, user: User, on_sale: OnSale, bank: Bank
) -> None:
    run = on_sale(OnASlowQueue).enqueue(user=user)

    assert carry_run(str(run.pk), queue=QUEUE) == "running"
    assert bank.calls == []
    assert charge_of(run).status == "ready"
    assert carry_run(str(run.pk), queue="slow") in {"running", "succeeded"}

    assert len(bank.calls) == 1


def test_a_worker_works_through_all_branches() -> None:
    """P20."""
    run = Fork.enqueue(user=SYSTEM)

    assert carry_run(str(run.pk), queue=QUEUE) == "succeeded"

    assert returns.diary.lines[0] == "begin"
    assert sorted(returns.diary.lines[1:3]) == ["left", "right"]
    assert returns.diary.lines[3:] == ["join"]


def test_a_branch_taken_by_another_worker_is_awaited_by_the_join() -> None:
    """I6, I7."""
    run = Fork.enqueue(user=SYSTEM)
    inner: list[str] = []

    def another_worker_takes_right() -> None:
        right = StepRun.objects.get(name="right")
        inner.append(carry_step(right.pk, queue=QUEUE))

    returns.within["left"] = [another_worker_takes_right]

    assert carry_run(str(run.pk), queue=QUEUE) == "succeeded"

    assert inner == ["done"]
    assert returns.diary.lines == ["begin", "left", "right", "join"]
    assert StepRun.objects.get(name="join").attempt == 1


def test_a_branch_that_fails_lets_the_other_one_finish_and_undoes_it() -> None:
    """I15."""
    run = Fork.enqueue(user=SYSTEM)

    def another_worker_fails_right() -> None:
        returns.errors["right"] = [OSError("no")]
        carry_step(StepRun.objects.get(name="right").pk, queue=QUEUE)
        assert Run.objects.get().status == "compensating"
        assert "undo begin" not in returns.diary.lines

    returns.within["left"] = [another_worker_fails_right]

    assert carry_run(str(run.pk), queue=QUEUE) == "compensated"

    assert returns.diary.lines == ["begin", "left", "right", "undo left", "undo begin"]
    assert run.refresh().failed_step == "right"


def test_a_run_whose_code_this_worker_does_not_know_stays_for_another(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """I35."""
    run = Fork.enqueue(user=SYSTEM)
    Run.objects.update(workflow="tests.kiosk.workflows.Tomorrow")
    row = StepRun.objects.get(name="begin")

    assert carry_run(str(run.pk), queue=QUEUE) == ""
    assert carry_step(row.pk, queue=QUEUE) == ""

    assert StepRun.objects.get(name="begin").status == "ready"
    assert "The run stays as it is for a worker that knows it" in caplog.text


def test_a_step_that_this_workers_code_does_not_have_stays_for_another(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """I35."""
    run = Fork.enqueue(user=SYSTEM)
    StepRun.objects.filter(name="join").update(name="tomorrow")

    assert carry_run(str(run.pk), queue=QUEUE) == ""

    assert returns.diary.lines == []
    assert "needs step 'tomorrow' of tests.kiosk.workflows.Fork" in caplog.text


def test_the_user_of_a_carried_run_is_who_asked(sale: Sale, user: User, on_sale: OnSale) -> None:
    asked = on_sale(WhoAsks).enqueue(user=user)
    system = on_sale(WhoAsks).enqueue(user=SYSTEM)
    gone = on_sale(WhoAsks).enqueue(user=User.objects.create_user("eve"))
    User.objects.filter(username="eve").delete()
    for run in (asked, system, gone):
        carry_run(str(run.pk), queue=QUEUE)

    assert [run.refresh().value for run in (asked, system, gone)] == ["ada", "SYSTEM", "None"]
    assert gone.requested_by_label == "eve"


def test_a_worker_stays_within_its_budget_of_statements() -> None:
    """C5."""
    Single.run(user=SYSTEM)
    run = Single.enqueue(user=SYSTEM)

    with Statements() as said:
        assert carry_run(str(run.pk), queue=QUEUE) == "succeeded"

    n = 3
    assert len(said.work) <= len(said.domain) + 2 * n + 2, said.work
    assert said.commits <= n + 1


def test_what_has_priority_counts_as_having_waited_longer(user: User, sale: Sale) -> None:
    """C6: of two runs that were queued, the later one is carried first."""
    usual = sale.actions.touch.enqueue(user=user)
    urgent = sale.actions.hurry.enqueue(user=user)

    drain(QUEUE, wake_next=lambda: None, stopping=lambda: False)

    ended = Run.objects.order_by("ended_at").values_list("pk", flat=True)
    assert list(ended) == [urgent.pk, usual.pk]


class Branches(Workflow):
    """Begins with two branches."""

    left = forks.undoable("left", depends_on=(), background=True)
    right = forks.undoable("right", depends_on=(), background=True)
    both = forks.undoable("both", depends_on=[left, right])


def test_a_worker_that_takes_one_of_several_first_steps_wakes_another_before_it() -> None:
    """P20: branches with which a run begins are at work at the same time, too."""
    forks.forget()
    run = Branches.enqueue(user=SYSTEM)
    told: list[str] = []
    forks.within["left"] = lambda: told.append("left is at work")

    drain(QUEUE, wake_next=lambda: told.append("woken"), stopping=lambda: False)

    assert told[:2] == ["woken", "left is at work"]
    assert run.refresh().success
