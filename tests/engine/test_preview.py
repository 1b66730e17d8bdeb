"""What undoing a run would do now: told step by step, and true when it is done."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from django.contrib.auth.models import User
from django.db.models import F

from flowstate import SYSTEM, Context, CreateStep, UpdateStep, Workflow, step
from flowstate.exceptions import StepUnknown
from flowstate.models import Run, StepRun
from flowstate.models.undo_preview import StepPreview
from tests.kiosk import returns
from tests.kiosk.models import Entry, Product, Sale
from tests.kiosk.returns import called
from tests.kiosk.stall import OnSale
from tests.kiosk.statements import Statements

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    returns.forget()
    yield
    returns.forget()


class Halt(Workflow):
    """One step of each sort, and a last one that a worker never does."""

    reserve = UpdateStep(
        "kiosk.Product",
        where=lambda ctx: {"pk": ctx.entity.product_id},
        values=lambda ctx: {"stock": F("stock") - ctx.entity.quantity},
    )

    @step(unknown_on=[ConnectionError], optional=True)
    def pay(self, ctx: Context[Sale]) -> str:
        called(ctx, "pay")
        return "paid"

    @pay.compensate
    def refund(self, ctx: Context[Sale], payment: str | None) -> None:
        called(ctx, "refund")

    book = CreateStep("kiosk.Entry", values={"what": "booked"})
    mark = UpdateStep(values={"status": "marked"})
    remark = UpdateStep(values={"status": "remarked"})

    @step
    def tell(self, ctx: Context[Sale]) -> None:
        called(ctx, "tell")

    @step(background=True)
    def ship(self, ctx: Context[Sale]) -> None:
        called(ctx, "ship")


class HaltAndKeep(Halt):
    class Meta:
        rollback = "none"


class Stumble(Workflow):
    """Fails, after two steps whose undo can be got in the way of."""

    class Meta:
        exclusive = None

    note = UpdateStep(values={"note": "mine"})
    mark = UpdateStep(values={"status": "mine"})

    @step
    def last(self, ctx: Context[Sale]) -> None:
        called(ctx, "last")
        raise OSError


def write(status: str) -> None:
    Sale.objects.update(status=status)


def told(previews: list[StepPreview]) -> list[tuple[str, str]]:
    return [(preview.step, preview.by) for preview in previews]


def rows_of(previews: list[StepPreview]) -> dict[str, Any]:
    return {
        preview.step: [
            (row.model, row.what, {f.name: (f.now, f.after) for f in row.fields}) for row in preview.rows
        ]
        for preview in previews
        if preview.rows
    }


def test_a_preview_tells_in_the_order_of_undoing_which_rows_would_change_how(
    sale: Sale, user: User, on_sale: OnSale
) -> None:
    run = on_sale(Halt).run(user=user)
    Product.objects.update(stock=F("stock") - 1)

    previews = run.preview_undo()

    assert told(previews) == [
        ("remark", "inverse"),
        ("mark", "inverse"),
        ("book", "inverse"),
        ("pay", "compensation"),
        ("reserve", "inverse"),
        ("tell", "nothing"),
    ]
    assert rows_of(previews) == {
        "remark": [("kiosk.Sale", "changed", {"status": ("remarked", "marked")})],
        "mark": [("kiosk.Sale", "changed", {"status": ("marked", "open")})],
        "book": [("kiosk.Entry", "deleted", {})],
        "reserve": [("kiosk.Product", "changed", {"stock": ("6", "9")})],
    }
    assert not any(preview.conflict for preview in previews)


def test_what_is_told_is_what_cancelling_does(sale: Sale, user: User, on_sale: OnSale) -> None:
    run = on_sale(Halt).run(user=user)
    order = [preview.step for preview in run.preview_undo() if preview.by != "nothing"]

    run.cancel(user)

    sale.refresh_from_db()
    assert run.compensated_steps == order
    assert (sale.status, sale.product.stock, Entry.objects.count()) == ("open", 10, 0)


def test_a_compensation_is_told_with_whether_the_result_is_known(
    sale: Sale, user: User, on_sale: OnSale
) -> None:
    known = on_sale(Halt).run(user=user)
    [pay] = [preview for preview in known.preview_undo() if preview.step == "pay"]
    known.cancel(user)
    returns.errors["pay"] = [ConnectionError()]
    unknown = on_sale(Halt).run(user=user)
    [doubtful] = [preview for preview in unknown.preview_undo() if preview.step == "pay"]

    assert (pay.by, pay.result_known) == ("compensation", True)
    assert (doubtful.by, doubtful.result_known) == ("compensation", False)


def test_what_is_still_being_done_is_told_as_running(sale: Sale, user: User, on_sale: OnSale) -> None:
    run = on_sale(Halt).run(user=user)
    StepRun.objects.filter(run=run, name="ship").update(status="running", attempt=1, wake_at=None)

    [ship] = [preview for preview in run.preview_undo() if preview.step == "ship"]
    StepRun.objects.filter(run=run, name="mark").update(status="running")
    first, mark, *_others = run.preview_undo()

    assert ship.by == "nothing"
    assert (mark.step, mark.running, mark.rows) == ("mark", True, ())
    assert first.step == "remark"


def test_a_run_that_is_not_rolled_back_tells_that_nothing_would_be_undone(
    sale: Sale, user: User, on_sale: OnSale
) -> None:
    run = on_sale(HaltAndKeep).run(user=user)

    assert {by for _step, by in told(run.preview_undo())} == {"nothing"}


def test_in_attention_it_tells_what_a_retry_would_do(sale: Sale, user: User, on_sale: OnSale) -> None:
    returns.within["last"] = [lambda: write("theirs")]
    run = on_sale(Stumble).run(user=user)
    assert run.status == "attention"

    [mark] = run.preview_undo()

    assert mark.step == "mark"
    assert mark.conflict == f"kiosk.Sale {sale.pk} was changed by somebody else since: status."
    [field] = mark.rows[0].fields
    assert (field.now, field.expected, field.after) == ("theirs", "mine", "open")


def test_a_run_that_has_ended_has_nothing_to_undo(sale: Sale, user: User, on_sale: OnSale) -> None:
    run = on_sale(Stumble).run(user=user)
    assert run.status == "compensated"

    assert run.preview_undo() == []
    assert sale.actions.touch.run(user=user).preview_undo() == []


def test_a_preview_writes_and_locks_nothing_and_reads_each_table_once_a_step(
    sale: Sale, user: User, on_sale: OnSale
) -> None:
    run = on_sale(Halt).run(user=user)
    run.preview_undo()

    with Statements() as said:
        run.preview_undo()

    assert {sql.split()[0] for sql in said.all} == {"SELECT"}
    assert not [sql for sql in said.all if "FOR UPDATE" in sql]
    assert len(said.work) == 1 + 3, said.work  # the run with its steps; sale, entry, product


def test_a_preview_says_so_where_the_code_no_longer_knows_a_step(
    sale: Sale, user: User, on_sale: OnSale
) -> None:
    run = on_sale(Halt).run(user=user)
    StepRun.objects.filter(run=run, name="tell").update(name="told")

    with pytest.raises(StepUnknown, match="told"):
        run.preview_undo()


def test_it_is_there_for_asynchronous_code_too(sale: Sale, user: User, on_sale: OnSale) -> None:
    run = Run.objects.get(pk=on_sale(Stumble).run(user=SYSTEM).pk)

    assert async_to_sync(run.apreview_undo)() == []
