"""`flowstate_prune`: what it deletes, what it leaves, and what it says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest

from django.core.management import CommandError, call_command
from django.db import connection, models
from django.db.models import ProtectedError
from django.db.models.signals import post_delete, pre_delete
from django.test.utils import CaptureQueriesContext

from flowstate import SYSTEM, deliver_event
from flowstate.engine.audit.fsck import find_broken
from flowstate.engine.operate import prune
from flowstate.management.commands import flowstate_prune
from flowstate.models import Event, EventKind, Run, RunEvent, StepRun, Touch
from flowstate.testing import carry_due
from flowstate.testing.time import move_clock
from tests.kiosk import returns
from tests.kiosk.families import Above, Order
from tests.kiosk.models import Sale
from tests.kiosk.returns import Chain, Keep
from tests.kiosk.stall import sale, user
from tests.surfaces.terminal import Terminal

__all__ = ["sale", "user"]

pytestmark = pytest.mark.django_db(transaction=True)

DAY = 86400.0


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    returns.forget()
    yield
    returns.forget()


def pruned(*arguments: str, later: float = 2 * DAY, stream: Any = None) -> str:
    out = stream or StringIO()
    with move_clock(seconds=later):
        call_command("flowstate_prune", *arguments, stdout=out)
    return str(out.getvalue())


def failed() -> Run:
    returns.errors["last"] = [OSError("no")]
    return Keep.run(user=SYSTEM)


def with_a_child() -> Run:
    run = Order.run(user=SYSTEM)
    carry_due()
    return run.refresh()


def left() -> set[Any]:
    return set(Run.objects.values_list("pk", flat=True))


# --- what goes -------------------------------------------------------------------------------------


def test_an_old_run_goes_with_all_that_is_its_own(sale: Sale, settings: Any) -> None:
    settings.FLOWSTATE = {"LINEAGE": "all"}
    sale.actions.checkout.run(user=SYSTEM)
    RunEvent.objects.record(failed(), EventKind.RETRY_REQUESTED)
    assert Touch.objects.exists()

    said = pruned("--older-than", "1d")

    assert said == "Deleted 2 runs and 0 events that were over.\n"
    assert [model.objects.count() for model in (Run, StepRun, RunEvent, Touch)] == [0, 0, 0, 0]
    sale.refresh_from_db()
    assert sale.status == "paid"


def test_a_run_that_ended_lately_stays() -> None:
    run = Chain.run(user=SYSTEM)

    pruned("--older-than", "3d")

    assert left() == {run.pk}


def test_a_live_run_stays_however_old_it_is() -> None:
    returns.errors |= {"last": [OSError("no")], "refund": [OSError("stuck")] * 3}
    attention = Chain.run(user=SYSTEM)
    waiting = Above.run(user=SYSTEM)
    assert (attention.status, waiting.status) == ("attention", "running")
    before = left()

    pruned("--older-than", "0", later=1000 * DAY)

    assert left() == before


def test_settings_say_how_long_each_status_is_kept(settings: Any) -> None:
    settings.FLOWSTATE = {"RETENTION": {"succeeded": timedelta(days=1), "failed": 5 * DAY}}
    good, bad = Chain.run(user=SYSTEM), failed()

    pruned()
    assert left() == {bad.pk}

    pruned(later=6 * DAY)
    assert left() == set()
    assert not Run.objects.filter(pk=good.pk).exists()


@pytest.mark.parametrize("kept", [None, {"succeeded": None}, 30 * DAY, {"succeeded": 30 * DAY, "failed": 1}])
def test_settings_say_how_long_a_workflow_is_kept(settings: Any, sale: Sale, kept: Any) -> None:
    workflows = {"kiosk.sale.checkout": kept, "tests.kiosk.workflows.Checkout": 1}
    settings.FLOWSTATE = {"RETENTION": {"succeeded": 1, "workflows": workflows}}
    kept_run = sale.actions.checkout.run(user=SYSTEM)
    Chain.run(user=SYSTEM)

    pruned()

    assert left() == {kept_run.pk}


def test_what_a_workflow_does_not_say_the_statuses_say(settings: Any) -> None:
    settings.FLOWSTATE = {
        "RETENTION": {"succeeded": 1, "workflows": {"tests.kiosk.returns.Chain": {"failed": None}}}
    }
    Chain.run(user=SYSTEM)

    pruned()

    assert left() == set()


def test_options_narrow_which_runs_are_looked_at(sale: Sale) -> None:
    chain, sold, bad = Chain.run(user=SYSTEM), sale.actions.settle.run(user=SYSTEM), failed()

    pruned("--older-than", "1d", "--status", "succeeded", "--workflow", "tests.kiosk.returns.Chain")
    assert left() == {sold.pk, bad.pk}

    pruned(
        "--older-than", "1d", "--workflow", "kiosk.sale.settle", "--status", "failed", "--status", "succeeded"
    )
    assert left() == {bad.pk}
    assert chain.pk not in left()


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_every_page_and_transaction_leads_to_the_next(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(prune, "BATCH", size)
    for _run in range(5):
        with_a_child()
    stays = failed()

    pruned("--older-than", "1d", "--status", "succeeded")

    assert left() == {stays.pk}


def test_events_that_are_over_go_too() -> None:
    deliver_event("paid", "order-7", {"sum": 1})
    deliver_event("paid", "order-8")

    assert pruned("--older-than", "1d", later=29 * DAY).endswith("and 0 events that were over.\n")
    assert pruned("--older-than", "1d", later=31 * DAY).endswith("and 2 events that were over.\n")
    assert not Event.objects.exists()


# --- what refers to each other ---------------------------------------------------------------------


def test_children_go_with_the_run_above_them() -> None:
    with_a_child()
    assert Run.objects.count() == 2

    pruned("--older-than", "1d", "--workflow", "tests.kiosk.families.Order")

    assert left() == set()
    assert not StepRun.objects.exists()


def test_a_child_does_not_go_alone() -> None:
    with_a_child()

    pruned("--older-than", "1d", "--workflow", "tests.kiosk.families.Ship")

    assert len(left()) == 2


def test_the_runs_above_stay_as_long_as_a_child_is_kept(settings: Any) -> None:
    settings.FLOWSTATE = {"RETENTION": {"succeeded": 1, "workflows": {"tests.kiosk.families.Ship": 30 * DAY}}}
    with_a_child()

    pruned()
    assert len(left()) == 2

    pruned(later=31 * DAY)
    assert left() == set()


def test_a_child_that_was_undone_goes_with_the_run_that_undid_it() -> None:
    returns.errors["thank"] = [OSError("no")]
    with_a_child()
    assert Run.objects.filter(undo_of__isnull=False, status="cancelled").exists()
    assert Run.objects.count() == 3

    pruned("--older-than", "1d")

    assert left() == set()


def test_what_a_live_retry_goes_on_from_stays(sale: Sale) -> None:
    old = failed()
    returns.errors |= {"last": [OSError("no")], "refund": [OSError("stuck")] * 3}
    retry = old.retry(SYSTEM)
    Run.objects.filter(pk=retry.pk).update(ended_at=None, wake_at="2100-01-01T00:00Z", status="attention")

    pruned("--older-than", "1d")

    assert left() == {old.pk, retry.pk}


def test_a_retry_does_not_go_before_the_run_it_goes_on_from(settings: Any) -> None:
    """Else the old run could be retried a second time, and what the first retry did would be done again."""
    settings.FLOWSTATE = {"RETENTION": {"succeeded": 1}}
    old = failed()
    retry = old.retry(SYSTEM)
    assert retry.success

    pruned()
    assert left() == {old.pk, retry.pk}

    settings.FLOWSTATE = {"RETENTION": {"succeeded": 1, "failed": 1}}
    pruned()
    assert left() == set()


def test_what_is_left_breaks_no_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prune, "BATCH", 2)
    for _run in range(3):
        with_a_child()
        failed().retry(SYSTEM)
    Above.run(user=SYSTEM)

    pruned("--older-than", "1d")

    assert Run.objects.count() == 2
    assert list(find_broken(using="default", skew=timedelta(0))) == []


# --- others' rows and signals ----------------------------------------------------------------------


def test_a_run_that_others_protect_is_kept_and_the_rest_goes() -> None:
    guarded, other = Chain.run(user=SYSTEM), Chain.run(user=SYSTEM)

    def protect(instance: models.Model, **_signal: Any) -> None:
        if instance.pk == guarded.pk:
            message = "an invoice refers to it"
            raise ProtectedError(message, {instance})

    pre_delete.connect(protect, sender=Run)
    try:
        said = pruned("--older-than", "1d")
    finally:
        pre_delete.disconnect(protect, sender=Run)

    assert said.endswith("1 runs are kept: rows of other tables refer to them.\n")
    assert left() == {guarded.pk}
    assert guarded.step_runs.exists()
    assert other.pk not in left()


def test_undo_records_are_not_read_even_where_somebody_listens_to_deletions(sale: Sale) -> None:
    sale.actions.checkout.run(user=SYSTEM)
    heard: list[models.Model] = []

    def listen(instance: models.Model, **_signal: Any) -> None:
        heard.append(instance)

    post_delete.connect(listen)
    try:
        pruned("--older-than", "1d")
    finally:
        post_delete.disconnect(listen)

    steps = [row for row in heard if isinstance(row, StepRun)]
    assert steps
    assert all("undo" in row.get_deferred_fields() for row in steps)


def test_a_retry_that_came_in_between_keeps_its_run() -> None:
    old = failed()
    families = [{old.pk}]
    old.retry(SYSTEM)

    assert prune.delete_families(families, "default") == 0
    assert old.pk in left()


def test_many_runs_take_no_more_statements_than_few() -> None:
    def statements(runs: int) -> int:
        for _run in range(runs):
            with_a_child()
        with CaptureQueriesContext(connection) as queries:
            pruned("--older-than", "1d")
        return len(queries)

    assert statements(2) == statements(8)


# --- what it says ----------------------------------------------------------------------------------


def test_a_dry_run_says_what_would_go_and_deletes_nothing() -> None:
    with_a_child()
    failed()

    said = pruned("--older-than", "1d", "--dry-run").splitlines()

    assert said == [
        "        1  succeeded    tests.kiosk.families.Order",
        "        1  succeeded    tests.kiosk.families.Ship",
        "        1  failed       tests.kiosk.returns.Keep",
        "3 runs would be deleted.",
    ]
    assert len(left()) == 3


def test_a_terminal_is_shown_how_far_it_is() -> None:
    Chain.run(user=SYSTEM)

    said = pruned("--older-than", "1d", stream=Terminal())

    assert "[------------------------]   0%  0 of 1 runs" in said
    assert "[########################] 100%  1 of 1 runs" in said
    assert said.endswith("\r\x1b[KDeleted 1 runs and 0 events that were over.\n")


def test_it_can_be_stopped_and_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prune, "BATCH", 1)
    for _run in range(3):
        Chain.run(user=SYSTEM)
    calls: list[Any] = []

    def stopped_at_the_second(families: Any, using: str) -> int:
        calls.append(families)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return prune.delete_families(families, using)

    monkeypatch.setattr(flowstate_prune, "delete_families", stopped_at_the_second)

    with pytest.raises(CommandError, match=r"Stopped\. 1 runs were deleted") as stopped:
        pruned("--older-than", "1d")
    assert stopped.value.returncode == 130
    assert pruned("--older-than", "1d").startswith("Deleted 2 runs")


def test_it_refuses_to_guess_how_long_runs_are_kept() -> None:
    Chain.run(user=SYSTEM)

    with pytest.raises(CommandError, match="Nothing says how long runs are kept"):
        pruned()
    assert len(left()) == 1


@pytest.mark.parametrize("given", ["soon", "-1d", "1.5d", "1y", ""])
def test_an_age_that_is_none_is_refused(given: str) -> None:
    with pytest.raises(CommandError, match="is no time"):
        pruned(f"--older-than={given}")


@pytest.mark.parametrize(
    "given",
    [
        "a month",
        True,
        -1,
        {"running": 1},
        {"succeeded": "30d"},
        {"workflows": ["shop.order.checkout"]},
        {"workflows": {"shop.order.checkout": {"attention": 1}}},
    ],
)
def test_a_setting_that_says_no_time_is_refused(settings: Any, given: Any) -> None:
    settings.FLOWSTATE = {"RETENTION": given}

    with pytest.raises(CommandError, match=r"FLOWSTATE\['RETENTION'\] does not say how long"):
        pruned()
