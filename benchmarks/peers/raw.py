"""The physical limit: SQL text and a driver, with the least journal that could restart a run.

`raw_run` is inserted with the first effect and updated with the last one; a row of `raw_step` is inserted
with each step, and holds what its undoing needs.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Callable
from typing import Any

import psycopg

from benchmarks.settings import POSTGRES, PRAGMAS, SQLITE
from benchmarks.shop.checkout import Facts

Execute = Callable[[str, tuple[Any, ...]], Any]

SCHEMA = """
CREATE TABLE raw_run (id {uuid} PRIMARY KEY, status varchar(12) NOT NULL, input {json} NOT NULL, lease {time} NULL);
CREATE INDEX raw_run_queued ON raw_run (id) WHERE status = 'queued';
CREATE TABLE raw_step (run_id {uuid} NOT NULL, seq integer NOT NULL, status varchar(12) NOT NULL,
    result {json} NULL, PRIMARY KEY (run_id, seq))
"""
TYPES = {
    "postgresql": {"uuid": "uuid", "json": "jsonb", "time": "timestamptz"},
    "sqlite": {"uuid": "char(32)", "json": "text", "time": "text"},
}

RUN = "INSERT INTO raw_run (id, status, input) VALUES (%s, %s, %s)"
END = "UPDATE raw_run SET status = %s WHERE id = %s"
STEP = "INSERT INTO raw_step (run_id, seq, status, result) VALUES (%s, %s, %s, %s)"
STEPS = f"{STEP}, (%s, %s, %s, %s), (%s, %s, %s, %s)"
TAKE = "UPDATE shop_product SET stock = stock - %s WHERE id = %s AND stock >= %s"
GIVE = "UPDATE shop_product SET stock = stock + %s WHERE id = %s"
RESERVE = "INSERT INTO shop_reservation (order_id, product_id, quantity) VALUES (%s, %s, %s) RETURNING id"
UNRESERVE = "DELETE FROM shop_reservation WHERE id = %s"
PAY = "INSERT INTO shop_payment (order_id, key, amount) VALUES (%s, %s, %s) RETURNING id"
UNPAY = "DELETE FROM shop_payment WHERE id = %s"
PAID = "UPDATE shop_order SET status = 'paid' WHERE id = %s"


def connect() -> Execute:
    """Return what executes a statement outside any transaction, on a connection of its own."""
    if SQLITE:
        return _connect_sqlite()
    connection = psycopg.connect(**POSTGRES, autocommit=True)
    cursor = connection.cursor()

    def execute(sql: str, parameters: tuple[Any, ...] = ()) -> Any:
        cursor.execute(sql, parameters)
        return cursor.fetchone() if "RETURNING" in sql else None

    return execute


def _connect_sqlite() -> Execute:
    connection = sqlite3.connect(SQLITE, isolation_level=None, timeout=20)
    connection.executescript(PRAGMAS)

    def execute(sql: str, parameters: tuple[Any, ...] = ()) -> Any:
        if sql == "BEGIN":
            sql = "BEGIN IMMEDIATE"
        cursor = connection.execute(sql.replace("%s", "?"), parameters)
        return cursor.fetchone() if "RETURNING" in sql else None

    return execute


def take(execute: Execute, facts: Facts) -> int:
    """Reserve the stock; return the reservation's key."""
    execute(TAKE, (facts.quantity, facts.product_id, facts.quantity))
    key: int = execute(RESERVE, (facts.order_id, facts.product_id, facts.quantity))[0]
    return key


def pay(execute: Execute, facts: Facts) -> int:
    """Note the payment; return its key."""
    key: int = execute(PAY, (facts.order_id, f"charge-{facts.order_id}", facts.amount))[0]
    return key


def without_journal() -> Callable[[Facts], None]:
    """Four statements, one commit."""
    execute = connect()

    def run(facts: Facts) -> None:
        execute("BEGIN", ())
        take(execute, facts)
        pay(execute, facts)
        execute(PAID, (facts.order_id,))
        execute("COMMIT", ())

    return run


def journal_run() -> Callable[[Facts], None]:
    """Six statements, one commit."""
    execute = connect()

    def run(facts: Facts) -> None:
        key = uuid.uuid4().hex
        execute("BEGIN", ())
        reservation = take(execute, facts)
        payment = pay(execute, facts)
        execute(PAID, (facts.order_id,))
        execute(RUN, (key, "done", json.dumps(facts.as_input())))
        results = (json.dumps({"reservation": reservation}), json.dumps({"payment": payment}), None)
        rows = [column for seq, result in enumerate(results) for column in (key, seq, "done", result)]
        execute(STEPS, tuple(rows))
        execute("COMMIT", ())

    return run


def journal_step() -> Callable[[Facts], None]:
    """Nine statements, three commits."""
    execute = connect()

    def run(facts: Facts) -> None:
        key = uuid.uuid4().hex
        _two_steps(execute, facts, key)
        execute("BEGIN", ())
        execute(PAID, (facts.order_id,))
        execute(STEP, (key, 2, "done", None))
        execute(END, ("done", key))
        execute("COMMIT", ())

    return run


def undo() -> Callable[[Facts], None]:
    """Two steps, a refusal, and both undone: twelve statements, four commits."""
    execute = connect()

    def run(facts: Facts) -> None:
        key = uuid.uuid4().hex
        reservation, payment = _two_steps(execute, facts, key)
        execute("BEGIN", ())
        execute(UNPAY, (payment,))
        execute(STEP, (key, 3, "undone", None))
        execute("COMMIT", ())
        execute("BEGIN", ())
        execute(GIVE, (facts.quantity, facts.product_id))
        execute(UNRESERVE, (reservation,))
        execute(STEP, (key, 4, "undone", None))
        execute(END, ("undone", key))
        execute("COMMIT", ())

    return run


def _two_steps(execute: Execute, facts: Facts, key: str) -> tuple[int, int]:
    execute("BEGIN", ())
    execute(RUN, (key, "running", json.dumps(facts.as_input())))
    reservation = take(execute, facts)
    execute(STEP, (key, 0, "done", json.dumps({"reservation": reservation})))
    execute("COMMIT", ())
    execute("BEGIN", ())
    payment = pay(execute, facts)
    execute(STEP, (key, 1, "done", json.dumps({"payment": payment})))
    execute("COMMIT", ())
    return reservation, payment
