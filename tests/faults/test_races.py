"""Several at once on the same rows: one wins, the others change nothing, and nothing is lost between them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from django.db import connection

from flowstate import SYSTEM, AlreadyRunning, RunConflict, Workflow
from flowstate.engine.carry.messages import carry_run, carry_step, drain
from flowstate.engine.carry.sweep import sweep
from flowstate.models import Run, StepRun
from flowstate.models.clock import shift_clock
from tests.faults import ledger, post
from tests.faults.afterwards import QUANTITY, STOCK, broken, recover_all
from tests.faults.crowd import at_once, elsewhere, until, wait_for
from tests.faults.journeys import InOne, Journey, action_on
from tests.faults.scripted import WITHIN, Four, Inside, Last, LastInside, Outside
from tests.kiosk.models import Product, Sale

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 200
LEASE = 1000.0  # seconds, longer than any lease here


class Abandoned(BaseException):
    """The process is gone as far as the engine can see."""


@pytest.fixture(autouse=True)
def forget() -> None:
    WITHIN.clear()


def a_sale(product: Product | None = None) -> Sale:
    product = product or Product.objects.create(name="tea", stock=STOCK)
    return Sale.objects.create(product=product, quantity=QUANTITY)


def never() -> bool:
    return False


# --- messages ------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["run", "step", "queue"])
def test_of_twenty_messages_at_once_one_does_the_work(how: str) -> None:
    """Matrix row 14; I3, I4, I13."""
    run = action_on(a_sale(), Journey).enqueue(user=SYSTEM)
    first = run.step_runs.get(name="reserve")
    messages: dict[str, Callable[[], Any]] = {
        "run": partial(carry_run, str(run.pk), queue="flowstate"),
        "step": partial(carry_step, first.pk, queue="flowstate"),
        "queue": partial(drain, "flowstate", wake_next=lambda: None, stopping=never),
    }

    results = at_once(*[messages[how]] * 20)
    recover_all()

    assert [result for result in results if isinstance(result, BaseException)] == []
    assert run.refresh().success
    assert {row.attempt for row in run.steps} == {1}
    assert set(ledger.calls().values()) == {1}
    assert Product.objects.get().stock == STOCK - QUANTITY
    assert broken() == []


def test_ten_sweepers_at_once_double_nothing() -> None:
    """Matrix row 45; I3, I12."""
    runs = [action_on(a_sale(), Journey).enqueue(user=SYSTEM) for _run in range(5)]
    post.letters.clear()

    def sweep_and_deliver() -> None:
        sweep()
        for run in runs:
            carry_run(str(run.pk), queue="flowstate")

    results = at_once(*[sweep_and_deliver] * 10)
    recover_all()

    assert results == [None] * 10
    assert set(ledger.calls().values()) == {1}
    assert all(run.refresh().success for run in runs)
    assert broken() == []


# --- a worker that was taken for dead ---------------------------------------------------------------


def take_over(run: Run) -> None:
    shift_clock(LEASE)
    sweep()
    post.letters.clear()
    carry_run(str(run.pk), queue="flowstate")


def test_what_a_zombie_reports_of_its_call_changes_nothing() -> None:
    """Matrix row 12; I2, I5: the second result is kept, both calls had one key, nobody sees an error."""
    run = action_on(a_sale(), Outside).enqueue(user=SYSTEM)
    WITHIN["call"] = [lambda ctx: take_over(run)]

    assert carry_run(str(run.pk), queue="flowstate") != "failed"

    row = run.refresh().step_runs.get(name="call")
    assert run.success
    assert (row.attempt, row.lost, row.failures) == (2, 1, 0)
    assert ledger.calls() == {f"{run.pk}:call": 2}
    assert [event.kind for event in run.events.all()] == ["lease_lost"]
    assert broken() == []


def test_an_error_of_a_zombie_fails_nothing() -> None:
    """I2, I25: its failure is not counted either."""
    run = action_on(a_sale(), Outside).enqueue(user=SYSTEM)

    def taken_over_and_fail(ctx: Any) -> None:
        take_over(run)
        raise OSError("too late")

    WITHIN["call"] = [taken_over_and_fail]
    carry_run(str(run.pk), queue="flowstate")

    assert run.refresh().success
    assert run.step_runs.get(name="call").failures == 0
    assert broken() == []


def test_what_a_zombie_reports_of_its_undoing_changes_nothing() -> None:
    """I2, I17."""
    run = action_on(a_sale(), Outside).enqueue(user=SYSTEM)
    WITHIN["call"] = [lambda ctx: run.cancel(SYSTEM)]
    WITHIN["uncall"] = [lambda ctx: take_over(run)]

    carry_run(str(run.pk), queue="flowstate")

    row = run.refresh().step_runs.get(name="call")
    assert run.status == "cancelled"
    assert (row.compensation, row.compensation_attempt, row.compensation_lost) == ("done", 2, 1)
    assert ledger.undo_calls() == {f"{run.pk}:call:undo": 2}
    assert broken() == []


@pytest.mark.parametrize("back", [False, True], ids=["call", "undoing"])
def test_a_zombie_that_reports_while_its_successor_is_at_work_does_not_speak_for_it(back: bool) -> None:
    """I2, I3, I4: both hold the step as `running`; only the token tells them apart."""
    run = action_on(a_sale(), Outside).enqueue(user=SYSTEM)
    begun, go_on = threading.Event(), threading.Event()
    seen: list[tuple[str, int]] = []

    def outlive(ctx: Any) -> None:
        begun.set()
        wait_for(go_on)

    def while_the_zombie_reports(ctx: Any) -> None:
        go_on.set()
        zombie.join(60)
        row = run.step_runs.get(name="call")
        seen.append((row.compensation, row.compensation_attempt) if back else (row.status, row.attempt))

    if back:
        WITHIN["call"] = [lambda ctx: cancel_now(run)]
    WITHIN["uncall" if back else "call"] = [outlive, while_the_zombie_reports]
    zombie = threading.Thread(target=carry_and_close, args=[run], daemon=True)
    zombie.start()
    wait_for(begun)
    take_over(run)

    assert seen == [("running", 2)]
    assert run.refresh().status == ("cancelled" if back else "succeeded")
    assert broken() == []


def carry_and_close(run: Run) -> None:
    carry_run(str(run.pk), queue="flowstate")
    connection.close()


def test_of_many_workers_that_undo_one_run_one_undoes_each_step() -> None:
    """I4, I17: the run was left behind in the middle of its undoing."""

    def die(ctx: Any) -> None:
        raise Abandoned

    run = action_on(a_sale(), Four).enqueue(user=SYSTEM)
    WITHIN["undo four"] = [die]
    with pytest.raises(Abandoned):
        carry_run(str(run.pk), queue="flowstate")
    shift_clock(LEASE)
    sweep()

    at_once(*[partial(carry_run, str(run.pk), queue="flowstate")] * 10)

    assert run.refresh().status == "compensated"
    assert set(ledger.undo_calls().values()) == {1}
    assert broken() == []


@pytest.mark.skipif(
    connection.vendor == "sqlite", reason="while a transaction writes, nobody can take it over"
)
def test_the_rows_of_a_zombie_are_rolled_back() -> None:
    """I1, I2: its own effects included."""
    run = action_on(a_sale(), Inside).enqueue(user=SYSTEM)
    WITHIN["read"] = [lambda ctx: elsewhere(lambda: take_over(run))]

    carry_run(str(run.pk), queue="flowstate")

    assert run.refresh().success
    assert run.step_runs.get().attempt == 2
    assert Product.objects.get().stock == STOCK - QUANTITY
    assert broken() == []


# --- starting ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("workflow", [Journey, InOne, LastInside])
def test_many_starts_with_one_key_are_one_run(workflow: type[Workflow]) -> None:
    """Matrix row 29; I10."""
    sale = a_sale()

    def start() -> list[tuple[Any, bool]]:
        runs = [action_on(sale, workflow).run(user=SYSTEM, idempotency_key="k") for _try in range(10)]
        return [(run.pk, run.replayed) for run in runs]

    answers = [answer for answers in at_once(*[start] * 20) for answer in answers]
    recover_all()

    assert len(answers) == 200
    assert {pk for pk, _replayed in answers} == {Run.objects.get().pk}
    assert sum(not replayed for _pk, replayed in answers) == 1
    assert Product.objects.get().stock == STOCK - QUANTITY
    assert set(ledger.calls().values()) <= {1}
    assert broken() == []


@pytest.mark.parametrize("workflow", [Journey, InOne])
def test_of_many_starts_on_one_row_one_is_let_in(workflow: type[Workflow]) -> None:
    """Matrix row 31; I11: 100 starts with different keys, and the row is free again after the end."""
    sale = a_sale()

    def start(place: int) -> list[Any]:
        answers: list[Any] = []
        for number in range(5):
            try:
                key = f"{place} {number}"
                answers.append(action_on(sale, workflow).enqueue(user=SYSTEM, idempotency_key=key))
            except AlreadyRunning as refused:
                answers.append(refused.run_id)
        return answers

    answers = [answer for some in at_once(*[partial(start, place) for place in range(20)]) for answer in some]

    run = Run.objects.get()
    assert len(answers) == 100
    assert [answer for answer in answers if isinstance(answer, Run)] == [run]
    assert [answer for answer in answers if not isinstance(answer, Run)] == [str(run.pk)] * 99
    recover_all()
    assert action_on(sale, workflow).enqueue(user=SYSTEM).pk != run.pk
    assert broken() == []


# --- cancelling --------------------------------------------------------------------------------------


@pytest.mark.parametrize("workflow", [Last, LastInside])
def test_a_run_is_cancelled_or_succeeds_never_both(workflow: type[Workflow]) -> None:
    """Matrix row 38, 200 rounds; I8, I15, I24: no compensation is lost."""
    runs = [action_on(a_sale(), workflow).enqueue(user=SYSTEM) for _round in range(ROUNDS)]
    post.letters.clear()
    together = threading.Barrier(2)

    def carry_all() -> None:
        for run in runs:
            together.wait(10)
            carry_run(str(run.pk), queue="flowstate")

    def cancel_all() -> list[bool]:
        return [_cancelled(run, workflow, together, late=bool(place % 2)) for place, run in enumerate(runs)]

    carried, cancelled = at_once(carry_all, cancel_all)
    assert carried is None
    assert isinstance(cancelled, list), cancelled
    recover_all()

    ends = [run.refresh().status for run in runs]
    assert ends == ["cancelled" if was else "succeeded" for was in cancelled]
    assert set(ends) == {"succeeded", "cancelled"}
    assert [complaint for run in runs for complaint in _complaints(run, workflow)] == []
    assert broken() == []


def _cancelled(run: Run, workflow: type[Workflow], together: threading.Barrier, *, late: bool) -> bool:
    """Cancel at the same moment as the run is taken up, or, every other time, once its first step is done."""
    first = run.step_runs.filter(name=workflow.declaration.steps[0].name, status="done")
    together.wait(10)
    if late:
        until(first.exists, f"run {run.pk} is worked on")
    try:
        cancel_now(run)
    except RunConflict:
        return False
    return True


def _complaints(run: Run, workflow: type[Workflow]) -> list[str]:
    sale = Sale.objects.select_related("product").get(pk=run.object_id)
    stands = run.success
    outside = stands and workflow is Last
    taken = QUANTITY if stands and workflow is LastInside else 0
    found = {
        f"{run.pk}: the sale is {sale.status}": sale.status != ("paid" if stands else "open"),
        f"{run.pk}: outside it stands: {not outside}": (f"{run.pk}:call" in ledger.standing()) != outside,
        f"{run.pk}: the stock is {sale.product.stock}": sale.product.stock != STOCK - taken,
    }
    return [words for words, wrong in found.items() if wrong]


def cancel_now(run: Run) -> None:
    Run.objects.get(pk=run.pk).cancel(SYSTEM)


def test_a_call_that_is_out_when_the_run_is_cancelled_is_recorded_and_undone_once() -> None:
    """Matrix row 37; I15, I24."""
    run = action_on(a_sale(), Outside).enqueue(user=SYSTEM)
    WITHIN["call"] = [lambda ctx: elsewhere(lambda: cancel_now(run))]

    carry_run(str(run.pk), queue="flowstate")

    assert run.refresh().status == "cancelled"
    assert {row.name: row.status for row in run.steps} == {"call": "done", "mark": "cancelled"}
    assert ledger.undo_calls() == {f"{run.pk}:call:undo": 1}
    assert broken() == []


@pytest.mark.skipif(connection.vendor == "sqlite", reason="while a transaction writes, nobody can cancel")
def test_a_transaction_that_is_open_when_the_run_is_cancelled_leaves_nothing() -> None:
    """Matrix row 36; I1, I24: no effect, or a compensated one."""
    run = action_on(a_sale(), Inside).enqueue(user=SYSTEM)
    begun, cancelled = threading.Event(), threading.Event()

    def wait(ctx: Any) -> None:
        begun.set()
        wait_for(cancelled)

    def cancel() -> None:
        wait_for(begun)
        cancel_now(run)
        cancelled.set()

    WITHIN["take"] = [wait]
    carried, refused = at_once(partial(carry_run, str(run.pk), queue="flowstate"), cancel)

    assert (carried, refused) == ("cancelled", None)
    assert run.refresh().status == "cancelled"
    assert Product.objects.get().stock == STOCK
    assert broken() == []


def test_a_step_claimed_while_the_run_is_cancelled_never_starts() -> None:
    """I24: after the commit of a cancel nothing new starts, however many messages come."""
    for _round in range(20):
        run = action_on(a_sale(), Journey).enqueue(user=SYSTEM)
        message = partial(carry_run, str(run.pk), queue="flowstate")
        at_once(message, partial(cancel_now, run), message)
        ended = StepRun.objects.filter(run=run, status="running").count()
        post.letters.clear()
        before = ledger.calls()

        carry_run(str(run.pk), queue="flowstate")

        assert ended == 0
        assert run.refresh().finished
        assert ledger.calls() == before
    assert broken() == []
