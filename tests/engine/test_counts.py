"""What a run costs: statements, commits and savepoints, counted. I30."""

from __future__ import annotations

from typing import Any

import pytest

from django.contrib.auth.models import User
from django.db import connection, transaction

from flowstate import SYSTEM, Action, CreateStep, Retry, Step, UpdateStep, Workflow, allow_any
from flowstate.actions.bound import BoundAction
from flowstate.models import Run
from tests.kiosk.models import Entry, Product, Sale
from tests.kiosk.statements import Statements

pytestmark = pytest.mark.django_db(transaction=True)


class Writes(Workflow):
    """Three steps of one statement each."""

    class Meta:
        atomic = True
        exclusive = None

    one = CreateStep("kiosk.Entry", values={"what": "one"})
    two = CreateStep("kiosk.Entry", values={"what": "two"})
    three = CreateStep("kiosk.Entry", values={"what": "three"})


class Exclusive(Writes):
    class Meta:
        exclusive = "action"


class Fails(Writes):
    last = Step("last", lambda ctx: 1 / 0, transactional=True)


class ExclusiveFails(Exclusive):
    last = Step("last", lambda ctx: 1 / 0, transactional=True)


class Single(Workflow):
    """Three steps, each its own commit."""

    class Meta:
        exclusive = None

    one = CreateStep("kiosk.Entry", values={"what": "one"})
    two = CreateStep("kiosk.Entry", values={"what": "two"})
    three = CreateStep("kiosk.Entry", values={"what": "three"})


@pytest.fixture(autouse=True)
def warm() -> None:
    """Have the caches filled that Django keeps beside the rows."""
    Writes.run(user=SYSTEM)
    Entry.objects.all().delete()
    Run.objects.all().delete()


def test_an_atomic_run_costs_two_statements_beside_its_own_and_one_commit() -> None:
    """C1, I28."""
    with Statements() as said:
        run = Writes.run(user=SYSTEM)

    assert run.success
    assert len(said.domain) == 3
    assert len(said.work) == 3 + 2, said.work
    assert (said.savepoints, said.commits, said.rollbacks) == (0, 1, 0)


@pytest.mark.parametrize("kind", ["exclusive", "key"])
def test_with_a_key_an_atomic_run_costs_three_statements_and_one_commit(kind: str) -> None:
    """C1."""
    workflow, key = (Exclusive, None) if kind == "exclusive" else (Writes, "k1")

    with Statements() as said:
        run = workflow.run(user=SYSTEM, idempotency_key=key)

    assert run.success
    assert len(said.domain) == 3
    assert len(said.work) == 3 + 3, said.work
    assert (said.savepoints, said.commits) == (0, 1)


@pytest.mark.parametrize("workflow", [Fails, ExclusiveFails])
def test_a_failed_atomic_run_records_itself_in_two_statements_and_one_commit(
    workflow: type[Workflow],
) -> None:
    """C2."""
    with Statements() as said:
        run = workflow.run(user=SYSTEM)

    *_before, rollback = (number for number, sql in enumerate(said.all) if sql.upper() == "ROLLBACK")
    after = [
        sql
        for sql in said.all[rollback + 1 :]
        if sql.upper().startswith(("INSERT", "UPDATE", "SELECT", "DELETE"))
    ]
    assert run.status == "failed"
    assert not Entry.objects.exists()
    assert len(after) == 2, after
    assert all(sql.startswith("INSERT INTO") and "flowstate_" in sql for sql in after)
    assert (said.savepoints, said.commits, said.rollbacks) == (0, 1, 1)


@pytest.mark.parametrize(
    "option", [{"optional": True}, {"retry": Retry(2, delay=0)}], ids=["optional", "retry"]
)
def test_only_steps_that_may_fail_and_go_on_have_a_savepoint(option: dict[str, Any]) -> None:
    """C1."""
    may_fail: Any = Step("may_fail", lambda ctx: None, transactional=True, **option)
    workflow = Workflow.from_steps(
        "one_savepoint",
        [
            Step("a", lambda ctx: None, transactional=True),
            may_fail,
            Step("b", lambda ctx: None, transactional=True),
        ],
        atomic=True,
    )

    with Statements() as said:
        workflow.run(user=SYSTEM)

    assert (said.savepoints, said.commits) == (1, 1)


def test_an_entity_step_in_an_atomic_workflow_reads_nothing_for_its_undo(sale: Sale, user: User) -> None:
    """C1: the rollback is the undo."""
    note = UpdateStep("kiosk.Sale", name="note", where={"pk": sale.pk}, values={"note": "x"})
    single = Workflow.from_steps("single", [note], exclusive=None)
    atomic = Workflow.from_steps("whole", [note], atomic=True, exclusive=None)

    with Statements() as said_single:
        single.run(user=SYSTEM)
    with Statements() as said_atomic:
        atomic.run(user=SYSTEM)

    assert len(said_atomic.domain) < len(said_single.domain)
    assert len(said_atomic.domain) <= 2, said_atomic.domain


def test_a_run_with_a_commit_per_step_costs_one_commit_per_step() -> None:
    """C3."""
    with Statements() as said:
        run = Single.run(user=SYSTEM)

    assert run.success
    assert said.commits == 3
    assert len(said.domain) >= 3
    assert len(said.work) == len(said.domain) + 3 + 3, said.work


def test_a_first_step_with_an_outside_effect_costs_one_commit_more() -> None:
    """C3, C4."""
    steps = [Step("a", lambda ctx: None), Step("b", lambda ctx: None), Step("c", lambda ctx: None)]
    workflow = Workflow.from_steps("external", steps)

    with Statements() as said:
        workflow.run(user=SYSTEM)

    assert said.commits == 4
    assert len(said.work) == 3 + 3, said.work


def test_undoing_a_step_costs_its_inverse_and_one_commit() -> None:
    """C7."""
    workflow = Workflow.from_steps("undone", [*Single.declaration.steps, Step("fail", lambda ctx: 1 / 0)])
    assert workflow.run(user=SYSTEM).status == "compensated"

    with Statements() as said:
        run = workflow.run(user=SYSTEM)

    assert run.compensated_steps == ["three", "two", "one"]
    assert said.commits == 3 + 1 + 3


def test_undoing_a_step_by_its_own_code_costs_one_statement_and_one_commit() -> None:
    """C7: the first is claimed with the failure, each other with the end of the one before."""
    steps: list[Step[Any]] = [
        Step(name, lambda ctx: None, lambda ctx, _result: None, transactional=True) for name in "abc"
    ]
    workflow = Workflow.from_steps("undone", [*steps, Step("fail", lambda ctx: 1 / 0)])
    workflow.run(user=SYSTEM)

    with Statements() as said:
        run = workflow.run(user=SYSTEM)

    failure = next(number for number, sql in enumerate(said.work) if "compensating" in sql)
    assert run.compensated_steps == ["c", "b", "a"]
    assert len(said.work[failure:]) == 3 + 3 + 1, said.work
    assert said.commits == 3 + 1 + 3


def test_enqueue_costs_two_statements_and_a_savepoint_in_the_callers_transaction() -> None:
    """C5."""
    with transaction.atomic():
        with Statements() as said:
            Single.enqueue(user=SYSTEM)
        transaction.set_rollback(True)

    assert len(said.work) == 2, said.work
    assert all(sql.startswith("INSERT INTO") for sql in said.work)
    assert (said.savepoints, said.commits) == (1, 0)


def test_enqueue_outside_a_transaction_costs_two_statements_and_one_commit() -> None:
    """C5."""
    with Statements() as said:
        Single.enqueue(user=SYSTEM)

    assert len(said.work) == 2, said.work
    assert (said.savepoints, said.commits) == (0, 1)


def test_enqueue_of_an_action_on_a_row_costs_no_more(sale: Sale, user: User) -> None:
    """C5."""
    action = BoundAction("single", Action(Single, rules=[allow_any]), Sale, sale)
    Run.objects.for_entity(sale).exists()  # the content type is cached by Django

    with transaction.atomic():
        with Statements() as said:
            action.enqueue(user=user)
        transaction.set_rollback(True)

    assert len(said.work) == 2, said.work


def test_an_atomic_run_in_the_callers_transaction_costs_one_savepoint() -> None:
    with transaction.atomic(), Statements() as said:
        Writes.run(user=SYSTEM)

    assert (said.savepoints, said.commits) == (1, 0)


def test_no_transaction_is_open_while_external_code_runs() -> None:
    """I29, I33."""
    seen: list[bool] = []
    steps: list[Step[Any]] = [
        Step(
            "a",
            lambda ctx: seen.append(connection.in_atomic_block),
            lambda ctx, _: seen.append(connection.in_atomic_block),
        ),
        Step("b", lambda ctx: 1 / 0),
    ]

    Workflow.from_steps("open", steps).run(user=SYSTEM)

    assert seen == [False, False]
    assert not connection.in_atomic_block


def test_reading_a_page_of_runs_with_their_progress_costs_a_constant_number_of_statements() -> None:
    for _number in range(3):
        Writes.run(user=SYSTEM)
    Product.objects.all().delete()

    with Statements() as said:
        for run in Run.objects.with_steps():
            assert run.progress == 100
            assert len(run.results) == 3

    assert len(said.work) == 2
