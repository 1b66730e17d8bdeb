"""Steps that kill whoever works on them: after so many lost workers they count as the cause."""

from __future__ import annotations

from typing import Any

import pytest

from django.db import connection
from django.db.models import F

from flowstate import SYSTEM, Context, FirstOf, UpdateStep, Workflow, step
from flowstate.engine.carry.messages import carry_step
from flowstate.engine.carry.sweep import sweep
from flowstate.models import Run
from flowstate.models.clock import shift_clock
from tests.faults import ledger
from tests.faults.afterwards import QUANTITY, STOCK, broken, recover_all
from tests.faults.journeys import Journey, action_on
from tests.faults.scripted import WITHIN, Four, within
from tests.faults.situations import a_sale, carry
from tests.kiosk.models import Product, Sale

pytestmark = pytest.mark.django_db(transaction=True)

MOST_LOST = 3
"""FLOWSTATE["MAX_LOST_LEASES"] where nothing is set."""


class Abandoned(BaseException):
    """The process is gone as far as the engine can see."""


def die(ctx: Any) -> None:
    raise Abandoned


class Poisonous(Workflow):
    """Takes stock and makes a call that may kill; what comes after is never reached."""

    reserve = Journey.reserve

    @step
    def call(self, ctx: Context[Sale]) -> str:
        reference = ledger.call(ctx.idempotency_key)
        within("call", ctx)
        return reference

    @call.compensate
    def uncall(self, ctx: Context[Sale], reference: str | None) -> None:
        ledger.undo(ctx.forward_key, ctx.idempotency_key)
        within("uncall", ctx)

    mark = UpdateStep(values={"status": "paid"})


class PoisonousInside(Workflow):
    """Takes stock, and then dies in a transaction."""

    reserve = Journey.reserve

    @step(transactional=True)
    def take(self, ctx: Context[Sale]) -> None:
        Product.objects.filter(pk=ctx.entity.product_id).update(stock=F("stock") - 1)
        within("take", ctx)


class PoisonousLoser(Workflow):
    """Of two calls the first to answer counts; the other one kills."""

    @step(depends_on=(), background=True)
    def slow(self, ctx: Context[Sale]) -> None:
        within("slow", ctx)

    @step
    def slower(self, ctx: Context[Sale]) -> None: ...

    @step(depends_on=())
    def quick(self, ctx: Context[Sale]) -> str:
        return "quick"

    first = FirstOf("slower", "quick")


class PoisonousButOptional(Workflow):
    """A call that nobody needs kills; the run goes on without it."""

    @step(optional=True, default="none")
    def call(self, ctx: Context[Sale]) -> str:
        reference = ledger.call(ctx.idempotency_key)
        within("call", ctx)
        return reference

    @step
    def note(self, ctx: Context[Sale]) -> str:
        return f"with {ctx.results['call']}"


def lose_workers(run: Run, times: int) -> None:
    """Let so many workers die on the run, and its leases end after each."""
    for _worker in range(times):
        with pytest.raises(Abandoned):
            carry(run)
        connection.close()
        shift_clock(1000)
        sweep()
    run.refresh()


@pytest.fixture(autouse=True)
def forget() -> None:
    WITHIN.clear()


def test_what_was_recorded_before_a_worker_died_is_not_done_again() -> None:
    """P43; I1, I5: the next worker goes on with the step that was at work, under its old key."""
    run = action_on(a_sale(), Poisonous).enqueue(user=SYSTEM)
    WITHIN["call"] = [die]

    lose_workers(run, 1)
    recover_all()

    assert run.refresh().success
    assert {row.name: row.attempt for row in run.steps} == {"reserve": 1, "call": 2, "mark": 1}
    assert Product.objects.get().stock == STOCK - QUANTITY
    assert ledger.calls() == {f"{run.pk}:call": 2}
    assert broken() == []


def test_a_call_that_killed_three_workers_is_unknown_and_undone_and_so_is_what_came_before() -> None:
    """I5, I15, I25: all three calls had one key, and the money comes back once."""
    run = action_on(a_sale(), Poisonous).enqueue(user=SYSTEM)
    WITHIN["call"] = [die] * MOST_LOST

    lose_workers(run, MOST_LOST - 1)
    row = run.step_runs.get(name="call")
    assert (run.status, row.status, row.lost, row.failures) == ("running", "ready", MOST_LOST - 1, 0)

    lose_workers(run, 1)
    recover_all()

    assert run.refresh().status == "compensated"
    assert {row.name: row.status for row in run.steps} == {
        "reserve": "done",
        "call": "unknown",
        "mark": "cancelled",
    }
    assert run.compensated_steps == ["call", "reserve"]
    assert (run.failed_step, (run.error or {})["class"]) == ("call", "flowstate.exceptions.WorkerLost")
    assert ledger.calls() == {f"{run.pk}:call": MOST_LOST}
    assert ledger.undo_calls() == {f"{run.pk}:call:undo": 1}
    assert Product.objects.get().stock == STOCK
    assert [event.kind for event in run.events.order_by("pk")] == ["lease_lost"] * MOST_LOST
    assert broken() == []


def test_a_transaction_that_killed_three_workers_has_failed_and_what_came_before_is_undone() -> None:
    """I1, I15: it cannot have committed."""
    run = action_on(a_sale(), PoisonousInside).enqueue(user=SYSTEM)
    WITHIN["take"] = [die] * MOST_LOST

    lose_workers(run, MOST_LOST)
    recover_all()

    assert run.refresh().status == "compensated"
    assert run.step_runs.get(name="take").status == "failed"
    assert run.compensated_steps == ["reserve"]
    assert Product.objects.get().stock == STOCK
    assert broken() == []


def test_a_step_that_nobody_needs_does_not_stop_the_run_it_killed_workers_in() -> None:
    run = action_on(a_sale(), PoisonousButOptional).enqueue(user=SYSTEM)
    WITHIN["call"] = [die] * MOST_LOST

    lose_workers(run, MOST_LOST)
    recover_all()

    assert run.refresh().success
    assert run.step_runs.get(name="call").status == "unknown"
    assert run.value == "with none"
    assert broken() == []


def test_a_loser_that_killed_workers_does_not_stop_the_run() -> None:
    """The race is won while its third worker is at work; nobody needs it then."""
    run = action_on(a_sale(), PoisonousLoser).enqueue(user=SYSTEM)

    def race_is_won_meanwhile(ctx: Any) -> None:
        carry_step(run.step_runs.get(name="quick").pk, queue="flowstate")
        raise Abandoned

    WITHIN["slow"] = [die, die, race_is_won_meanwhile]

    lose_workers(run, MOST_LOST)
    recover_all()

    assert run.refresh().success
    assert run.step_runs.get(name="slow").lost == MOST_LOST
    assert run.results["first"] == "quick"
    assert broken() == []


def test_undoing_that_killed_three_workers_is_left_to_a_person_and_stops_no_other() -> None:
    """I18, I36."""
    run = action_on(a_sale(), Four).enqueue(user=SYSTEM)
    WITHIN["undo two"] = [die] * MOST_LOST

    lose_workers(run, MOST_LOST)
    recover_all()

    row = run.refresh().step_runs.get(name="two")
    assert run.status == "attention"
    assert (row.compensation, row.compensation_failures) == ("failed", 1)
    assert run.compensated_steps == ["four", "three", "one"]
    assert ledger.standing() == {f"{run.pk}:two"}

    run.retry(SYSTEM)

    assert run.refresh().status == "compensated"
    assert ledger.standing() == set()
    assert broken() == []
