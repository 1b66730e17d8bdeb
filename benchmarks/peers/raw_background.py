"""The physical limit in the background: rows are claimed, worked on, and ended.

Nine statements and three commits for a run: the claim rides in the first transaction. It is woken by NOTIFY.
"""

from __future__ import annotations

import json
import uuid
from functools import cache
from typing import Any

import psycopg

from django.db import connection

from benchmarks.peers.raw import END, PAID, STEP, Execute, connect, pay, take
from benchmarks.settings import POSTGRES
from benchmarks.shop.checkout import Facts

CLAIM = """UPDATE raw_run SET status = 'running', lease = now() + interval '75 seconds' WHERE id = (
    SELECT id FROM raw_run WHERE status = 'queued' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
) RETURNING id, input"""


@cache
def _connection() -> psycopg.Connection[Any]:
    return psycopg.connect(**POSTGRES, autocommit=True)


def enqueue(facts: Facts) -> None:
    """Insert a queued run in Django's transaction, and wake the worker by its commit."""
    with connection.cursor() as cursor:
        given = json.dumps({"order_id": facts.order_id, **facts.as_input()})
        cursor.execute(
            "INSERT INTO raw_run (id, status, input) VALUES (%s, 'queued', %s)", [uuid.uuid1(), given]
        )
        cursor.execute("NOTIFY raw_run")


def work_on_one(execute: Execute) -> bool:
    """Take a run to its end; return whether there was one."""
    execute("BEGIN", ())
    claimed = execute(CLAIM, ())
    if claimed is None:
        execute("COMMIT", ())
        return False
    key, facts = claimed[0], Facts(**claimed[1])
    reservation = take(execute, facts)
    execute(STEP, (key, 0, "done", json.dumps({"reservation": reservation})))
    execute("COMMIT", ())
    execute("BEGIN", ())
    payment = pay(execute, facts)
    execute(STEP, (key, 1, "done", json.dumps({"payment": payment})))
    execute("COMMIT", ())
    execute("BEGIN", ())
    execute(PAID, (facts.order_id,))
    execute(STEP, (key, 2, "done", None))
    execute(END, ("done", key))
    execute("COMMIT", ())
    return True


def work_for_ever() -> None:
    """Work on what is queued, then wait for NOTIFY."""
    execute, listener = connect(), _connection()
    listener.execute("LISTEN raw_run")
    while True:
        while work_on_one(execute):
            pass
        list(listener.notifies(timeout=5, stop_after=1))
