"""`flowstate_fsck` over journals that the engine wrote, and what the command prints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest

from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from flowstate import SYSTEM
from flowstate.engine.audit import fsck
from flowstate.engine.audit.fsck import find_broken
from flowstate.models import EventKind, Run, RunEvent
from tests.faults.planting import DONE, RUNNING, UNDONE, alone, late, pair, run_row, step_row
from tests.kiosk import returns
from tests.kiosk.models import Product, Sale
from tests.kiosk.returns import Chain, Keep, Whole, WholeOutside
from tests.kiosk.workflows import CardDeclined, bank


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    returns.forget()
    bank.reset()
    yield
    returns.forget()
    bank.reset()


def a_sale(owner: User) -> Sale:
    return Sale.objects.create(owner=owner, product=Product.objects.create(name="tea", stock=10), quantity=3)


# --- journals in order -----------------------------------------------------------------------------


def in_order() -> bool:
    return list(find_broken(using="default", skew=timedelta(0))) == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("failing", ["", "pay", "tell", "last"])
@pytest.mark.parametrize("workflow", [Chain, Keep, Whole, WholeOutside])
def test_a_run_that_ended_is_in_order(workflow: Any, failing: str) -> None:
    returns.errors[failing] = [OSError("no")]

    old = workflow.run(user=SYSTEM)
    assert in_order()

    if not old.success:
        assert old.retry(SYSTEM).success
    assert in_order()


@pytest.mark.django_db(transaction=True)
def test_a_step_in_doubt_is_in_order() -> None:
    returns.errors["pay"] = [ConnectionError("?")]
    run = Chain.run(user=SYSTEM)

    assert run.steps[0].status == "unknown"
    assert in_order()


@pytest.mark.django_db(transaction=True)
def test_a_run_in_attention_and_its_way_on_are_in_order(caplog: pytest.LogCaptureFixture) -> None:
    returns.errors |= {"last": [OSError("no")], "refund": [OSError("stuck")] * 3}
    run = Chain.run(user=SYSTEM)
    assert run.status == "attention"
    assert in_order()

    run.retry(SYSTEM)

    assert run.refresh().status == "compensated"
    assert in_order()


@pytest.mark.django_db(transaction=True)
def test_a_run_that_waits_and_is_cancelled_is_in_order() -> None:
    user = User.objects.create_user("ada")
    run = a_sale(user).actions.carry.run(user=user)
    assert in_order()

    run.cancel(user)
    assert in_order()

    run.retry(user)
    assert in_order()


@pytest.mark.django_db(transaction=True)
def test_runs_of_the_shop_kind_are_in_order() -> None:
    user = User.objects.create_user("ada")
    sale = a_sale(user)

    def decline() -> None:
        raise CardDeclined

    bank.script = [decline]
    sale.actions.checkout.run(user=user)
    sale.actions.checkout.run(user=user)
    sale.actions.carry.run(user=user)
    sale.actions.settle.enqueue(user=user)

    assert {run.status for run in Run.objects.all()} == {"compensated", "succeeded", "running"}
    assert in_order()


# --- the command ------------------------------------------------------------------------------------


def test_the_command_says_that_the_journal_is_in_order(db: None) -> None:
    out = StringIO()

    call_command("flowstate_fsck", stdout=out)

    assert out.getvalue() == "The journal is in order.\n"


def test_the_command_names_row_invariant_words_and_remedy_and_fails(db: None) -> None:
    step = step_row(run_row("failed"), "done", compensation="pending")
    out = StringIO()

    with pytest.raises(CommandError, match="1 times an invariant is broken") as refused:
        call_command("flowstate_fsck", stdout=out)

    assert refused.value.returncode == 1
    words = "was done and not undone, but its run is through with undoing. Find out outside"
    assert out.getvalue().startswith(
        f"I15  flowstate_steprun {step.pk}: step pay of run {step.run_id} {words}"
    )


def test_json_is_one_document(db: None) -> None:
    run = run_row("running")
    out = StringIO()

    with pytest.raises(CommandError):
        call_command("flowstate_fsck", "--json", stdout=out)

    broken = json.loads(out.getvalue())["broken"]
    assert {row["key"] for row in broken} == {str(run.pk)}
    assert set(broken[0]) == {"invariant", "table", "key", "run", "step", "words", "remedy"}


def test_no_more_rows_are_named_than_asked_for(db: None) -> None:
    for _row in range(5):
        alone(RUNNING, status="blocked")

    assert len(list(find_broken(using="default", limit=3))) == 3


@pytest.mark.parametrize("wrong", ["0", "-1", "many"])
def test_a_limit_that_is_no_number_is_refused(wrong: str) -> None:
    with pytest.raises(CommandError, match="whole number above 0"):
        call_command("flowstate_fsck", f"--limit={wrong}")


def test_pages_meet_without_a_gap(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fsck, "PAGE", 2)
    for _run in range(5):
        pair("compensating", UNDONE, DONE)

    assert len([row for row in find_broken(using="default") if row.invariant == "I16"]) == 5


def test_a_run_that_a_person_took_up_again_may_be_undone_out_of_order(db: None) -> None:
    pair("compensating", UNDONE, DONE)
    assert not in_order()

    RunEvent.objects.record(Run.objects.get(), EventKind.RETRY_REQUESTED)

    assert in_order()


def test_clocks_that_are_a_little_apart_are_no_finding(db: None) -> None:
    pair("compensated", UNDONE, {**UNDONE, "compensation_ended_at": late(2)})

    assert list(find_broken(using="default")) == []
    assert not in_order()
