"""What a process remembers of a run while a transaction is open: what it changes, however large the run is."""

from __future__ import annotations

import pytest

from flowstate import SYSTEM
from flowstate.engine.database.blocks import in_transaction
from flowstate.engine.execution import Execution
from flowstate.engine.loading import load
from flowstate.models import StepStatus
from flowstate.models.memory import noted
from tests.kiosk import forks
from tests.kiosk.forks import Fork

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def held() -> Execution:
    forks.forget()
    return load(Fork.enqueue(user=SYSTEM).pk, using="default")


class GoneWrong(Exception):
    """Rolls a transaction back."""


def test_only_the_rows_that_change_are_noted(held: Execution) -> None:
    """The cost of a transaction does not depend on how many steps a run has."""
    first, *_others = held.rows.values()

    with noted() as changed:
        first.reflect(status=StepStatus.RUNNING)
        first.reflect(attempt=1)

    assert len(held.rows) > 10
    assert len(changed) == 1


def test_what_was_rolled_back_is_as_it_was_in_memory(held: Execution) -> None:
    first, second, *_others = held.rows.values()

    def work() -> None:
        first.reflect(status=StepStatus.DONE)
        in_transaction(held, lambda: second.reflect(status=StepStatus.DONE))
        raise GoneWrong

    with pytest.raises(GoneWrong):
        in_transaction(held, work)

    assert (first.status, second.status) == ("ready", "blocked")
