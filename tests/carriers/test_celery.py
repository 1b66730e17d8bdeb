"""With a real Celery worker: what is handed over is carried to its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django_celery_results.models import TaskResult

from django.contrib.auth.models import User
from django.db import connections, transaction
from django.test import override_settings

from flowstate import SYSTEM
from flowstate.carriers import celery
from flowstate.carriers.celery import CeleryCarrier
from flowstate.engine.carry.messages import carry_run
from flowstate.models import Run, StepRun
from tests.carriers.conftest import Working
from tests.kiosk.models import Product, Receipt, Sale
from tests.kiosk.stall import OnSale
from tests.kiosk.workflows import Bank, CardDeclined, OnASlowQueue

pytestmark = pytest.mark.django_db(transaction=True)

Messages = Callable[..., list[tuple[str, list[Any]]]]


def declined() -> None:
    raise CardDeclined


def test_a_worker_carries_an_enqueued_run_to_its_end(
    sale: Sale, user: User, bank: Bank, working: Working
) -> None:
    run = sale.actions.checkout.enqueue(user=user)
    assert bank.calls == []

    with working():
        run.wait(20)

    sale.refresh_from_db()
    assert run.success
    assert sale.status == "paid"
    assert Product.objects.get().stock == 7
    assert Receipt.objects.get().reference == "ch_1"
    assert bank.calls == [("charge", f"{run.pk}:charge")]
    assert [row.attempt for row in run.steps] == [1] * 5


def test_a_worker_undoes_a_run_that_fails(sale: Sale, user: User, bank: Bank, working: Working) -> None:
    bank.script = [declined]
    run = sale.actions.checkout.enqueue(user=user)

    with working():
        run.wait(20)

    assert run.status == "compensated"
    assert run.compensated_steps == ["reserve"]
    assert Product.objects.get().stock == 10
    with pytest.raises(CardDeclined):
        run.raise_for_status()


def test_a_worker_carries_an_atomic_run(sale: Sale, user: User, working: Working) -> None:
    run = sale.actions.settle.enqueue(user=user)

    with working():
        run.wait(20)

    assert run.success
    assert Receipt.objects.get().reference == "cash"


def test_a_background_step_is_handed_over_and_its_celery_result_linked(
    sale: Sale, user: User, bank: Bank, working: Working
) -> None:
    run = sale.actions.carry.run(user=user)
    sale.refresh_from_db()
    assert run.status == "running"
    assert (sale.status, sale.note, bank.calls) == ("carried", "", [])

    with working():
        run.wait(20)

    sale.refresh_from_db()
    row = run.step_runs.get(name="charge")
    assert run.success
    assert sale.note == "ch_1"
    result = TaskResult.objects.get(task_id=row.celery_task_id)
    assert (result.task_name, result.status) == ("flowstate.step", "SUCCESS")
    assert str(row.pk) in result.task_args
    assert result.result == '"done"'
    assert run.step_runs.get(name="mark").celery_task_id == ""


def test_a_message_that_comes_twice_executes_once(
    sale: Sale, user: User, bank: Bank, working: Working
) -> None:
    """I13."""
    run = sale.actions.carry.run(user=user)
    row = run.step_runs.get(name="charge")
    for _number in range(3):
        CeleryCarrier().carry_step(row.pk, queue="flowstate", delay=0)
        CeleryCarrier().carry_run(str(run.pk), queue="flowstate", delay=0)
        celery.drain.apply_async(args=("flowstate",), queue="flowstate")

    with working():
        run.wait(20)
        last = celery.step.apply_async(args=(row.pk,), queue="flowstate")
        finished = last.get(timeout=20, disable_sync_subtasks=False)

    assert finished == ""
    assert bank.calls == [("charge", f"{run.pk}:charge")]
    assert run.refresh().step_runs.get(name="charge").attempt == 1


def test_a_message_without_anything_behind_it_does_nothing(sale: Sale, user: User, working: Working) -> None:
    """I13: the run was rolled back, ended or pruned meanwhile."""
    ended = sale.actions.touch.run(user=user)
    gone = "01a1f900-0000-7000-8000-000000000000"

    with working():
        answers = [
            celery.run.apply_async(args=(gone,), queue="flowstate", ignore_result=False),
            celery.step.apply_async(args=(987_654,), queue="flowstate"),
            celery.run.apply_async(args=(str(ended.pk),), queue="flowstate", ignore_result=False),
        ]
        answered = [answer.get(timeout=20, disable_sync_subtasks=False) for answer in answers]

    assert answered == ["", "", ""]
    assert Run.objects.get().status == "succeeded"


def test_a_step_of_another_queue_goes_to_its_workers(
    sale: Sale, user: User, on_sale: OnSale, bank: Bank, working: Working, messages: Messages
) -> None:
    run = on_sale(OnASlowQueue).run(user=user)
    assert messages() == []

    with working("slow"):
        run.wait(20)

    assert run.success
    assert bank.calls == [("charge", f"{run.pk}:charge")]


# --- publishing ----------------------------------------------------------------------------------


def test_a_message_carries_ids_only(sale: Sale, user: User, messages: Messages) -> None:
    sale.actions.checkout.enqueue(user=user, input={"card": "tok_secret"})
    handed_over = sale.actions.carry.run(user=user)
    row = handed_over.step_runs.get(name="charge")

    assert messages() == [("flowstate.drain", ["flowstate"]), ("flowstate.step", [row.pk])]


def test_many_new_runs_send_one_wake_up(sale: Sale, user: User, messages: Messages) -> None:
    """C6."""
    with transaction.atomic():
        for _number in range(20):
            sale.actions.touch.enqueue(user=user)

    assert messages() == [("flowstate.drain", ["flowstate"])]
    assert Run.objects.due().count() == 20


def test_one_wake_up_carries_many_runs(sale: Sale, user: User, working: Working) -> None:
    with transaction.atomic():
        runs = [sale.actions.touch.enqueue(user=user) for _number in range(10)]

    with working():
        for run in runs:
            run.wait(20)

    assert all(run.success for run in runs)


def test_nothing_is_published_before_the_commit(sale: Sale, user: User, messages: Messages) -> None:
    """I14."""
    with transaction.atomic():
        sale.actions.checkout.enqueue(user=user)
        before = messages()

    assert before == []
    assert messages() == [("flowstate.drain", ["flowstate"])]


def test_nothing_is_published_of_what_was_rolled_back(sale: Sale, user: User, messages: Messages) -> None:
    """I14."""
    with transaction.atomic():
        sale.actions.checkout.enqueue(user=user)
        transaction.set_rollback(True)

    assert messages() == []


def test_an_inline_run_publishes_nothing(sale: Sale, user: User, bank: Bank, messages: Messages) -> None:
    """C6."""
    sale.actions.checkout.run(user=user)
    sale.actions.settle.run(user=user)

    assert messages() == []


def test_a_retry_with_a_delay_is_published_with_it(
    sale: Sale, user: User, bank: Bank, messages: Messages
) -> None:
    bank.script = [declined]
    run = sale.actions.carry.run(user=user)
    messages()

    assert carry_run(str(run.pk), queue="flowstate") == "running"

    assert messages() == [("flowstate.step", [run.step_runs.get(name="charge").pk])]


def test_a_long_delay_is_left_to_the_sweeper(messages: Messages) -> None:
    CeleryCarrier().carry_step(1, queue="flowstate", delay=61)
    CeleryCarrier().carry_step(2, queue="flowstate", delay=60)

    assert messages() == [("flowstate.step", [2])]


class NoBroker:
    """A carrier whose broker is down."""

    def wake(self, *, queue: str) -> None:
        raise ConnectionRefusedError

    def carry_run(self, run_id: str, *, queue: str, delay: float) -> None:
        raise ConnectionRefusedError

    def carry_step(self, step_run_id: int, *, queue: str, delay: float) -> None:
        raise ConnectionRefusedError


@override_settings(FLOWSTATE={"CARRIER": "tests.carriers.test_celery.NoBroker"})
def test_a_broker_that_is_down_loses_no_run(
    sale: Sale, user: User, bank: Bank, caplog: pytest.LogCaptureFixture
) -> None:
    """I13: the row is there, and due for whoever looks."""
    enqueued = sale.actions.checkout.enqueue(user=user)
    handed_over = sale.actions.carry.run(user=user)

    assert set(Run.objects.due()) == {enqueued, handed_over}
    assert StepRun.objects.due().filter(run=handed_over).get().name == "charge"
    said = [record.getMessage() for record in caplog.records if record.name == "flowstate.carrier"]
    assert len(said) == 2
    assert "Could not wake queue=flowstate; what is due starts with the next sweep" in said[0]
    assert "Could not publish step_run=" in said[1]


@override_settings(FLOWSTATE={"CARRIER": "tests.carriers.ghost.Carrier"})
def test_a_carrier_that_is_not_there_loses_no_run(sale: Sale, user: User) -> None:
    sale.actions.checkout.enqueue(user=user)

    assert Run.objects.due().count() == 1


@override_settings(FLOWSTATE={"CARRIER": "tests.carriers.test_celery.NoBroker"})
def test_a_run_published_in_vain_is_carried_when_somebody_looks(sale: Sale, user: User, bank: Bank) -> None:
    run = sale.actions.checkout.enqueue(user=SYSTEM)

    assert carry_run(str(run.pk), queue="flowstate") == "succeeded"


def test_the_worker_leaves_no_connection_open(sale: Sale, user: User, working: Working) -> None:
    """I33."""
    run = sale.actions.touch.enqueue(user=user)

    with working():
        run.wait(20)

    assert run.success
    assert not connections["default"].in_atomic_block
