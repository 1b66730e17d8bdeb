"""A ledger outside, messages that the test delivers, a clock that only moves forward within a test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowstate.models.clock import _Shift
from tests.faults import journeys, ledger, post
from tests.kiosk.stall import clock, fixture_bank, on_sale, sale, user

__all__ = ["clock", "fixture_bank", "on_sale", "sale", "user"]


@pytest.fixture(autouse=True)
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[None]:
    monkeypatch.setitem(os.environ, ledger.VARIABLE, str(tmp_path / "ledger"))
    settings.FLOWSTATE = {"CARRIER": post.PATH}
    post.letters.clear()
    yield
    post.letters.clear()
    journeys.FAILING.clear()
    journeys.INTERRUPTS.clear()
    journeys.UNDOING.clear()
    _Shift.seconds = 0.0
