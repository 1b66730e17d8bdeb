"""Rows of the fault matrix that need no worker: dead processes, lost connections, locks, clocks, budgets."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from django.db import connection, transaction
from django.db.models import F

from flowstate import SYSTEM
from flowstate.engine.carry.messages import carry_run, carry_step
from flowstate.engine.carry.sweep import sweep
from flowstate.engine.database import blocks
from flowstate.models import Run, StepRun
from flowstate.models.clock import shift_clock
from tests.faults import journeys, ledger, post
from tests.faults.afterwards import QUANTITY, STOCK, broken, recover_all
from tests.faults.crowd import MOST_SECONDS, at_once, elsewhere, wait_for
from tests.faults.journeys import Doomed, InOne, Journey, action_on
from tests.faults.plug import Plug, in_child, killed
from tests.faults.scripted import (
    WITHIN,
    Both,
    Four,
    Hasty,
    Inside,
    InsideDoomed,
    LastInside,
    Outside,
)
from tests.faults.situations import a_sale, carry
from tests.kiosk.models import Product
from tests.kiosk.statements import Statements

pytestmark = pytest.mark.django_db(transaction=True)

on_a_server = pytest.mark.skipif(
    connection.vendor == "sqlite", reason="SQLite has no sessions and no row locks"
)


@pytest.fixture(autouse=True)
def forget() -> None:
    WITHIN.clear()


# --- dead processes and stale messages -------------------------------------------------------------


def test_a_step_whose_worker_died_after_the_claim_is_claimed_again_when_its_lease_is_over() -> None:
    """Matrix row 7; I3, I4, I12: not before, and then under the next token."""
    run = action_on(a_sale(), Outside).enqueue(user=SYSTEM)

    def die_in_the_call() -> None:
        WITHIN["call"] = [lambda ctx: Plug(kill_at=1).point("in the call")]
        carry(run)

    assert killed(in_child(die_in_the_call)[0])

    shift_clock(60)
    sweep()
    assert carry(run) == ""
    assert run.step_runs.get(name="call").attempt == 1
    recover_all()

    row = run.refresh().step_runs.get(name="call")
    assert run.success
    assert (row.attempt, row.lost, row.failures) == (2, 1, 0)
    assert run.events.get().kind == "lease_lost"
    assert ledger.calls() == {f"{run.pk}:call": 2}


def test_a_stale_message_costs_one_statement_and_writes_nothing() -> None:
    """Matrix row 15; I13."""
    run = action_on(a_sale(), Outside).enqueue(user=SYSTEM)
    assert carry(run) == "succeeded"
    step = run.step_runs.get(name="call")

    with Statements() as of_run:
        carry(run)
    with Statements() as of_step:
        carry_step(step.pk, queue="flowstate")

    for said in (of_run, of_step):
        assert len(said.all) == 1
        assert said.all[0].startswith("SELECT")


def test_a_forged_message_triggers_nothing() -> None:
    """S29: it can name any run or step, and does no more than work that is due."""
    run = action_on(a_sale(), Outside).enqueue(user=SYSTEM)
    WITHIN["call"] = [lambda ctx: carry_step(run.step_runs.get(name="mark").pk, queue="flowstate")]

    for step in (0, 2**40):
        assert carry_step(step, queue="flowstate") == ""
    assert carry_run("00000000-0000-0000-0000-000000000000", queue="flowstate") == ""

    assert carry(run) == "succeeded"
    assert {row.attempt for row in run.refresh().steps} == {1}
    assert broken() == []


# --- the database ----------------------------------------------------------------------------------


def session() -> int:
    """Return the number of this process's session in the database."""
    name = "pg_backend_pid()" if connection.vendor == "postgresql" else "CONNECTION_ID()"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {name}")
        return int(cursor.fetchone()[0])


def end_session(number: int) -> None:
    verb = "SELECT pg_terminate_backend(%s)" if connection.vendor == "postgresql" else "KILL %s"
    with connection.cursor() as cursor:
        cursor.execute(verb, [number])


def cut(ctx: Any) -> None:
    """Have the connection of this very step ended by the server."""
    number = session()
    elsewhere(lambda: end_session(number))


class Holder:
    """Somebody else, who keeps a row locked in a transaction of their own."""

    def __init__(self, product: int) -> None:
        self.product = product
        self.holds, self.released = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._hold, daemon=True)

    def take(self) -> None:
        self.thread.start()
        wait_for(self.holds)

    def let_go(self) -> None:
        self.released.set()
        self.thread.join(MOST_SECONDS)

    def _hold(self) -> None:
        with transaction.atomic():
            Product.objects.select_for_update().get(pk=self.product)
            self.holds.set()
            wait_for(self.released)
        connection.close()


@on_a_server
@pytest.mark.parametrize("place", ["read", "take"])
def test_a_connection_that_is_lost_in_the_middle_of_a_step_costs_nothing(place: str) -> None:
    """Matrix row 20; I1, I25, I33: tried again once, and no failure is counted."""
    run = action_on(a_sale(), Inside).enqueue(user=SYSTEM)
    WITHIN[place] = [cut]
    carry(run)

    row = run.refresh().step_runs.get()
    assert run.success
    assert (row.attempt, row.failures, row.lost) == (1, 0, 0)
    assert Product.objects.get().stock == STOCK - QUANTITY
    assert broken() == []


@on_a_server
def test_a_connection_that_is_lost_in_the_middle_of_undoing_costs_nothing() -> None:
    """I17, I33."""
    run = action_on(a_sale(), InsideDoomed).enqueue(user=SYSTEM)
    WITHIN["give"] = [cut]

    carry(run)

    row = run.refresh().step_runs.get(name="take")
    assert run.status == "compensated"
    assert (row.compensation_attempt, row.compensation_failures) == (1, 0)
    assert Product.objects.get().stock == STOCK
    assert broken() == []


def be_impatient() -> None:
    """Have this session wait for a lock no longer than the database can be told to."""
    setting = (
        "lock_timeout = '100ms'" if connection.vendor == "postgresql" else "innodb_lock_wait_timeout = 1"
    )
    with connection.cursor() as cursor:
        cursor.execute(f"SET SESSION {setting}")


@on_a_server
def test_who_waits_too_long_for_a_lock_lets_go_and_tries_again() -> None:
    """Matrix row 24; I25, I29: and no failure is counted."""
    sale = a_sale()
    run = action_on(sale, Inside).enqueue(user=SYSTEM)
    be_impatient()
    held = Holder(sale.product_id)

    WITHIN["read"] = [lambda ctx: held.take(), lambda ctx: held.let_go()]
    carry(run)
    connection.close()

    assert run.refresh().success
    assert run.step_runs.get().failures == 0
    assert Product.objects.get().stock == STOCK - QUANTITY
    assert broken() == []


@on_a_server
def test_an_attempt_waits_for_locks_no_longer_than_its_timeout() -> None:
    """Matrix row 24: its lease is no longer either, so others would take it for dead and do the same."""
    sale = a_sale()
    run = action_on(sale, Hasty).enqueue(user=SYSTEM)
    be_impatient()
    held = Holder(sale.product_id)
    held.take()

    carry(run)
    connection.close()
    held.let_go()

    assert run.refresh().status == "failed"
    assert (run.error or {})["class"] == "flowstate.exceptions.StepTimeout"
    assert Product.objects.get().stock == STOCK
    assert broken() == []


@on_a_server
def test_an_undo_whose_rows_others_hold_is_tried_again_and_needs_no_person(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Matrix row 24; I17, I25."""
    monkeypatch.setattr(blocks, "TRIES", 2)
    sale = a_sale()
    run = action_on(sale, Doomed).enqueue(user=SYSTEM)
    held = Holder(sale.product_id)
    journeys.FAILING.append(held.take)

    be_impatient()
    carry(run)
    connection.close()
    before = run.refresh().status
    held.let_go()
    recover_all()

    assert before == "compensating"
    assert run.refresh().status == "compensated"
    assert Product.objects.get().stock == STOCK
    assert broken() == []


def test_two_runs_that_lock_two_rows_crosswise_both_succeed() -> None:
    """Matrix row 25; I25: the deadlock costs neither of them a failure."""
    runs = [action_on(a_sale(name), Both).enqueue(user=SYSTEM) for name in ("tea", "milk")]
    both_hold_one = threading.Barrier(2)
    if connection.vendor != "sqlite":  # there the second one waits for the first one's end
        WITHIN["lock"] = [lambda ctx: both_hold_one.wait(10)] * 2

    results = at_once(*[lambda run=run: carry(run) for run in runs])

    assert results == ["succeeded"] * 2
    assert {row.failures for row in StepRun.objects.all()} == {0}
    assert {row.attempt for row in StepRun.objects.all()} == {1}
    assert [product.stock for product in Product.objects.all()] == [STOCK - 2] * 2
    assert broken() == []


@pytest.mark.skipif(connection.vendor != "postgresql", reason="only there a session can ask for it")
def test_a_serialization_failure_is_tried_again() -> None:
    """Matrix row 26; I1, I25."""
    sale = a_sale()
    run = action_on(sale, Inside).enqueue(user=SYSTEM)
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE")

    def sell_one(ctx: Any) -> None:
        elsewhere(lambda: Product.objects.filter(pk=sale.product_id).update(stock=F("stock") - 1))

    WITHIN["read"] = [sell_one]
    carry(run)
    connection.close()

    assert run.refresh().success
    assert run.step_runs.get().failures == 0
    assert Product.objects.get().stock == STOCK - QUANTITY - 1
    assert broken() == []


# --- undoing ----------------------------------------------------------------------------------------


def test_one_compensation_that_fails_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """Matrix row 39; I18, I36."""

    def refuse(ctx: Any) -> None:
        raise OSError("stuck")

    run = action_on(a_sale(), Four).enqueue(user=SYSTEM)
    WITHIN["undo two"] = [refuse] * 3
    carry(run)

    assert run.refresh().status == "attention"
    assert run.compensated_steps == ["four", "three", "one"]
    assert ledger.standing() == {f"{run.pk}:two"}
    assert broken() == []

    run.retry(SYSTEM)

    assert run.refresh().status == "compensated"
    assert ledger.standing() == set()
    assert broken() == []


# --- other people's transactions ----------------------------------------------------------------------


@pytest.mark.parametrize("how", ["run", "enqueue"])
def test_what_joined_a_transaction_that_is_rolled_back_never_was(how: str) -> None:
    """Matrix row 47; I14, I28: no row, no message, and the row is free for the next."""
    sale = a_sale()
    action = action_on(sale, LastInside if how == "run" else InOne)

    def refused_by_the_view() -> None:
        with transaction.atomic():
            getattr(action, how)(user=SYSTEM)
            raise LookupError

    with pytest.raises(LookupError):
        refused_by_the_view()

    assert post.letters == []
    assert not Run.objects.exists()
    assert Product.objects.get().stock == STOCK
    assert action_on(sale, Journey).run(user=SYSTEM).success


# --- guards that need two processes in one moment -------------------------------------------------------


def test_who_joins_in_undoes_nothing_before_what_depended_on_it() -> None:
    """I16: another worker looks at the run while the undoing of its last step is under way."""
    run = action_on(a_sale(), Four).enqueue(user=SYSTEM)

    def somebody_joins_in(ctx: Any) -> None:
        run.refresh()
        carry(run)
        sweep()
        post.deliver()

    WITHIN["undo four"] = [somebody_joins_in]
    carry(run)

    assert run.refresh().status == "compensated"
    assert list(ledger.undo_calls()) == [f"{run.pk}:{name}:undo" for name in ("four", "three", "two", "one")]
    assert broken() == []


def test_a_call_whose_worker_was_lost_is_undone_though_the_run_is_cancelled_before_it_is_tried_again() -> (
    None
):
    """I15: the doubt outlives the lost lease; a step that merely waits again is unknown, not cancelled."""
    run = action_on(a_sale(), Outside).enqueue(user=SYSTEM)

    def die_in_the_call() -> None:
        WITHIN["call"] = [lambda ctx: Plug(kill_at=1).point("in the call")]
        carry(run)

    assert killed(in_child(die_in_the_call)[0])
    shift_clock(1000)
    sweep()
    assert run.step_runs.get(name="call").status == "ready"

    run.cancel(SYSTEM)

    assert run.refresh().status == "cancelled"
    assert run.step_runs.get(name="call").status == "unknown"
    assert ledger.standing() == set()
    assert broken() == []
