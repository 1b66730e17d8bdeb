"""A connection that is cut at a COMMIT, before it or after: the database knows whether it landed, and is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from django.db import OperationalError, connection

from flowstate import SYSTEM, Workflow
from flowstate.engine.carry.messages import carry_run
from flowstate.models import Run
from tests.faults import asking, ledger
from tests.faults.afterwards import QUANTITY, STOCK, broken, complaints, recover_all
from tests.faults.crowd import elsewhere
from tests.faults.journeys import Doomed, DoomedInOne, InOne, Journey, action_on
from tests.faults.scripted import WITHIN, Four
from tests.kiosk.models import Product, Sale

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def forget() -> None:
    WITHIN.clear()


@contextmanager
def cut_at(
    number: int, *, landed: bool, meanwhile: Callable[[], object] = lambda: None
) -> Iterator[Callable[[], int]]:
    """Cut the connection at the COMMIT of this number; give back how many there were."""
    commit = connection._commit  # type: ignore[attr-defined]  # no public hook sees a COMMIT
    seen = [0]

    def unlucky_commit() -> None:
        seen[0] += 1
        if seen[0] != number:
            commit()
            return
        if landed:
            commit()
        connection.connection.close()
        meanwhile()
        raise OperationalError("server closed the connection unexpectedly")

    connection._commit = unlucky_commit  # type: ignore[attr-defined]
    try:
        yield lambda: seen[0]
    finally:
        del connection._commit  # type: ignore[attr-defined]


@pytest.mark.parametrize("landed", [True, False], ids=["landed", "not landed"])
@pytest.mark.parametrize(
    ("workflow", "ends", "outside"),
    [
        (Journey, "succeeded", ("charge", "pack")),
        (Doomed, "compensated", ("charge", "pack")),
        (InOne, "succeeded", ("charge",)),
        (DoomedInOne, "compensated", ("charge",)),
        (asking.asked, "succeeded", ("charge", "pack")),
        (asking.doomed, "compensated", ("charge", "pack")),
    ],
)
def test_whichever_commit_is_cut_nothing_is_done_twice(
    workflow: type[Workflow], ends: str, outside: tuple[str, ...], landed: bool
) -> None:
    """I25, I32, I33: each COMMIT in turn; no call outside is repeated but that of an atomic run."""
    found: dict[int, list[str]] = {}
    number = commits = 1
    while number <= commits:
        sale = Sale.objects.create(product=Product.objects.create(name="tea", stock=STOCK), quantity=QUANTITY)
        run = action_on(sale, workflow).enqueue(user=SYSTEM)
        with cut_at(number, landed=landed) as seen:
            carry_run(str(run.pk), queue="flowstate")
        commits = max(commits, seen())
        recover_all()
        most = 2 if run.atomic else 1
        run = Run.objects.get(pk=run.pk)
        wrong = complaints(run, ends=ends, outside=outside, most_calls=most)
        found |= {number: wrong} if wrong else {}
        number += 1

    assert number > 2
    assert found == {}
    assert broken() == []


@pytest.mark.parametrize(
    ("workflow", "ends"),
    [
        (Journey, "succeeded"),
        (Doomed, "compensated"),
        (asking.asked, "succeeded"),
        (asking.doomed, "compensated"),
    ],
)
def test_who_lost_the_answer_of_a_commit_that_landed_goes_on_at_once(
    workflow: type[Workflow], ends: str
) -> None:
    """I32: forward, when a failure is recorded, and while undoing; nobody waits for a lease of one's own to end."""
    left: dict[int, str] = {}
    number = commits = 1
    while number <= commits:
        sale = Sale.objects.create(product=Product.objects.create(name="tea", stock=STOCK), quantity=QUANTITY)
        run = action_on(sale, workflow).enqueue(user=SYSTEM)
        with cut_at(number, landed=True) as seen:
            carry_run(str(run.pk), queue="flowstate")
        commits = max(commits, seen())
        left |= {number: run.status} if run.refresh().status != ends else {}
        number += 1

    assert number > 5
    assert left == {}
    assert broken() == []


def cancel_and_recover(run: Run) -> None:
    Run.objects.get(pk=run.pk).cancel(SYSTEM)
    recover_all()


def test_an_atomic_run_that_others_ended_while_its_commit_was_cut_did_not_succeed() -> None:
    """I8, I32."""
    sale = Sale.objects.create(product=Product.objects.create(name="tea", stock=STOCK), quantity=QUANTITY)
    run = action_on(sale, InOne).enqueue(user=SYSTEM)

    with cut_at(2, landed=False, meanwhile=lambda: elsewhere(partial(cancel_and_recover, run))):
        told = carry_run(str(run.pk), queue="flowstate")

    assert told != "succeeded"
    assert complaints(run.refresh(), ends="cancelled", outside=("charge",), most_calls=1) == []
    assert broken() == []


def test_who_was_given_up_while_a_commit_was_cut_does_not_go_on() -> None:
    """I2, I24, I32: the step has settled, but by others; what its commit would have claimed is not begun."""
    sale = Sale.objects.create(product=Product.objects.create(name="tea", stock=STOCK), quantity=QUANTITY)
    run = action_on(sale, Four).enqueue(user=SYSTEM)

    with cut_at(1, landed=False, meanwhile=lambda: elsewhere(partial(cancel_and_recover, run))):
        carry_run(str(run.pk), queue="flowstate")

    assert run.refresh().status == "cancelled"
    assert set(ledger.calls()) == {f"{run.pk}:one"}
    assert ledger.standing() == set()
    assert broken() == []


@pytest.mark.parametrize("landed", [True, False], ids=["landed", "not landed"])
def test_a_function_that_was_given_up_while_it_asked_begins_nothing(landed: bool) -> None:
    """I2, I24, I32: what it asked for is not called, whether or not that was committed."""
    sale = Sale.objects.create(product=Product.objects.create(name="tea", stock=STOCK), quantity=QUANTITY)
    run = action_on(sale, asking.asked).enqueue(user=SYSTEM)

    with cut_at(1, landed=landed, meanwhile=lambda: elsewhere(partial(cancel_and_recover, run))):
        carry_run(str(run.pk), queue="flowstate")

    assert run.refresh().status == "cancelled"
    assert set(ledger.calls()) == set()
    assert complaints(run, ends="cancelled", outside=(), most_calls=0) == []
    assert broken() == []


def test_a_keyed_start_that_landed_gives_its_run_back_although_the_answer_was_lost() -> None:
    """I10, I32: the key is looked up first, as after any failure of a keyed start."""
    sale = Sale.objects.create(product=Product.objects.create(name="tea", stock=STOCK), quantity=QUANTITY)

    with cut_at(1, landed=True):
        run = action_on(sale, Journey).enqueue(user=SYSTEM, idempotency_key="k")

    assert run.replayed
    recover_all()
    assert run.refresh().success
    assert broken() == []


@pytest.mark.parametrize("landed", [True, False], ids=["landed", "not landed"])
@pytest.mark.parametrize("workflow", [Journey, InOne, asking.asked])
def test_a_start_whose_answer_was_lost_is_one_run(workflow: type[Workflow], landed: bool) -> None:
    """I10, I32: a client that tries again under its key has started once."""
    sale = Sale.objects.create(product=Product.objects.create(name="tea", stock=STOCK), quantity=QUANTITY)
    runs = []
    with cut_at(1, landed=landed):
        for _try in range(2):
            try:
                runs.append(action_on(sale, workflow).run(user=SYSTEM, idempotency_key="k"))
            except OperationalError:
                connection.close()
    recover_all()

    assert Run.objects.get().success
    assert {run.pk for run in runs} == {Run.objects.get().pk}
    assert set(ledger.calls().values()) == {1}
    assert broken() == []
