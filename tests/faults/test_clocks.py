"""Clocks: backoffs, long waits and leases are judged by the database's time, whoever looks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine

from django.db import connection
from django.utils import timezone

from flowstate import SYSTEM
from flowstate.engine.carry.sweep import sweep
from flowstate.models.clock import shift_clock
from tests.faults import ledger, post
from tests.faults.afterwards import broken, recover_all
from tests.faults.journeys import action_on
from tests.faults.plug import in_child
from tests.faults.scripted import WITHIN, Again, Monthly, Outside
from tests.faults.situations import a_sale, carry

pytestmark = pytest.mark.django_db(transaction=True)

on_a_server = pytest.mark.skipif(
    connection.vendor == "sqlite", reason="there the host's clock is the database's"
)


@pytest.fixture(autouse=True)
def forget() -> None:
    WITHIN.clear()


def test_backoff_and_budget_outlive_every_process() -> None:
    """Matrix row 42; I25, I5: five attempts by five processes, each when it is due and not before."""
    run = action_on(a_sale(), Again).enqueue(user=SYSTEM)

    for attempt, wait in enumerate((0, 30, 60, 120, 240), start=1):
        if wait:
            shift_clock(wait - 10)
            in_child(lambda: [carry(run)])
            assert sum(ledger.calls().values()) == attempt - 1
            shift_clock(10)
        in_child(lambda: [carry(run)])
        assert sum(ledger.calls().values()) == attempt
        assert run.step_runs.get().failures == attempt
    recover_all()

    assert run.refresh().status == "failed"
    assert ledger.calls() == {f"{run.pk}:call": 5}
    assert broken() == []


def test_what_is_due_in_thirty_days_fires_once_and_never_early() -> None:
    """Matrix row 43; I26."""
    run = action_on(a_sale(), Monthly).enqueue(user=SYSTEM)
    carry(run)

    for days in (29, -30, 30):
        shift_clock(days * 86400)
        sweep()
        post.deliver()
        carry(run)
        assert sum(ledger.calls().values()) == 1
    shift_clock(2 * 86400)
    sweep()
    post.deliver()
    assert run.refresh().success
    for _again in range(3):
        sweep()
        post.deliver()
        carry(run)

    assert ledger.calls() == {f"{run.pk}:call": 2}


@on_a_server
@pytest.mark.parametrize("minutes", [10, -10])
def test_a_host_whose_clock_is_off_takes_nothing_over_early(minutes: int) -> None:
    """Matrix row 44; I4, I26: leases and waits are judged by the database's clock."""
    waiting = action_on(a_sale("milk"), Again).enqueue(user=SYSTEM)
    carry(waiting)
    run = action_on(a_sale(), Outside).enqueue(user=SYSTEM)

    def look_with_a_wrong_clock(ctx: Any) -> None:
        with time_machine.travel(timezone.now() + timedelta(minutes=minutes)):
            for other in (run, waiting):
                sweep()
                post.deliver()
                carry(other)

    WITHIN["call"] = [look_with_a_wrong_clock]
    carry(run)

    assert run.refresh().success
    assert run.step_runs.get(name="call").attempt == 1
    assert waiting.step_runs.get().failures == 1
