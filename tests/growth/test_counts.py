"""What nothing costs: messages too many, sweeps and drains that find nothing, runs that wait; and joins. I30."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from flowstate import SYSTEM
from flowstate.engine.carry.messages import carry_run, carry_step, drain
from flowstate.engine.carry.sweep import sweep
from flowstate.models import Run, RunStatus, StepRun
from tests.engine.test_counts import Single
from tests.faults import post
from tests.kiosk import returns
from tests.kiosk.models import Sale
from tests.kiosk.stall import clock, fixture_bank, on_sale, sale, user
from tests.kiosk.statements import Statements
from tests.kiosk.workflows import Bank, Fork

__all__ = ["clock", "fixture_bank", "on_sale", "sale", "user"]

pytestmark = pytest.mark.django_db(transaction=True)

QUEUE = "flowstate"


@pytest.fixture(autouse=True)
def world(settings: Any) -> Iterator[None]:
    settings.FLOWSTATE = {"CARRIER": post.PATH}
    post.letters.clear()
    returns.forget()
    yield
    post.letters.clear()
    returns.forget()


def said_by(what: Callable[[], object]) -> Statements:
    with Statements() as said:
        what()
    return said


def drained() -> int:
    return drain(QUEUE, wake_next=post.Post().wake, stopping=lambda: False)  # type: ignore[arg-type]


def reads_once(said: Statements) -> bool:
    return len(said.all) == 1 and said.all[0].startswith("SELECT")


def a_retry_that_waits(sale: Sale, user: Any, bank: Bank) -> Run:
    """Return a run whose step is to be tried again, in a second, and whose messages were delivered."""

    def fail() -> None:
        raise OSError("no answer")

    bank.script = [fail]
    run: Run = sale.actions.carry.run(user=user)
    carry_run(str(run.pk), queue=QUEUE)
    post.letters.clear()
    assert run.refresh().waiting_for == "time"
    return run


def test_a_message_for_a_run_that_has_ended_costs_one_statement() -> None:
    run = Single.enqueue(user=SYSTEM)
    step = run.step_runs.get(name="one")
    carry_run(str(run.pk), queue=QUEUE)
    post.letters.clear()

    for message in (
        lambda: carry_run(str(run.pk), queue=QUEUE),
        lambda: carry_step(step.pk, queue=QUEUE),
        drained,
    ):
        assert reads_once(said_by(message))
    assert post.letters == []


def test_a_doubled_message_for_a_run_at_work_costs_one_statement_and_disturbs_nobody() -> None:
    run = Fork.enqueue(user=SYSTEM)
    heard: list[Statements] = []

    def again() -> None:
        row = StepRun.objects.get(name="begin")
        heard.append(said_by(lambda: carry_run(str(run.pk), queue=QUEUE)))
        heard.append(said_by(lambda: carry_step(row.pk, queue=QUEUE)))
        heard.append(said_by(drained))

    returns.within["begin"] = [again]

    assert carry_run(str(run.pk), queue=QUEUE) == "succeeded"

    assert [reads_once(said) for said in heard] == [True, True, True]
    assert returns.diary.lines.count("begin") == 1


def test_an_idle_sweep_costs_one_statement_and_no_message() -> None:
    """C11."""
    Single.run(user=SYSTEM)
    post.letters.clear()

    for order in ("oldest", "newest", "random"):
        assert reads_once(said_by(lambda order=order: sweep(order=order)))  # type: ignore[misc]
    assert post.letters == []


def test_runs_that_wait_cost_a_sweep_and_a_drain_nothing(
    sale: Sale, user: Any, bank: Bank, clock: Callable[[float], None]
) -> None:
    """C11: until their time has come."""
    run = a_retry_that_waits(sale, user, bank)
    step = run.step_runs.get(name="charge")

    for look in (sweep, drained, lambda: carry_step(step.pk, queue=QUEUE)):
        assert reads_once(said_by(look))
    assert post.letters == []

    clock(5)
    assert sweep() == 1
    assert len(post.letters) == 1


def test_a_stale_message_for_a_run_whose_step_waits_has_the_database_say_when(
    sale: Sale, user: Any, bank: Bank
) -> None:
    """One statement more, which changes nothing: only the database's clock knows whether its time has come."""
    run = a_retry_that_waits(sale, user, bank)

    said = said_by(lambda: carry_run(str(run.pk), queue=QUEUE))

    assert [sql.split()[0] for sql in said.all] == ["SELECT", "UPDATE"]
    assert len(bank.calls) == 1
    assert run.refresh().step_runs.get(name="charge").attempt == 1
    assert post.letters == []


def test_a_run_that_needs_a_person_costs_a_sweep_nothing(sale: Sale, user: Any, bank: Bank) -> None:
    """C11."""
    run = a_retry_that_waits(sale, user, bank)
    Run.objects.begin_undoing(run.pk, wake_in=0)
    assert Run.objects.need_attention(run.pk, was=RunStatus.COMPENSATING)

    assert reads_once(said_by(sweep))
    assert reads_once(said_by(drained))
    assert post.letters == []


def test_a_branch_counts_its_join_down_in_one_statement_and_the_last_goes_on_without_a_message() -> None:
    """C9: beside its own finish."""
    run = Fork.enqueue(user=SYSTEM)
    begin, right = (run.step_runs.get(name=name).pk for name in ("begin", "right"))
    heard: list[list[str]] = []

    def finish_right_meanwhile() -> None:
        post.letters.clear()
        heard.append(said_by(lambda: carry_step(right, queue=QUEUE)).work)

    returns.within["left"] = [finish_right_meanwhile]

    with Statements() as said:
        assert carry_step(begin, queue=QUEUE) == "done"

    [first] = heard
    took_up, finished, counted_down, claimed_the_join = 3, 1, 1, 1
    assert len(first) == took_up + finished + counted_down, first
    met = said.work.index(first[-1]) + 1
    last = said.work[met : met + finished + counted_down + claimed_the_join]
    assert [sql.split()[0] for sql in last] == ["UPDATE", "UPDATE", "UPDATE"], last
    assert [sql for sql in last if "missing" in sql] == last[1:]
    assert run.refresh().success
    assert returns.diary.lines[-1] == "join"
    assert post.letters == []
