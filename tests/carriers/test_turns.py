"""What a sweeper does in each of its turns."""

from __future__ import annotations

import pytest

from flowstate.carriers.sweeper import INBOX_TURN, Sweeper
from tests.kiosk.statements import Statements

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_idle_sweeper_asks_the_database_once_a_turn() -> None:
    """C11: the look into the inbox of events takes the place of one at the runs."""
    sweeper = Sweeper(None)

    with Statements() as said:
        for _turn in range(INBOX_TURN):
            sweeper.turn(somebody_died=False)

    assert len(said.work) == INBOX_TURN, said.work
    assert sum("flowstate_event" in sql for sql in said.work) == 1


def test_where_a_worker_has_died_the_runs_are_looked_at_in_any_turn() -> None:
    """I12."""
    sweeper = Sweeper(None)

    for _turn in range(INBOX_TURN):
        with Statements() as said:
            sweeper.turn(somebody_died=True)
        assert any('FROM "flowstate_run"' in sql or "FROM `flowstate_run`" in sql for sql in said.work)
