"""What a sweeper publishes: a wake-up for what is queued, a message for what needs more than a turn."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from django.contrib.auth.models import User
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext, override_settings

from flowstate.engine.carry.sweep import Patience, sweep
from flowstate.models import Run, StepRun
from flowstate.models.clock import DbNow, shift_clock
from tests.kiosk.models import Sale

pytestmark = pytest.mark.django_db(transaction=True)

DRAIN, RUN = "drain", "run"


class Noted:
    """A carrier that only notes what it is told."""

    told: list[tuple[str, str]] = []

    def wake(self, *, queue: str) -> None:
        self.told.append((DRAIN, queue))

    def carry_run(self, run_id: str, *, queue: str, delay: float) -> None:
        self.told.append((RUN, run_id))

    def carry_step(self, step_run_id: int, *, queue: str, delay: float) -> None:
        self.told.append(("step", str(step_run_id)))


@pytest.fixture(autouse=True)
def told() -> Iterator[None]:
    Noted.told = []
    with override_settings(FLOWSTATE={"CARRIER": "tests.carriers.test_sweeper.Noted"}):
        yield


def queued(sale: Sale, user: User, runs: int) -> list[Run]:
    with transaction.atomic():
        found = [sale.actions.touch.enqueue(user=user) for _run in range(runs)]
    Noted.told.clear()
    return found


def test_runs_that_are_queued_get_one_wake_up_and_keep_their_turn(sale: Sale, user: User) -> None:
    runs = queued(sale, user, 3)
    before = list(Run.objects.order_by("pk").values_list("wake_at", flat=True))

    assert sweep(patience=Patience()) == 3

    assert Noted.told == [(DRAIN, "flowstate")]
    assert list(Run.objects.order_by("pk").values_list("wake_at", flat=True)) == before
    assert [run.pk for run in runs] == list(Run.objects.due().values_list("pk", flat=True))


def test_a_run_that_nobody_took_after_its_wake_up_is_published_by_itself(sale: Sale, user: User) -> None:
    """I12, I13: a queue that nobody serves must not stand in the way of others for ever."""
    runs, patience = queued(sale, user, 2), Patience()
    sweep(patience=patience)
    Noted.told.clear()

    sweep(patience=patience)

    assert sorted(Noted.told) == sorted((RUN, str(run.pk)) for run in runs)
    assert not Run.objects.due().exists()


def test_a_run_with_a_lost_worker_is_taken_up_at_once(sale: Sale, user: User) -> None:
    (run,) = queued(sale, user, 1)
    row = run.step_runs.get(status="ready")
    StepRun.objects.claim_due(row.pk, attempt=row.attempt, lease=1)
    shift_clock(100)
    try:
        sweep(patience=Patience())
    finally:
        shift_clock(-100)

    assert Noted.told == [(RUN, str(run.pk))]
    assert run.step_runs.get(pk=row.pk).lost == 1


@pytest.mark.parametrize("what", ["lost worker", "wait", "deadline"])
def test_a_long_queue_hides_nothing_that_needs_more_than_its_turn(what: str, sale: Sale, user: User) -> None:
    """I12: nobody serves the queue perhaps, and it only grows."""
    queued(sale, user, 5)
    (run,) = queued(sale, user, 1)
    row = run.step_runs.get(status="ready")
    if what == "deadline":
        Run.objects.filter(pk=run.pk).update(deadline_at=DbNow(1))
    else:
        StepRun.objects.claim_due(row.pk, attempt=row.attempt, lease=1)
    if what == "wait":
        StepRun.objects.begin_waiting(row.pk, attempt=row.attempt + 1, until=1.0)
        StepRun.objects.filter(pk=row.pk).update(kind="delay")
    shift_clock(100)

    assert sweep(limit=3, patience=Patience()) == 3

    assert (DRAIN, "flowstate") in Noted.told
    assert run.pk not in set(Run.objects.due_beside_the_queued().values_list("pk", flat=True))
    assert not Run.objects.due().filter(pk=run.pk).exists()


def test_what_is_queued_costs_a_sweep_three_statements_however_many_runs(sale: Sale, user: User) -> None:
    """C11."""
    counts = []
    for runs in (1, 20):
        queued(sale, user, runs)
        with CaptureQueriesContext(connections["default"]) as statements:
            sweep(patience=Patience())
        counts.append(len(statements))

    assert counts == [3, 3]


def test_a_transaction_sends_one_wake_up_for_each_queue_it_starts_runs_in(sale: Sale, user: User) -> None:
    """C6."""
    with transaction.atomic():
        for _number in range(5):
            sale.actions.touch.enqueue(user=user)

    assert Noted.told == [(DRAIN, "flowstate")]


def test_a_savepoint_that_is_rolled_back_takes_only_its_own_wake_up_along(sale: Sale, user: User) -> None:
    """I14."""
    with transaction.atomic():
        with transaction.atomic():
            sale.actions.touch.enqueue(user=user)
            transaction.set_rollback(True)
        sale.actions.touch.enqueue(user=user)

    assert Noted.told == [(DRAIN, "flowstate")]
    assert Run.objects.count() == 1
