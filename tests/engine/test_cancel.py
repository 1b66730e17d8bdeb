"""Cancelling: what has not started never starts, what was done is undone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from django.contrib.auth.models import AnonymousUser, Permission, User

from flowstate import SYSTEM, RunCancelled, RunConflict
from flowstate.engine.carry.messages import carry_run, carry_step
from flowstate.engine.operate.authority import may_operate
from flowstate.models import Run, StepRun
from tests.kiosk import returns
from tests.kiosk.models import Sale
from tests.kiosk.returns import CancelledWithin, Waits, WithinLater, diary
from tests.kiosk.stall import OnSale

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    returns.forget()
    yield
    returns.forget()
    CancelledWithin.within.clear()
    WithinLater.within.clear()


def test_a_run_that_waits_for_a_worker_is_undone(sale: Sale, user: User, on_sale: OnSale) -> None:
    run = on_sale(Waits).run(user=user)
    assert run.status == "running"

    run.cancel(user, "changed my mind")

    sale.refresh_from_db()
    assert run.status == "cancelled"
    assert run.finished
    assert not run.success
    assert sale.status == "open"
    assert diary.lines == ["pay", "refund"]
    assert run.compensated_steps == ["pay", "mark"]
    assert run.step_runs.get(name="ship").status == "cancelled"
    assert run.exclusive_key is None
    assert (run.cancelled_by, run.cancelled_by_label) == (user, "ada")
    event = run.events.get()
    assert (event.kind, event.actor, event.data) == ("cancel_requested", user, {"detail": "changed my mind"})


def test_a_run_that_was_only_enqueued_is_cancelled_without_a_trace(
    sale: Sale, user: User, on_sale: OnSale
) -> None:
    run = on_sale(Waits).enqueue(user=user)

    run.cancel(SYSTEM)

    sale.refresh_from_db()
    assert run.status == "cancelled"
    assert sale.status == "open"
    assert diary.lines == []
    assert {row.status for row in run.steps} == {"cancelled"}
    assert run.cancelled_by_label == "system"


def test_a_cancelled_run_raises_who_cancelled_it(sale: Sale, user: User, on_sale: OnSale) -> None:
    run = on_sale(Waits).enqueue(user=user).cancel(user)

    with pytest.raises(RunCancelled, match="was cancelled by ada") as caught:
        run.raise_for_status()

    assert caught.value.run_id == str(run.pk)


def test_after_a_cancel_nothing_new_starts(sale: Sale, user: User, on_sale: OnSale) -> None:
    """I24: also for messages that come late."""
    run = on_sale(Waits).run(user=user)
    ship = run.step_runs.get(name="ship")
    run.cancel(user)

    answers = [carry_step(ship.pk, queue="flowstate"), carry_run(str(run.pk), queue="flowstate")]

    assert answers == ["", ""]
    assert "ship" not in diary.lines
    assert run.refresh().status == "cancelled"


@pytest.mark.parametrize("how", ["succeeded", "compensated", "cancelled", "attention"])
def test_a_run_that_does_not_go_on_cannot_be_cancelled(
    sale: Sale, user: User, on_sale: OnSale, how: str
) -> None:
    if how == "cancelled":
        run = on_sale(Waits).enqueue(user=user).cancel(user)
    else:
        returns.errors["last"] = [] if how == "succeeded" else [OSError("no")]
        returns.errors["refund"] = [OSError("stuck")] * 3 if how == "attention" else []
        run = on_sale(returns.Chain).run(user=user)
    assert run.status == how
    lines = list(diary.lines)

    with pytest.raises(RunConflict, match=f"cannot be cancelled: it is {how}. Only a running run can be"):
        run.cancel(user)

    assert run.refresh().status == how
    assert diary.lines == lines
    assert run.events.filter(kind="cancel_requested").count() == (how == "cancelled")


def test_a_step_in_flight_finishes_is_recorded_and_undone() -> None:
    """I15."""
    CancelledWithin.within.append(lambda ctx: Run.objects.get().cancel(SYSTEM))

    run = CancelledWithin.run(user=SYSTEM)

    assert diary.lines == ["one", "two", "undo two", "undo one"]
    assert diary.undone_with == {"two": "two"}
    assert run.status == "cancelled"
    assert run.step_runs.get(name="three").status == "cancelled"


def test_a_step_in_flight_sees_that_the_run_was_cancelled() -> None:
    seen: list[bool] = []

    def look(ctx: Any) -> None:
        seen.append(ctx.cancelled)
        Run.objects.get().cancel(SYSTEM)
        seen.append(ctx.cancelled)

    CancelledWithin.within.append(look)

    CancelledWithin.run(user=SYSTEM)

    assert seen == [False, True]


@pytest.mark.parametrize("workflow", [CancelledWithin, WithinLater])
def test_a_step_in_flight_that_fails_after_a_cancel_is_not_tried_again(
    workflow: type[CancelledWithin],
) -> None:
    """I24."""

    def cancel_and_fail(ctx: Any) -> None:
        Run.objects.get().cancel(SYSTEM)
        raise OSError

    workflow.within.append(cancel_and_fail)

    run = workflow.run(user=SYSTEM)

    assert diary.lines == ["one", "two", "undo one"]
    assert run.refresh().status == "cancelled"
    assert not StepRun.objects.filter(status__in=["ready", "running"]).exists()


def test_a_step_in_doubt_that_waits_for_its_retry_is_undone_by_a_cancel() -> None:
    """I15: the doubt sticks."""
    returns.errors["two"] = [OSError("first")]
    run = WithinLater.run(user=SYSTEM)
    assert run.refresh().waiting_for == "time"
    StepRun.objects.filter(name="two").update(uncertain=True)

    run.cancel(SYSTEM)

    assert run.status == "cancelled"
    assert run.step_runs.get(name="two").status == "unknown"
    assert diary.undone_with == {"two": None}
    assert diary.lines == ["one", "two", "undo two", "undo one"]


def test_undoing_that_fails_after_a_cancel_needs_a_person(sale: Sale, user: User, on_sale: OnSale) -> None:
    run = on_sale(Waits).run(user=user)
    returns.errors["refund"] = [OSError("stuck")] * 3

    run.cancel(user)

    assert run.status == "attention"
    assert run.compensated_steps == ["mark"]
    returns.errors.clear()
    assert run.retry(user).status == "cancelled"


def test_only_who_asked_or_who_operates_runs_may_cancel_and_retry(
    sale: Sale, user: User, on_sale: OnSale
) -> None:
    run = on_sale(Waits).enqueue(user=user)
    operator = User.objects.create_user("operator")
    operator.user_permissions.add(Permission.objects.get(codename="operate_run"))
    gone = User.objects.create_user("gone", is_active=False)

    allowed = [who for who in (user, operator, SYSTEM) if may_operate(run, who)]
    refused = [
        who for who in (User.objects.create_user("bob"), AnonymousUser(), gone, None) if may_operate(run, who)
    ]

    assert allowed == [user, operator, SYSTEM]
    assert refused == []


def test_a_run_of_the_system_belongs_to_nobody(user: User) -> None:
    run = CancelledWithin.run(user=SYSTEM)

    assert not may_operate(run, user)
    assert not may_operate(run, AnonymousUser())
