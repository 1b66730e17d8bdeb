"""A workflow that was drawn, scaffolded and filled in, in two real worker processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from django.db import connection

from flowstate import SYSTEM
from tests.faults import ledger
from tests.faults.afterwards import broken
from tests.faults.crowd import until
from tests.faults.parcels import Parcel
from tests.faults.workshop import Workshop, kill_group, workshop

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="one server is enough for whole workers"),
]


@pytest.fixture
def shop(tmp_path: Path, settings: Any) -> Iterator[Workshop]:
    settings.FLOWSTATE = {}
    with workshop(tmp_path) as opened:
        yield opened


def test_a_drawn_workflow_goes_on_in_another_process_on_the_branch_that_was_chosen(shop: Workshop) -> None:
    """C1, C3, C5: the choice was made in a process that is gone, and stands."""
    ledger.hold()
    first = shop.start_worker()
    run = Parcel.enqueue(user=SYSTEM, input={"grams": 900})
    key = f"{run.pk}:van"
    until(lambda: ledger.processes(key), "the first worker drives the van", 30)

    kill_group(first)
    ledger.let_go()
    shop.start_worker()

    until(lambda: run.refresh().finished, f"run {run.pk} ends", 45)
    steps = {row.name: row for row in run.steps}
    assert run.success
    assert run.value == "handed over by van"
    assert run.data["weigh"] == {"grams": 900}
    assert run.results["van"]["grams"] == 900
    assert run.results["van"]["driven_in"] != run.data["weighed_in"]
    assert (steps["weigh"].attempt, steps["van"].attempt, steps["bike"].status) == (1, 2, "skipped")
    assert ledger.calls() == {key: 2}
    assert broken() == []


def test_two_workers_carry_parcels_on_both_branches(shop: Workshop) -> None:
    """C5."""
    shop.start_worker()
    shop.start_worker()

    runs = [Parcel.enqueue(user=SYSTEM, input={"grams": grams}) for grams in (100, 900) * 10]

    until(lambda: all(run.refresh().finished for run in runs), "all runs end", 60)
    assert [run.value for run in runs] == ["handed over by bike", "handed over by van"] * 10
    assert set(ledger.calls().values()) == {1}
    assert broken() == []
