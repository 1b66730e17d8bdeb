"""A run in the caller's process, from its first step to its end."""

from __future__ import annotations

from typing import Any

import pytest

from django.contrib.auth.models import User

from flowstate.exceptions import StepFailed
from flowstate.models import Run
from tests.kiosk.models import Product, Receipt, Sale
from tests.kiosk.workflows import Bank, CardDeclined

pytestmark = pytest.mark.django_db(transaction=True)


def declined() -> None:
    raise CardDeclined


def test_steps_run_in_declared_order_and_the_last_result_is_the_value(
    sale: Sale, user: User, bank: Bank
) -> None:
    """P01."""
    run = sale.actions.checkout.run(user=user, input={"card": "tok_2"})

    assert run.success
    assert run.value == f"receipt {Receipt.objects.get().pk}"
    assert list(run.results) == ["reserve", "charge", "receipt", "mark_paid", "thank"]
    assert run.results["charge"] == {"id": "ch_1"}
    sale.refresh_from_db()
    assert sale.status == "paid"
    assert sale.product.stock == 10 - 3
    assert Run.objects.get().status == "succeeded"
    assert run.progress == 100


def test_a_failing_step_undoes_what_was_done_and_keeps_its_error(sale: Sale, user: User, bank: Bank) -> None:
    bank.script = [declined]

    run = sale.actions.checkout.run(user=user)

    assert run.status == "compensated"
    assert run.failed_step == "charge"
    assert run.compensated_steps == ["reserve"]
    assert Product.objects.get().stock == 10
    assert bank.calls == [("charge", f"{run.pk}:charge")]
    with pytest.raises(CardDeclined):
        run.raise_for_status()


def test_an_unforeseen_exception_fails_the_run_and_names_the_step(sale: Sale, user: User, bank: Bank) -> None:
    """P13."""
    bank.script = [lambda: 1 / 0]

    run = sale.actions.checkout.run(user=user)

    assert run.error is not None
    assert run.error["class"] == "builtins.ZeroDivisionError"
    assert "division by zero" in run.traceback
    with pytest.raises(StepFailed, match=r"Step charge of run .* failed: ZeroDivisionError"):
        run.raise_for_status()


def test_rows_in_the_journal_equal_what_the_returned_run_says(sale: Sale, user: User, bank: Bank) -> None:
    run: Any = sale.actions.checkout.run(user=user)
    stored = Run.objects.get(pk=run.pk)

    for name in ("status", "value_json", "ended_at", "exclusive_key", "wake_at"):
        assert getattr(stored, name) == getattr(run, name), name
