"""DBOS: a workflow whose steps are decorated ORM code, on the same database."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any, TypeVar

from django.db import transaction

from benchmarks.settings import POSTGRES, SQLITE
from benchmarks.shop import checkout
from benchmarks.shop.checkout import Facts

Function = TypeVar("Function", bound=Callable[..., Any])

# Only the benchmark's own environment has it.
DBOS: Any = import_module("dbos").DBOS


def _step(function: Function) -> Function:
    made: Function = DBOS.step()(function)
    return made


def _workflow(function: Function) -> Function:
    made: Function = DBOS.workflow()(function)
    return made


@_step
def _reserve(order_id: int, product_id: int, quantity: int) -> dict[str, Any]:
    with transaction.atomic():
        return checkout.reserve(order_id, product_id, quantity)


@_step
def _charge(order_id: int, amount: int) -> dict[str, Any]:
    with transaction.atomic():
        return checkout.charge(order_id, amount)


@_step
def _mark_paid(order_id: int) -> None:
    with transaction.atomic():
        checkout.mark_paid(order_id)


@_step
def _refuse() -> None:
    raise checkout.Refused


@_step
def _refund(payment: int) -> None:
    with transaction.atomic():
        checkout.refund(payment)


@_step
def _release(product_id: int, quantity: int, reservation: int) -> None:
    with transaction.atomic():
        checkout.release(product_id, quantity, reservation)


@_workflow
def _checkout(order_id: int, product_id: int, quantity: int, amount: int) -> None:
    _reserve(order_id, product_id, quantity)
    _charge(order_id, amount)
    _mark_paid(order_id)


@_workflow
def _failing_checkout(order_id: int, product_id: int, quantity: int, amount: int) -> None:
    reserved = _reserve(order_id, product_id, quantity)
    charged = _charge(order_id, amount)
    with suppress(checkout.Refused):
        _refuse()
    _refund(charged["payment"])
    _release(product_id, quantity, reserved["reservation"])


def steps() -> Callable[[Facts], None]:
    """Three steps, each recorded after its own commit."""
    return _peer(_checkout)


def undo() -> Callable[[Facts], None]:
    """The third step fails; the two before are undone by hand, as steps."""
    return _peer(_failing_checkout)


def _peer(workflow: Callable[..., None]) -> Callable[[Facts], None]:
    DBOS(
        config={
            "name": "bench",
            "system_database_url": _url(),
            "run_admin_server": False,
            "log_level": "ERROR",
        }
    )
    DBOS.launch()

    def run(facts: Facts) -> None:
        workflow(facts.order_id, facts.product_id, facts.quantity, facts.amount)

    return run


def _url() -> str:
    if SQLITE:
        return f"sqlite:///{SQLITE}.dbos"
    pg = POSTGRES
    password = f":{pg['password']}" if "password" in pg else ""
    return f"postgresql://{pg['user']}{password}@{pg['host']}:{pg['port']}/{pg['dbname']}"
