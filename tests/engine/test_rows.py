"""Entity steps in a run: the rows they leave, and what is left after a failure."""

from __future__ import annotations

from typing import Any

import pytest

from django.contrib.auth.models import User

from flowstate import SYSTEM, CreateStep, DeleteStep, RowMissing, Step, StepError, UpdateStep, Workflow
from flowstate.engine.carry.messages import carry_run
from flowstate.models import StepRun
from tests.kiosk.models import Product, Receipt, Sale
from tests.kiosk.stall import OnSale
from tests.kiosk.workflows import Bank

pytestmark = pytest.mark.django_db(transaction=True)


def fail(ctx: Any) -> None:
    raise OSError("no")


def values_of(sale: Sale) -> dict[str, Any]:
    return dict(Sale.objects.filter(pk=sale.pk).values().get())


def test_a_created_row_is_gone_again_and_its_key_was_seen(sale: Sale, user: User, on_sale: OnSale) -> None:
    """P30."""
    seen: list[Any] = []

    class Create(Workflow):
        create = CreateStep("kiosk.Product", values={"name": "cup"}, store_as="product_id")
        look = Step("look", lambda ctx: seen.append((ctx.get("product_id"), ctx.results["create"])))
        fail = Step("fail", fail)

    run = on_sale(Create).run(user=user)

    (stored, result) = seen[0]
    assert result == {"pk": stored}
    assert not Product.objects.filter(name="cup").exists()
    assert run.compensated_steps == ["create"]


def test_an_updated_row_is_as_before_and_other_columns_are_untouched(
    sale: Sale, user: User, on_sale: OnSale
) -> None:
    """P31."""
    before = values_of(sale)

    class Update(Workflow):
        update = UpdateStep(values={"quantity": 4})
        note = Step("note", lambda ctx: Sale.objects.update(note="somebody else's"))
        fail = Step("fail", fail)

    on_sale(Update).run(user=user)

    assert values_of(sale) == {**before, "note": "somebody else's"}


def test_a_deleted_row_is_back_with_its_key_and_values(sale: Sale, user: User, on_sale: OnSale) -> None:
    """P32."""
    Receipt.objects.create(sale=sale, reference="r1")
    before = list(Receipt.objects.values())

    class Delete(Workflow):
        delete = DeleteStep("kiosk.Receipt", where=lambda ctx: {"sale_id": ctx.entity_id})
        look = Step("look", lambda ctx: Receipt.objects.count())
        fail = Step("fail", fail)

    run = on_sale(Delete).run(user=user)

    assert run.results["look"] == 0
    assert list(Receipt.objects.values()) == before


def test_create_update_and_delete_are_undone_in_reverse(sale: Sale, user: User, bank: Bank) -> None:
    """P33."""
    Receipt.objects.create(sale=sale, reference="r1")
    before = (list(Product.objects.values()), list(Sale.objects.values()), list(Receipt.objects.values()))

    run = sale.actions.replace.run(user=user)

    after = (list(Product.objects.values()), list(Sale.objects.values()), list(Receipt.objects.values()))
    assert run.compensated_steps == ["delete", "update", "create"]
    assert after == before


def test_an_update_with_its_compensation_switched_off_stays(sale: Sale, user: User, on_sale: OnSale) -> None:
    """P34."""

    class Stay(Workflow):
        stay = UpdateStep(values={"note": "stays"}, compensate=False)
        go = UpdateStep(values={"status": "goes"})
        fail = Step("fail", fail)

    run = on_sale(Stay).run(user=user)

    sale.refresh_from_db()
    assert (sale.note, sale.status) == ("stays", "open")
    assert run.compensated_steps == ["go"]


@pytest.mark.parametrize("kind", ["update", "delete"])
def test_a_row_that_is_not_there_is_named_by_model_and_lookup(
    sale: Sale, user: User, on_sale: OnSale, kind: str
) -> None:
    """P35."""
    where = {"name": "coffee"}
    step = (
        UpdateStep("kiosk.Product", name="step", where=where, values={"stock": 1})
        if kind == "update"
        else DeleteStep("kiosk.Product", name="step", where=where)
    )
    before = list(Product.objects.values())

    run = on_sale(Workflow.from_steps("missing", [step])).run(user=user)

    assert run.status == "failed"
    assert list(Product.objects.values()) == before
    with pytest.raises(RowMissing, match=r"kiosk\.Product.*name.*coffee"):
        run.raise_for_status()


def test_a_missing_row_may_have_an_error_of_its_own(sale: Sale, user: User, on_sale: OnSale) -> None:
    """P35."""
    step = UpdateStep(
        "kiosk.Product", name="step", where={"stock__gte": 99}, values={"stock": 0}, missing=OutOfStock
    )

    run = on_sale(Workflow.from_steps("sold_out", [step])).run(user=user)

    with pytest.raises(OutOfStock):
        run.raise_for_status()


class OutOfStock(StepError):
    default_code = "out_of_stock"


def test_the_entity_step_on_a_row_that_was_deleted_meanwhile_fails(
    sale: Sale, user: User, on_sale: OnSale
) -> None:
    forget = Step("forget", lambda ctx: len(Sale.objects.all().delete()), transactional=True)
    workflow = Workflow.from_steps("late", [forget, UpdateStep(name="write", values={"note": "x"})])

    run = on_sale(workflow).run(user=user)

    assert run.failed_step == "write"
    assert run.error is not None
    assert run.error["status"] in {404, 410}


def test_what_somebody_else_wrote_since_is_left_alone_and_a_person_is_asked(
    sale: Sale, user: User, on_sale: OnSale, caplog: pytest.LogCaptureFixture
) -> None:
    """I19."""

    class Conflict(Workflow):
        note = UpdateStep(values={"note": "ours"})
        status = UpdateStep(values={"status": "ours"})
        interfere = Step("interfere", lambda ctx: Sale.objects.update(note="theirs"))
        fail = Step("fail", fail)

    run = on_sale(Conflict).run(user=user)

    sale.refresh_from_db()
    error = run.compensation_errors["note"]
    assert run.status == "attention"
    assert (sale.note, sale.status) == ("theirs", "open")
    assert error["code"] == "undo_conflict"
    assert error["fields"] == {"note": {"expected": "ours", "found": "theirs", "restore": ""}}
    assert run.compensated_steps == ["status"]
    assert sum(record.name == "flowstate.attention" for record in caplog.records) == 1


def test_an_entity_step_and_its_row_in_the_journal_commit_together(
    sale: Sale, user: User, on_sale: OnSale
) -> None:
    """I1: a result that cannot be journaled takes the rows with it."""

    def write(ctx: Any) -> object:
        Sale.objects.update(note="half")
        return object()

    run = on_sale(Workflow.from_steps("together", [Step("a", write, transactional=True)])).run(user=user)

    sale.refresh_from_db()
    assert sale.note == ""
    assert run.step_runs.get().status == "failed"


def test_rows_written_in_values_are_rolled_back_with_the_step(
    sale: Sale, user: User, on_sale: OnSale
) -> None:
    def values(ctx: Any) -> dict[str, Any]:
        Product.objects.create(name="side effect")
        raise LookupError

    run = on_sale(Workflow.from_steps("values", [UpdateStep(name="a", values=values)])).run(user=user)

    assert run.failed_step == "a"
    assert not Product.objects.filter(name="side effect").exists()


class Loose(Workflow):
    receipt = CreateStep(
        "kiosk.Receipt", values={"sale_id": 1, "reference": "r1"}, depends_on=(), background=True
    )
    product = CreateStep("kiosk.Product", values={"pk": 1, "name": "cup", "stock": 1}, depends_on=())
    sale = CreateStep("kiosk.Sale", values={"pk": 1, "product_id": 1})
    fail = Step("fail", fail, depends_on=["receipt", "sale"])


def test_steps_done_in_an_order_that_nobody_declared_are_undone_from_the_last_to_the_first(
    user: User,
) -> None:
    """I16: the receipt refers to the sale, although no step says so."""

    run = Loose.run(user=SYSTEM)
    assert run.step_runs.get(name="sale").status == "done"
    carry_run(str(run.pk), queue="flowstate")

    assert run.refresh().status == "compensated"
    assert run.compensated_steps == ["receipt", "sale", "product"]
    assert [model.objects.count() for model in (Product, Sale, Receipt)] == [0, 0, 0]


def test_a_row_that_is_to_stay_holds_another_in_place(user: User) -> None:
    class Kept(Workflow):
        product = CreateStep("kiosk.Product", values={"pk": 1, "name": "cup", "stock": 1})
        sale = CreateStep("kiosk.Sale", values={"pk": 1, "product_id": 1}, compensate=False)
        fail = Step("fail", fail)

    run = Kept.run(user=SYSTEM)

    assert run.status == "attention"
    assert "kiosk.Sale 1 refers to it by product" in run.compensation_errors["product"]["detail"]


class Disputed(Workflow):
    note = UpdateStep(values={"note": "ours"})
    interfere = Step("interfere", lambda ctx: Sale.objects.update(note="theirs"))
    fail = Step("fail", fail)


def test_an_undo_record_that_was_tampered_with_is_refused(sale: Sale, user: User, on_sale: OnSale) -> None:
    """S18, S19."""
    other = Sale.objects.create(product=sale.product, quantity=1)
    run = on_sale(Disputed).run(user=user)
    assert run.status == "attention"

    Sale.objects.update(note="ours")
    row = run.step_runs.get(name="note")
    assert row.undo is not None
    row.undo["changed"][0]["key"] = str(other.pk)
    row.save(update_fields=["undo"])
    run = run.retry(SYSTEM)

    assert run.status == "attention"
    assert "is not as the step left it" in run.compensation_errors["note"]["detail"]
    assert set(Sale.objects.values_list("note", flat=True)) == {"ours"}


def test_the_undo_record_is_stored_with_the_step(sale: Sale, user: User, on_sale: OnSale) -> None:
    on_sale(Workflow.from_steps("recorded", [UpdateStep(name="a", values={"note": "new"})])).run(user=user)

    row = StepRun.objects.get()
    assert row.undo is not None
    assert row.undo["changed"][0]["fields"] == {"note": {"before": "", "after": "new"}}
    assert row.compensation == "pending"
