"""The short form of `make soak`: ten seconds of killing, and everything agrees."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flowstate.models import StepRun
from tests.faults import ledger
from tests.growth.soaking import Soak

pytestmark = [pytest.mark.only_postgres, pytest.mark.django_db(transaction=True)]


def test_ten_seconds_of_killing_leave_rows_ledger_and_journal_in_agreement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I1, I2, I5, I12, I13: each order once, each charge under one key, nothing left behind."""
    monkeypatch.setitem(os.environ, ledger.VARIABLE, str(tmp_path / "ledger"))
    soak = Soak(folder=tmp_path, runs=60, seconds=10, patience=90, seed=1, every=(0.5, 1.5))

    differences = soak.carry_out()

    assert differences == [], (soak.figures, (tmp_path / "workers.log").read_text()[-4000:])
    assert len(soak.ends) == 60
    assert sum(soak.figures["kills"].values()) > 3
    assert StepRun.objects.exists()
