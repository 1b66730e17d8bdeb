"""Atomic workflows: everything or nothing, in one commit, and what happens to outside effects in them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from django.contrib.auth.models import User
from django.db import connection

from flowstate import SYSTEM, Context, Retry, RunTimeout, Step, UpdateStep, Workflow, step
from flowstate.engine.carry.messages import carry_run
from flowstate.models import Run, StepRun
from tests.kiosk.diary import Diary, enter
from tests.kiosk.models import Entry, Product, Receipt, Sale
from tests.kiosk.stall import OnSale
from tests.kiosk.workflows import Bank
from tests.kiosk.workflows import bank as the_bank

pytestmark = pytest.mark.django_db(transaction=True)


def entering(what: str) -> Callable[[Any], None]:
    return lambda ctx: enter(what)


def entries() -> list[str]:
    return [entry.what for entry in Entry.objects.order_by("pk")]


def test_an_atomic_workflow_does_everything(sale: Sale, user: User) -> None:
    run = sale.actions.settle.run(user=user)

    sale.refresh_from_db()
    assert run.success
    assert sale.status == "paid"
    assert Product.objects.get().stock == 7
    assert Receipt.objects.get().reference == "cash"
    stored = Run.objects.get()
    assert (stored.status, stored.atomic, stored.wake_at) == ("succeeded", True, None)
    assert [row.status for row in stored.steps] == ["done"] * 3
    assert stored.progress == 100


def test_an_atomic_workflow_that_fails_leaves_the_database_as_before(
    sale: Sale, user: User, on_sale: OnSale, diary: Diary
) -> None:
    """P36: rows of the steps before are gone by rollback; nothing is undone."""
    before = (list(Product.objects.values()), list(Sale.objects.values()))
    workflow = Workflow.from_steps(
        "rolled_back",
        [
            UpdateStep("kiosk.Product", name="reserve", where={"name": "tea"}, values={"stock": 0}),
            diary.undoable("enter", transactional=True),
            diary.step("fail", errors=[OSError("no")], transactional=True),
            diary.step("never", transactional=True),
        ],
        atomic=True,
    )

    run = on_sale(workflow).run(user=user)

    assert (list(Product.objects.values()), list(Sale.objects.values())) == before
    assert run.status == "failed"
    assert run.failed_step == "fail"
    assert run.compensated_steps == []
    assert diary.lines == ["enter", "fail"]
    assert {row.name: (row.status, row.reason) for row in Run.objects.get().steps} == {
        "reserve": ("cancelled", "rolled back with the whole run"),
        "enter": ("cancelled", "rolled back with the whole run"),
        "fail": ("failed", ""),
        "never": ("cancelled", ""),
    }
    assert not run.results


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite's readers see a snapshot by design")
def test_no_other_connection_sees_half_an_atomic_run(sale: Sale, user: User, on_sale: OnSale) -> None:
    """P36."""
    seen: list[tuple[int, int]] = []

    def look_from_outside() -> None:
        seen.append((Entry.objects.count(), Run.objects.count()))
        connection.close()

    def look(ctx: Any) -> None:
        thread = threading.Thread(target=look_from_outside)
        thread.start()
        thread.join(10)

    steps = [Step("write", entering("a"), transactional=True), Step("look", look, transactional=True)]

    run = on_sale(Workflow.from_steps("hidden", steps, atomic=True)).run(user=user)

    assert run.success
    assert seen == [(0, 0)]


def test_steps_of_an_atomic_workflow_see_each_other() -> None:
    class Shared(Workflow):
        class Meta:
            atomic = True
            initial_data = {"n": 1}

        @step(transactional=True)
        def write(self, ctx: Context[Any]) -> int:
            ctx.set("n", ctx.get("n") + 1)
            return Entry.objects.create(what="a").pk

        @step(transactional=True)
        def read(self, ctx: Context[Any]) -> list[Any]:
            return [Entry.objects.filter(pk=ctx.results["write"]).exists(), ctx.get("n")]

    run = Shared.run(user=SYSTEM)

    assert run.value == [True, 2]
    assert run.data == {"n": 2}


def test_an_optional_step_that_fails_loses_its_own_rows_only() -> None:
    def write_and_fail(ctx: Any) -> None:
        Entry.objects.create(what="optional")
        raise OSError

    steps = [
        Step("a", entering("a"), transactional=True),
        Step("b", write_and_fail, transactional=True, optional=True, default=0),
        Step("c", lambda ctx: ctx.results["b"], transactional=True),
    ]

    run = Workflow.from_steps("optional", steps, atomic=True).run(user=SYSTEM)

    assert run.success
    assert run.value == 0
    assert entries() == ["a"]
    assert run.step_runs.get(name="b").status == "failed"


def test_a_step_is_tried_again_in_place() -> None:
    """P14, P15."""

    def write_and_fail_twice(ctx: Any) -> int:
        Entry.objects.create(what=f"attempt {ctx.attempt}")
        if ctx.attempt < 3:
            raise OSError(f"no {ctx.attempt}")
        attempt: int = ctx.attempt
        return attempt

    retried = Step("b", write_and_fail_twice, transactional=True, retry=Retry(3, delay=0))
    steps = [Step("a", entering("a"), transactional=True), retried]

    run = Workflow.from_steps("in_place", steps, atomic=True).run(user=SYSTEM)

    row = StepRun.objects.get(name="b")
    assert run.value == 3
    assert entries() == ["a", "attempt 3"]
    assert (row.failures, row.attempt) == (2, 1)  # tries in place are no new claims
    assert [event.data["detail"] for event in run.events.order_by("pk")] == ["no 1", "no 2"]


def test_the_tries_of_a_failed_atomic_run_are_in_its_history(diary: Diary) -> None:
    """I27."""
    failing = diary.step(
        "a", errors=[OSError("1"), OSError("2")], transactional=True, retry=Retry(2, delay=0)
    )

    run = Workflow.from_steps("told", [failing], atomic=True).run(user=SYSTEM)

    assert [(event.step, event.attempt, event.data["detail"]) for event in run.events.all()] == [
        ("a", 1, "1")
    ]
    assert run.step_runs.get().failures == 2


def test_an_atomic_run_that_takes_too_long_is_rolled_back() -> None:
    """P19: the limit is counted on this process's clock, since the rows are not there yet."""

    def enter_slowly(ctx: Any) -> None:
        enter("a")
        threading.Event().wait(0.06)

    steps = [Step("a", enter_slowly, transactional=True), Step("b", entering("b"), transactional=True)]

    run = Workflow.from_steps("slow", steps, atomic=True, timeout=0.05).run(user=SYSTEM)

    assert run.status == "failed"
    assert entries() == []
    with pytest.raises(RunTimeout, match=r"took longer than its 0\.05"):
        run.raise_for_status()


def test_a_skipped_step_in_an_atomic_workflow(diary: Diary) -> None:
    """P54."""
    steps = [
        diary.step("a", transactional=True, when=False, reason="no need"),
        diary.step("b", 2, transactional=True),
    ]

    run = Workflow.from_steps("skipping", steps, atomic=True).run(user=SYSTEM)

    row = StepRun.objects.get(name="a")
    assert run.value == 2
    assert (row.status, row.reason) == ("skipped", "when is false: no need")


def test_an_atomic_run_enqueued_is_carried_out_whole(sale: Sale, user: User) -> None:
    run = sale.actions.settle.enqueue(user=user)
    assert run.status == "running"
    assert Product.objects.get().stock == 10

    assert carry_run(str(run.pk), queue="flowstate") == "succeeded"

    run.refresh()
    assert Product.objects.get().stock == 7
    assert [row.status for row in run.steps] == ["done"] * 3
    assert run.exclusive_key is None


# --- external steps inside -----------------------------------------------------------------------


class Outside(Workflow):
    """A call to the outside between rows, all in one transaction."""

    class Meta:
        atomic = True

    mark = UpdateStep(values={"status": "paid"})
    journaled: list[Any] = []
    fails: list[BaseException] = []

    @step(unknown_on=[ConnectionError], retry=Retry(2, delay=0, on=[TimeoutError]))
    def charge(self, ctx: Context[Sale]) -> dict[str, str]:
        self.journaled.append(list(StepRun.objects.values_list("status", flat=True)))
        return the_bank.charge(ctx.idempotency_key)

    @charge.compensate
    def refund(self, ctx: Context[Sale], charge: dict[str, str] | None) -> None:
        assert not connection.in_atomic_block
        the_bank.refund(charge["id"] if charge else None, ctx.forward_key, ctx.idempotency_key)

    @step(transactional=True)
    def last(self, ctx: Context[Sale]) -> None:
        if self.fails:
            raise self.fails.pop(0)


@pytest.fixture
def outside() -> type[Outside]:
    Outside.journaled, Outside.fails = [], []
    return Outside


def test_with_an_external_step_the_run_is_in_the_journal_before(
    sale: Sale, user: User, on_sale: OnSale, bank: Bank, outside: type[Outside]
) -> None:
    run = on_sale(outside).run(user=user)

    assert run.success
    assert outside.journaled == [["running"] * 3]
    assert [row.status for row in Run.objects.get().steps] == ["done"] * 3
    assert not StepRun.objects.exclude(lease_until=None).exists()


def test_an_outside_effect_is_compensated_after_the_rollback(
    sale: Sale, user: User, on_sale: OnSale, bank: Bank, outside: type[Outside]
) -> None:
    outside.fails = [OSError("no")]

    run = on_sale(outside).run(user=user)

    sale.refresh_from_db()
    assert sale.status == "open"
    assert bank.calls == [("charge", f"{run.pk}:charge"), ("refund", f"{run.pk}:charge:undo")]
    assert run.status == "compensated"
    assert run.compensated_steps == ["charge"]
    assert run.failed_step == "last"
    assert {row.name: row.status for row in Run.objects.get().steps} == {
        "mark": "cancelled",
        "charge": "done",
        "last": "failed",
    }


def test_an_outside_effect_in_doubt_is_compensated_after_the_rollback(
    sale: Sale, user: User, on_sale: OnSale, bank: Bank, outside: type[Outside]
) -> None:
    def no_answer() -> None:
        raise ConnectionError

    bank.script = [no_answer]

    run = on_sale(outside).run(user=user)

    assert run.status == "compensated"
    assert [what for what, _key in bank.calls] == ["charge", "refund"]
    assert run.step_runs.get(name="charge").status == "unknown"


def test_an_external_step_is_tried_again_in_place(
    sale: Sale, user: User, on_sale: OnSale, bank: Bank, outside: type[Outside]
) -> None:
    def too_slow() -> None:
        raise TimeoutError

    bank.script = [too_slow]

    run = on_sale(outside).run(user=user)

    assert run.success
    assert bank.calls == [("charge", f"{run.pk}:charge")] * 2
    assert Run.objects.get().status == "succeeded"
    assert StepRun.objects.get(name="charge").failures == 1


@pytest.mark.skipif(connection.vendor == "sqlite", reason="its one writer is the atomic run itself")
def test_a_cancel_from_elsewhere_takes_the_whole_transaction_back(
    sale: Sale, user: User, on_sale: OnSale, bank: Bank, outside: type[Outside]
) -> None:
    """I24."""

    def cancel() -> None:
        Run.objects.get().cancel(user, "no longer")
        connection.close()

    def cancel_in_a_thread() -> None:
        thread = threading.Thread(target=cancel)
        thread.start()
        thread.join(20)

    bank.script = [cancel_in_a_thread]

    run = on_sale(outside).run(user=user)

    sale.refresh_from_db()
    assert sale.status == "open"
    assert [what for what, _key in bank.calls] == ["charge", "refund"]
    assert run.status == Run.objects.get().status == "cancelled"
    assert run.compensated_steps == ["charge"]
