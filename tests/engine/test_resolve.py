"""What a person decides about a step whose undoing failed: waive it, or force it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from django.contrib.auth.models import User
from django.db.models import F

from flowstate import SYSTEM, ActionDenied, RunConflict
from flowstate.engine.audit.fsck import find_broken
from flowstate.engine.operate import resolve
from flowstate.exceptions import InputInvalid
from flowstate.models import Run, StepRun
from flowstate.signals import entity_restored
from tests.kiosk import returns
from tests.kiosk.models import Sale
from tests.kiosk.quarrels import Mark, Skipping, compensations, events, stuck
from tests.kiosk.stall import OnSale

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    returns.forget()
    yield
    returns.forget()


@pytest.fixture(autouse=True)
def sound_journal() -> Iterator[None]:
    """Look after each test whether the journal is in order."""
    yield
    assert list(find_broken(using="default")) == []


# --- waive ---------------------------------------------------------------------------------------


def test_a_step_waived_with_a_reason_stays_and_the_run_ends(sale: Sale, user: User, on_sale: OnSale) -> None:
    """I36."""
    run = stuck(on_sale, user)

    same = run.waive(user, "mark", "Lou wrote it on purpose.")

    sale.refresh_from_db()
    assert same.pk == run.pk
    assert (run.status, sale.status) == ("compensated", "theirs")
    assert compensations(run)["mark"] == "waived"
    assert events(run, "undo_waived") == [("mark", "ada", "Lou wrote it on purpose.")]
    event = run.events.get(kind="undo_waived")
    assert run.ended_at is not None
    assert (event.actor, event.at <= run.ended_at) == (user, True)
    assert (run.wake_at, run.exclusive_key) == (None, None)


def test_the_history_tells_what_was_waived_after_how_it_failed(
    sale: Sale, user: User, on_sale: OnSale
) -> None:
    run = stuck(on_sale, user).waive(user, "mark", "so be it")

    told = [(entry.what, entry.who, entry.detail) for entry in run.timeline() if entry.step == "mark"]
    words = f"kiosk.Sale {sale.pk} was changed by somebody else since: status."
    assert told == [
        ("done", "", ""),
        ("compensation failed", "", words),
        ("undo_waived", "ada", "so be it"),
    ]


def test_the_compensation_of_an_external_step_can_be_waived_too(
    sale: Sale, user: User, on_sale: OnSale
) -> None:
    returns.errors["refund"] = [OSError("stuck")] * 3
    run = on_sale(Mark).run(user=user)
    assert compensations(run)["pay"] == "failed"

    assert run.waive(user, "pay", "paid back by hand").status == "compensated"


def test_while_something_failed_is_left_the_run_waits_on_and_nobody_is_alerted_again(
    sale: Sale, user: User, on_sale: OnSale, caplog: pytest.LogCaptureFixture
) -> None:
    run = stuck(on_sale, user, status="theirs", note="theirs")

    run.waive(user, "note", "no matter")

    assert run.status == "attention"
    assert compensations(run) == {"count": "done", "mark": "failed", "pay": "done", "note": "waived"}
    assert run.wake_at is not None
    assert run.waiting_for == "person"
    assert sum(record.name == "flowstate.attention" for record in caplog.records) == 1
    assert run.waive(user, "mark", "nor this").status == "compensated"


def test_a_cancelled_run_that_is_waived_ends_as_cancelled(sale: Sale, user: User) -> None:
    run = sale.actions.carry.run(user=user)
    Sale.objects.update(status="theirs")
    run.cancel(user)
    assert run.status == "attention"

    assert run.waive(user, "mark", "theirs is right").status == "cancelled"


def test_waiving_goes_by_a_reason_only(sale: Sale, user: User, on_sale: OnSale) -> None:
    run = stuck(on_sale, user)

    with pytest.raises(InputInvalid, match="without a reason") as caught:
        run.waive(user, "mark", "  ")

    assert list(caught.value.errors) == ["reason"]
    assert run.refresh().status == "attention"


def test_a_run_whose_code_is_gone_can_be_waived(sale: Sale, user: User, on_sale: OnSale) -> None:
    """I36."""
    run = stuck(on_sale, user)
    Run.objects.update(workflow="shop.workflows.Gone")
    StepRun.objects.filter(name="pay").update(name="paid")

    assert run.refresh().waive(user, "mark", "the code is gone").status == "compensated"

    Run.objects.update(workflow="tests.kiosk.quarrels.Mark")
    StepRun.objects.filter(name="paid").update(name="pay")


def test_what_was_waived_is_not_undone_by_the_run_that_retries(
    sale: Sale, user: User, on_sale: OnSale
) -> None:
    run = stuck(on_sale, user).waive(user, "mark", "stays")
    returns.within["last"] = []

    new = run.retry(SYSTEM)

    sale.refresh_from_db()
    assert compensations(new)["mark"] == "waived"
    assert (new.status, sale.status) == ("compensated", "theirs")


# --- force ---------------------------------------------------------------------------------------


def test_a_forced_step_is_restored_over_the_foreign_value_and_the_run_ends(
    sale: Sale, user: User, on_sale: OnSale, signals: list[dict[str, Any]]
) -> None:
    run = stuck(on_sale, user)
    signals.clear()

    run.force(user, "mark")

    sale.refresh_from_db()
    assert (run.status, sale.status) == ("compensated", "open")
    assert compensations(run)["mark"] == "done"
    assert run.compensation_errors == {}
    assert events(run, "undo_forced") == [("mark", "ada", f"kiosk.Sale {sale.pk}: status")]
    data = run.events.get(kind="undo_forced").data
    assert data["overwritten"][0]["fields"]["status"]["found"] == "theirs"
    assert [(signal["kind"], signal["step"]) for signal in signals] == [
        ("step_undone", "mark"),
        ("ended", ""),
    ]


def test_a_forced_step_keeps_how_it_failed_before_and_why_it_was_forced(
    sale: Sale, user: User, on_sale: OnSale
) -> None:
    run = stuck(on_sale, user)

    run.force(user, "mark", "the till was wrong")

    assert [entry.what for entry in run.timeline() if entry.step == "mark"] == [
        "done",
        "compensation_attempt_failed",
        "compensation done",
        "undo_forced",
    ]
    assert events(run, "undo_forced") == [("mark", "ada", "the till was wrong")]


def test_who_keeps_copies_of_rows_is_told_of_a_forced_one(sale: Sale, user: User, on_sale: OnSale) -> None:
    run, heard = stuck(on_sale, user), []

    def hear(sender: Any, pk: Any, change: str, **_facts: Any) -> None:
        heard.append((sender, pk, change))

    entity_restored.connect(hear)
    run.force(user, "mark")
    entity_restored.disconnect(hear)

    assert heard == [(Sale, sale.pk, "changed")]


def test_what_cannot_be_forced_stays_a_conflict_and_the_attempt_is_told(
    sale: Sale, user: User, on_sale: OnSale
) -> None:
    run = stuck(on_sale, user)
    Sale.objects.all().delete()

    run.force(user, "mark")

    assert run.status == "attention"
    assert "is gone" in run.compensation_errors["mark"]["detail"]
    assert events(run, "undo_forced") == [
        ("mark", "ada", f"in vain: kiosk.Sale {sale.pk} is gone, so it cannot be restored.")
    ]
    assert run.waive(user, "mark", "the sale is gone").status == "compensated"


def test_one_step_is_forced_and_the_others_are_left_as_they_are(
    sale: Sale, user: User, on_sale: OnSale
) -> None:
    run = stuck(on_sale, user, status="theirs", note="theirs")

    run.force(user, "note")

    sale.refresh_from_db()
    assert (run.status, sale.status, sale.note) == ("attention", "theirs", "")
    assert run.force(user, "mark").status == "compensated"


def test_the_compensation_of_an_external_step_cannot_be_forced(
    sale: Sale, user: User, on_sale: OnSale
) -> None:
    returns.errors["refund"] = [OSError("stuck")] * 3
    run = on_sale(Mark).run(user=user)

    with pytest.raises(RunConflict, match=r"cannot be forced.*code of its own.*retry or waive"):
        run.force(user, "pay")

    assert run.refresh().status == "attention"


# --- both ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["waive", "force"])
def test_only_what_failed_in_a_run_in_attention_can_be_settled(
    sale: Sale, user: User, on_sale: OnSale, verb: str
) -> None:
    run, ended = stuck(on_sale, user), on_sale(Skipping).run(user=user)

    with pytest.raises(RunConflict, match=r"its undoing did not fail\. That of mark did"):
        getattr(run, verb)(user, "count", "because")
    with pytest.raises(RunConflict, match="it is compensated"):
        getattr(ended, verb)(user, "mark", "because")
    with pytest.raises(ActionDenied, match="pass user="):
        getattr(run, verb)(None, "mark", "because")

    assert run.refresh().status == "attention"


@pytest.mark.parametrize("verb", ["waive", "force"])
def test_a_second_person_is_told_that_somebody_was_faster(
    sale: Sale, user: User, on_sale: OnSale, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = stuck(on_sale, user)
    failed_row = resolve._failed_row

    def looked_then_overtaken(execution: Any, step: str, word: str) -> StepRun:
        row = failed_row(execution, step, word)
        StepRun.objects.filter(pk=row.pk).update(compensation_attempt=F("compensation_attempt") + 1)
        return row

    monkeypatch.setattr(resolve, "_failed_row", looked_then_overtaken)

    with pytest.raises(RunConflict, match="Somebody was faster"):
        getattr(run, verb)(user, "mark", "because")

    sale.refresh_from_db()
    assert (run.refresh().status, sale.status) == ("attention", "theirs")


def test_asynchronous_code_settles_too(sale: Sale, user: User, on_sale: OnSale) -> None:
    run = stuck(on_sale, user, status="theirs", note="theirs")

    async def settle() -> Run:
        await run.aforce(user, "mark")
        return await run.awaive(user, "note", "no matter")

    assert async_to_sync(settle)().status == "compensated"
