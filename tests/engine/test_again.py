"""Going on: the failed compensations of a run that needs a person, or a new run after one that ended badly."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from django.contrib.auth.models import Permission, User
from django.db import transaction

from flowstate import SYSTEM, ActionDenied, AlreadyRunning, RunConflict
from flowstate.engine.carry.messages import carry_run
from flowstate.models import Run, StepRun
from tests.kiosk import returns
from tests.kiosk.models import Entry, Sale
from tests.kiosk.returns import Chain, Keep, Waits, Whole, WholeOutside, diary
from tests.kiosk.stall import OnSale
from tests.kiosk.workflows import Bank, CardDeclined

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    returns.forget()
    yield
    returns.forget()


def statuses(run: Run) -> dict[str, str]:
    return {row.name: row.status for row in Run.objects.get(pk=run.pk).steps}


# --- in attention --------------------------------------------------------------------------------


def test_the_failed_compensations_are_tried_again_and_the_run_ends(
    user: User, caplog: pytest.LogCaptureFixture
) -> None:
    """I36."""
    returns.errors |= {"last": [OSError("no")], "refund": [OSError("stuck")] * 3}
    run = Chain.run(user=SYSTEM)
    assert run.status == "attention"

    same = run.retry(user)

    assert same.pk == run.pk
    assert same.status == "compensated"
    assert same.compensated_steps == ["book", "pay"]
    assert same.compensation_errors == {}
    assert diary.lines.count("refund") == 4
    assert diary.keys.count(f"{run.pk}:pay:undo") == 4
    event = same.events.get(kind="retry_requested")
    assert event.actor == user
    assert sum(record.name == "flowstate.attention" for record in caplog.records) == 1


def test_a_compensation_that_fails_again_leaves_the_run_to_a_person_again(
    user: User, caplog: pytest.LogCaptureFixture
) -> None:
    returns.errors |= {"last": [OSError("no")], "refund": [OSError("stuck")] * 6}
    run = Chain.run(user=SYSTEM)

    assert run.retry(user).status == "attention"

    assert run.refresh().compensation_errors["pay"]["detail"] == "stuck"
    assert sum(record.name == "flowstate.attention" for record in caplog.records) == 2
    assert run.retry(user).status == "compensated"


# --- ended badly ---------------------------------------------------------------------------------


def test_a_new_run_takes_over_what_is_done_and_not_undone(user: User) -> None:
    user.user_permissions.add(Permission.objects.get(codename="operate_run"))
    returns.errors["last"] = [OSError("no")]
    old = Keep.run(user=SYSTEM)
    assert old.status == "failed"
    before = {row.name: row for row in old.steps}

    new = old.retry(user)

    assert new.pk != old.pk
    assert new.retry_of == old
    assert new.success
    assert diary.lines == ["pay", "tell", "last", "last"]
    assert Entry.objects.count() == 1
    assert new.value == Entry.objects.get().pk
    rows = {row.name: row for row in new.steps}
    for name in ("pay", "book", "tell"):
        assert (rows[name].status, rows[name].key) == ("done", f"{old.pk}:{name}")
        assert (rows[name].result, rows[name].undo) == (before[name].result, before[name].undo)
    assert rows["last"].key == f"{new.pk}:last"
    assert new.requested_by_label == "ada"


def test_from_then_on_only_the_new_run_undoes_what_it_took_over() -> None:
    returns.errors["last"] = [OSError("no")]
    old = Keep.run(user=SYSTEM)

    new = old.retry(SYSTEM)

    assert {row.compensation for row in old.refresh().steps} == {"none"}
    assert [row.compensation for row in new.steps] == ["pending", "pending", "none", "none"]


def test_the_new_run_undoes_what_it_took_over_when_it_fails() -> None:
    returns.errors["last"] = [OSError("no"), OSError("no again")]
    old = Chain.run(user=SYSTEM)
    assert old.status == "compensated"

    new = old.retry(SYSTEM)

    assert new.status == "compensated"
    assert diary.lines == ["pay", "tell", "last", "refund", "pay", "last", "refund"]
    assert diary.undone_with["pay"] == f"paid under {new.pk}:pay"
    assert not Entry.objects.exists()


def test_a_step_that_was_undone_runs_again_under_a_new_key() -> None:
    returns.errors["last"] = [OSError("no")]
    old = Chain.run(user=SYSTEM)

    new = old.retry(SYSTEM)

    assert new.success
    assert diary.lines == ["pay", "tell", "last", "refund", "pay", "last"]
    assert new.results["pay"] == f"paid under {new.pk}:pay"
    assert new.step_runs.get(name="tell").key == f"{old.pk}:tell"
    assert Entry.objects.count() == 1


def test_an_unknown_step_that_was_undone_runs_again_under_a_new_key() -> None:
    returns.errors["pay"] = [ConnectionError()]
    old = Chain.run(user=SYSTEM)
    assert old.step_runs.get(name="pay").status == "unknown"

    new = old.retry(SYSTEM)

    assert new.success
    assert new.results["pay"] == f"paid under {new.pk}:pay"


def test_an_unknown_step_that_was_not_undone_runs_again_under_its_old_key() -> None:
    returns.errors["pay"] = [ConnectionError()]
    old = Keep.run(user=SYSTEM)
    assert old.status == "failed"

    new = old.retry(SYSTEM)

    assert new.success
    assert new.results["pay"] == f"paid under {old.pk}:pay"
    assert old.refresh().step_runs.get(name="pay").compensation == "none"


def test_the_doubt_is_taken_over_too() -> None:
    returns.errors["pay"] = [ConnectionError(), OSError("no")]
    old = Keep.run(user=SYSTEM)

    new = old.retry(SYSTEM)

    assert new.step_runs.get(name="pay").status == "unknown"


def test_a_second_retry_gives_the_same_run_back() -> None:
    returns.errors["last"] = [OSError("no")]
    old = Chain.run(user=SYSTEM)

    first, second = old.retry(SYSTEM), old.refresh().retry(SYSTEM)

    assert first.pk == second.pk
    assert Run.objects.count() == 2


def test_to_go_on_one_retries_the_retry() -> None:
    returns.errors["last"] = [OSError("1"), OSError("2"), OSError("3")]
    run = Chain.run(user=SYSTEM)

    run = run.retry(SYSTEM)
    run = run.retry(SYSTEM)
    last = run.retry(SYSTEM)

    assert last.success
    assert last.retry_of == run
    assert Run.objects.count() == 4
    assert Entry.objects.count() == 1


def test_a_cancelled_run_can_be_gone_on_with(sale: Sale, user: User) -> None:
    old = sale.actions.carry.run(user=user).cancel(user)

    new = old.retry(user)

    sale.refresh_from_db()
    assert new.status == "running"
    assert sale.status == "carried"
    assert new.exclusive_key is not None
    assert new.entity == sale
    assert statuses(new) == {"mark": "done", "charge": "ready", "note": "blocked"}


def test_input_is_taken_over(sale: Sale, user: User, bank: Bank) -> None:
    def decline() -> None:
        raise CardDeclined

    bank.script = [decline]
    old = sale.actions.checkout.run(user=user, input={"card": "tok_9"})

    new = old.retry(user)

    assert new.success
    assert new.input == {"card": "tok_9"}
    assert new.action == old.action
    assert new.idempotency_key is None


@pytest.mark.parametrize("how", ["succeeded", "running"])
def test_what_goes_on_or_ended_well_cannot_be_retried(
    sale: Sale, user: User, on_sale: OnSale, how: str
) -> None:
    run = on_sale(Chain if how == "succeeded" else Waits).run(user=user)
    assert run.status == how

    with pytest.raises(RunConflict, match=f"cannot be retried: it is {how}"):
        run.retry(user)

    assert Run.objects.count() == 1


def test_a_retry_is_refused_while_another_run_holds_the_row(sale: Sale, user: User) -> None:
    old = sale.actions.carry.run(user=user).cancel(user)
    sale.actions.carry.run(user=user)

    with pytest.raises(AlreadyRunning, match=f"Run {old.pk} .* cannot be retried now"):
        old.retry(user)

    assert Run.objects.count() == 2
    assert {row.name: row.compensation for row in old.refresh().steps} == {
        "mark": "done",
        "charge": "pending",
        "note": "pending",
    }


@pytest.mark.parametrize("workflow", [Whole, WholeOutside])
def test_an_atomic_run_can_be_gone_on_with(workflow: type[Whole | WholeOutside]) -> None:
    returns.errors["last"] = [OSError("no")]
    old = workflow.run(user=SYSTEM)
    assert old.finished
    assert not old.success

    new = old.retry(SYSTEM)

    assert new.success
    assert set(statuses(new).values()) == {"done"}
    assert Run.objects.get(pk=new.pk).wake_at is None
    assert Entry.objects.count() == 1


def test_an_atomic_run_that_fails_again_undoes_only_what_is_outside() -> None:
    returns.errors["last"] = [OSError("no"), OSError("again")]

    new = WholeOutside.run(user=SYSTEM).retry(SYSTEM)

    assert new.status == "compensated"
    assert diary.lines == ["pay", "last", "refund", "pay", "last", "refund"]
    assert not Entry.objects.exists()


def test_inside_a_transaction_a_retry_is_left_to_workers() -> None:
    returns.errors["last"] = [OSError("no")]
    old = Chain.run(user=SYSTEM)

    with transaction.atomic():
        new = old.retry(SYSTEM)
        assert diary.lines == ["pay", "tell", "last", "refund"]

    assert carry_run(str(new.pk), queue="flowstate") == "succeeded"
    assert not StepRun.objects.filter(run=new).exclude(status="done").exists()


# --- who may -------------------------------------------------------------------------------------


def test_a_retry_asks_the_rules_again_as_every_start_does(sale: Sale, user: User) -> None:
    returns.errors["last"] = [OSError("no")]
    run = sale.actions.guarded.run(user=user)
    Sale.objects.update(note="closed")

    with pytest.raises(ActionDenied, match="may not do"):
        run.retry(user)

    assert Run.objects.count() == 1
    Sale.objects.update(note="")
    assert run.retry(user).retry_of == run


@pytest.mark.parametrize("verb", ["cancel", "retry"])
def test_nobody_is_no_user(sale: Sale, user: User, bank: Bank, verb: str) -> None:
    run = sale.actions.carry.run(user=user)

    with pytest.raises(ActionDenied, match="pass user="):
        getattr(run, verb)(None)
