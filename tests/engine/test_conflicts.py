"""Conflicts: what a step says shall become of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from django.contrib.auth.models import User

from flowstate import SYSTEM, Context, UpdateStep, Workflow, step
from flowstate.engine.audit.fsck import find_broken
from flowstate.models import StepRun
from tests.kiosk import returns
from tests.kiosk.models import Product, Sale
from tests.kiosk.quarrels import Books, Discreet, Overwriting, Skipping, compensations, events, stuck
from tests.kiosk.stall import OnSale
from tests.zoo.models import Code, CodeUse

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    returns.forget()
    yield
    returns.forget()


@pytest.fixture(autouse=True)
def sound_journal() -> Iterator[None]:
    """Look after each test whether the journal is in order."""
    yield
    assert list(find_broken(using="default")) == []


def test_by_default_the_row_stays_and_a_person_is_told(sale: Sale, user: User, on_sale: OnSale) -> None:
    run = stuck(on_sale, user)

    sale.refresh_from_db()
    assert (run.status, sale.status) == ("attention", "theirs")
    assert compensations(run)["mark"] == "failed"
    assert run.compensation_errors["mark"]["fields"] == {
        "status": {"expected": "mine", "found": "theirs", "restore": "open"}
    }


def test_overwrite_restores_over_the_foreign_value_and_tells_what_was_there(
    sale: Sale, user: User, on_sale: OnSale
) -> None:
    run = stuck(on_sale, user, Overwriting)

    sale.refresh_from_db()
    assert (run.status, sale.status) == ("compensated", "open")
    assert compensations(run)["mark"] == "done"
    assert events(run, "undo_forced") == [
        ("mark", "", f'on_conflict="overwrite": kiosk.Sale {sale.pk}: status')
    ]
    assert run.events.get(kind="undo_forced").data["overwritten"] == [
        {
            "row": f"kiosk.Sale {sale.pk}",
            "fields": {"status": {"expected": "mine", "found": "theirs", "restore": "open"}},
        }
    ]


def test_overwriting_nothing_is_not_told(sale: Sale, user: User, on_sale: OnSale) -> None:
    run = on_sale(Overwriting).run(user=user)

    assert run.status == "compensated"
    assert events(run, "undo_forced") == []


def test_the_history_keeps_no_sensitive_value(sale: Sale, user: User, on_sale: OnSale) -> None:
    run = stuck(on_sale, user, Discreet)

    [row] = run.events.get(kind="undo_forced").data["overwritten"]
    assert row["fields"] == {"status": {"expected": "***", "found": "***", "restore": "***"}}


def test_skip_leaves_the_row_and_settles_without_a_person(
    sale: Sale, user: User, on_sale: OnSale, caplog: pytest.LogCaptureFixture
) -> None:
    run = stuck(on_sale, user, Skipping)

    sale.refresh_from_db()
    assert (run.status, sale.status) == ("compensated", "theirs")
    assert compensations(run) == {"count": "done", "mark": "waived", "pay": "done", "note": "done"}
    words = f"kiosk.Sale {sale.pk} was changed by somebody else since: status."
    assert events(run, "undo_waived") == [("mark", "", f'on_conflict="skip": {words}')]
    assert run.compensation_errors == {}
    assert not [record for record in caplog.records if record.name == "flowstate.attention"]


def test_skip_undoes_what_nobody_else_has_changed(sale: Sale, user: User, on_sale: OnSale) -> None:
    run = on_sale(Skipping).run(user=user)

    sale.refresh_from_db()
    assert (sale.status, compensations(run)["mark"]) == ("open", "done")


def test_what_cannot_be_overwritten_stays_a_conflict(sale: Sale, user: User, on_sale: OnSale) -> None:
    def somebody_buys_the_mug() -> None:
        Sale.objects.create(product=Product.objects.get(name="mug"))

    returns.within["last"] = [somebody_buys_the_mug]

    run = on_sale(Books).run(user=user)

    assert run.status == "attention"
    assert "refers to it by product" in run.compensation_errors["product"]["detail"]
    assert Product.objects.filter(name="mug").exists()


def test_a_run_keeps_the_policy_that_it_was_started_with(
    sale: Sale, user: User, on_sale: OnSale, monkeypatch: pytest.MonkeyPatch
) -> None:
    def the_code_changes() -> None:
        vars(Skipping.declaration.by_name["mark"])["on_conflict"] = "attention"
        Sale.objects.update(status="theirs")

    monkeypatch.setitem(vars(Skipping.declaration.by_name["mark"]), "on_conflict", "skip")
    returns.within["last"] = [the_code_changes]

    run = on_sale(Skipping).run(user=user)

    assert compensations(run)["mark"] == "waived"


def test_a_policy_put_into_the_record_later_does_not_count(sale: Sale, user: User) -> None:
    run = sale.actions.carry.run(user=user)
    Sale.objects.update(status="theirs")
    row = StepRun.objects.get(run=run, name="mark")
    StepRun.objects.filter(pk=row.pk).update(undo={**(row.undo or {}), "on_conflict": "skip"})

    run.cancel(user)

    assert run.status == "attention"
    assert "not as the step left it" in run.compensation_errors["mark"]["detail"]


# --- what only COMMIT looks at ---------------------------------------------------------------------


class Renamed(Workflow):
    """Gives a code another alias, to which somebody else then refers, and fails."""

    rename = UpdateStep("zoo.Code", where={"pk": "A"}, values={"alias": "beta"})

    @step
    def fail(self, ctx: Context[None]) -> None:
        CodeUse.objects.create(code=Code.objects.get(alias="beta"))
        raise OSError


class RenamedForGood(Renamed):
    rename = UpdateStep("zoo.Code", where={"pk": "A"}, values={"alias": "beta"}, on_conflict="skip")


def test_what_a_deferred_constraint_refuses_is_a_conflict_with_its_fields() -> None:
    """On MariaDB the same is refused at once."""
    Code.objects.create(code="A", alias="alpha")

    run = Renamed.run(user=SYSTEM)

    error = run.compensation_errors["rename"]
    assert run.status == "attention"
    assert error["class"] == "flowstate.exceptions.UndoConflict"
    assert "zoo.Code A cannot be restored" in error["detail"]
    assert error["fields"]["alias"]["restore"] == "alpha"
    assert Code.objects.get().alias == "beta"


def test_what_a_deferred_constraint_refuses_is_skipped_where_the_step_says_so() -> None:
    Code.objects.create(code="A", alias="alpha")

    run = RenamedForGood.run(user=SYSTEM)

    assert run.step_runs.get(name="rename").compensation == "waived"
    assert run.status == "compensated"
    assert Code.objects.get().alias == "beta"


def test_what_a_deferred_constraint_refuses_cannot_be_forced_until_nobody_refers_to_it() -> None:
    Code.objects.create(code="A", alias="alpha")
    run = Renamed.run(user=SYSTEM)

    run.force(SYSTEM, "rename")

    assert run.refresh().status == "attention"
    assert run.compensation_errors["rename"]["class"] == "flowstate.exceptions.UndoConflict"
    CodeUse.objects.all().delete()
    run.force(SYSTEM, "rename")
    assert run.refresh().status == "compensated"
    assert Code.objects.get().alias == "alpha"
