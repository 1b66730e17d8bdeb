"""Inside somebody's transaction: what joins it lives and dies with it, what cannot join is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, ClassVar

import pytest

from django.contrib.auth.models import User
from django.db import IntegrityError, OperationalError, transaction
from django.test import TestCase

from flowstate import SYSTEM, InsideTransaction, Retry, Step, Workflow, WorkflowBuilder
from flowstate.models import Run, StepRun
from tests.kiosk.diary import Diary, enter
from tests.kiosk.models import Entry, Product, Sale
from tests.kiosk.stall import OnSale
from tests.kiosk.statements import Statements
from tests.kiosk.workflows import Bank, LaterMark, bank

pytestmark = pytest.mark.django_db(transaction=True)


def test_enqueue_joins_the_transaction(sale: Sale, user: User) -> None:
    with transaction.atomic():
        run = sale.actions.checkout.enqueue(user=user)

    assert Run.objects.get().pk == run.pk
    assert StepRun.objects.count() == 5


def test_enqueue_dies_with_the_transaction(sale: Sale, user: User) -> None:
    with transaction.atomic():
        sale.actions.checkout.enqueue(user=user)
        transaction.set_rollback(True)

    assert not Run.objects.exists()
    assert not StepRun.objects.exists()


def test_a_refused_enqueue_leaves_the_transaction_usable(sale: Sale, user: User) -> None:
    sale.actions.carry.enqueue(user=user)

    with transaction.atomic():
        Entry.objects.create(what="before")
        with pytest.raises(Exception, match="cannot start: another run holds this row"):
            sale.actions.carry.enqueue(user=user)
        Entry.objects.create(what="after")

    assert Entry.objects.count() == 2
    assert Run.objects.count() == 1


REFUSED = r"has external steps \(charge, thank\).*Call \.enqueue\(\).*transaction\.on_commit"


def test_a_run_with_external_steps_is_refused_and_told_what_to_do(sale: Sale, user: User, bank: Bank) -> None:
    with pytest.raises(InsideTransaction, match=REFUSED), transaction.atomic():
        sale.actions.checkout.run(user=user)

    assert bank.calls == []
    assert not Run.objects.exists()


@pytest.fixture
def manual() -> Iterator[None]:
    transaction.set_autocommit(False)
    yield
    transaction.rollback()
    transaction.set_autocommit(True)


def test_without_autocommit_a_run_with_external_steps_is_refused_too(
    sale: Sale, user: User, bank: Bank, manual: None
) -> None:
    with pytest.raises(InsideTransaction, match=REFUSED):
        sale.actions.checkout.run(user=user)

    assert bank.calls == []


@pytest.mark.parametrize("action", ["settle", "touch"])
def test_an_all_transactional_run_joins(sale: Sale, user: User, action: str) -> None:
    with transaction.atomic():
        run = getattr(sale.actions, action).run(user=user)
        assert run.success

    assert Run.objects.get().status == "succeeded"


@pytest.mark.parametrize("action", ["settle", "touch"])
def test_an_all_transactional_run_dies_with_the_transaction(sale: Sale, user: User, action: str) -> None:
    with transaction.atomic():
        assert getattr(sale.actions, action).run(user=user).success
        transaction.set_rollback(True)

    sale.refresh_from_db()
    assert (sale.status, sale.note) == ("open", "")
    assert Product.objects.get().stock == 10
    assert not Run.objects.exists()


@pytest.mark.parametrize("atomic", [False, True])
def test_a_joined_run_that_fails_is_undone_and_leaves_the_transaction_usable(atomic: bool) -> None:
    create = Step(
        "create",
        lambda ctx: enter("run"),
        lambda ctx, _: Entry.objects.get(what="run").delete(),
        transactional=True,
    )
    fail = Step("fail", lambda ctx: 1 / 0, transactional=True)
    workflow = Workflow.from_steps("joined", [create, fail], atomic=atomic)

    with transaction.atomic():
        Entry.objects.create(what="mine")
        run = workflow.run(user=SYSTEM)
        Entry.objects.create(what="mine too")

    assert run.finished
    assert not run.success
    assert Run.objects.get().status == run.status
    assert [entry.what for entry in Entry.objects.order_by("pk")] == ["mine", "mine too"]


def test_a_joined_run_sets_one_savepoint_for_each_step() -> None:
    steps = [Step(name, lambda ctx: None, transactional=True) for name in ("a", "b", "c")]

    with transaction.atomic(), Statements() as said:
        Workflow.from_steps("three", steps).run(user=SYSTEM)

    assert (said.savepoints, said.commits) == (3, 0)


@pytest.mark.parametrize("atomic", [False, True])
def test_a_deadlock_in_a_joined_run_is_for_the_transactions_owner(atomic: bool) -> None:
    calls: list[int] = []

    def deadlock(ctx: Any) -> None:
        calls.append(1)
        raise OperationalError("database is locked")

    workflow = Workflow.from_steps(
        "locked", [Step("a", deadlock, transactional=True, retry=Retry(3, delay=0))], atomic=atomic
    )

    with pytest.raises(OperationalError), transaction.atomic():
        workflow.run(user=SYSTEM)

    assert calls == [1]
    assert not Run.objects.exists()


def test_hooks_of_a_joined_run_wait_for_the_commit(diary: Diary) -> None:
    told: list[str] = []
    builder = WorkflowBuilder("waiting").hooks(on_complete=lambda run: told.append(run.status))
    workflow = builder.step(diary.step("a", transactional=True)).build()

    with transaction.atomic():
        workflow.run(user=SYSTEM)
        assert told == []

    assert told == ["succeeded"]


def test_a_background_step_may_join_and_is_handed_over_on_commit(
    sale: Sale, user: User, on_sale: OnSale
) -> None:
    with transaction.atomic():
        run = on_sale(LaterMark).run(user=user)
        assert run.status == "running"

    assert [row.status for row in Run.objects.get().steps] == ["done", "ready"]


class InsideDjangosTestCase(TestCase):
    """The atomic blocks that `TestCase` wraps around a test do not count."""

    user: ClassVar[User]
    sale: ClassVar[Sale]

    @classmethod
    def setUpTestData(cls) -> None:
        cls.user = User.objects.create_user("ada")
        cls.sale = Sale.objects.create(
            owner=cls.user, product=Product.objects.create(name="tea", stock=10), quantity=3
        )

    def setUp(self) -> None:
        bank.reset()

    def test_a_run_with_external_steps_works(self) -> None:
        run = self.sale.actions.checkout.run(user=self.user)

        assert run.success
        assert Product.objects.get().stock == 7

    def test_a_failing_run_is_undone(self) -> None:
        def declined() -> None:
            raise OSError

        bank.script = [declined]

        run = self.sale.actions.checkout.run(user=self.user)

        assert run.status == "compensated"
        assert Product.objects.get().stock == 10

    def test_an_atomic_run_works_and_fails(self) -> None:
        assert self.sale.actions.settle.run(user=self.user).success

        run = Workflow.from_steps(
            "fails",
            [
                Step("a", lambda ctx: enter("a"), transactional=True),
                Step("b", lambda ctx: 1 / 0, transactional=True),
            ],
            atomic=True,
        ).run(user=SYSTEM)

        assert run.status == "failed"
        assert not Entry.objects.exists()

    def test_a_swallowed_database_error_is_found(self) -> None:
        def swallow(ctx: Any) -> None:
            Entry.objects.create(pk=1, what="first")
            with suppress(IntegrityError):
                Entry.objects.create(pk=1, what="again")

        run = Workflow.from_steps("broken", [Step("a", swallow, transactional=True)]).run(user=SYSTEM)

        assert run.error is not None
        assert run.error["code"] == "transaction_broken"
        assert not Entry.objects.exists()

    def test_hooks_and_signals_come_at_once(self) -> None:
        told: list[str] = []
        builder = WorkflowBuilder("at_once").hooks(on_complete=lambda run: told.append(run.status))

        builder.step("a", lambda ctx: None, transactional=True).build().run(user=SYSTEM)

        assert told == ["succeeded"]

    def test_a_callers_own_transaction_counts(self) -> None:
        with pytest.raises(InsideTransaction), transaction.atomic():
            self.sale.actions.checkout.run(user=self.user)

    def test_enqueue_is_published_when_the_test_says_it_commits(self) -> None:
        with self.captureOnCommitCallbacks() as callbacks:
            self.sale.actions.carry.enqueue(user=self.user)

        assert len(callbacks) == 1
