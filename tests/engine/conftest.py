"""The fixtures of the kiosk."""

from __future__ import annotations

from tests.kiosk.calls import forgotten
from tests.kiosk.stall import clock, diary, fixture_bank, on_sale, sale, signals, user

__all__ = ["clock", "diary", "fixture_bank", "forgotten", "on_sale", "sale", "signals", "user"]
