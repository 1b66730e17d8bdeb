"""`flowstate_sweep`: what it prints."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest

from django.core.management import call_command

from flowstate import SYSTEM
from flowstate.testing.time import move_clock
from tests.kiosk.waits import Paused
from tests.surfaces.terminal import Terminal

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Ctrl-C pressed while the loop waits for the third time."""
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("flowstate.management.commands.flowstate_sweep.time.sleep", sleep)


def looped(stream: Any) -> str:
    with move_clock(seconds=1000 * 86400):
        call_command("flowstate_sweep", "--loop", stdout=stream)
    return str(stream.getvalue())


def test_a_loop_shows_on_a_terminal_what_it_has_found() -> None:
    Paused.run(user=SYSTEM)

    said = looped(Terminal())

    assert "1 runs were due.\n" in said
    assert "  0 due now, 1 in 3 sweeps since " in said
    assert said.endswith("\r\x1b[K")


def test_a_loop_prints_elsewhere_only_what_was_due() -> None:
    Paused.run(user=SYSTEM)

    assert looped(StringIO()) == "1 runs were due.\n"
