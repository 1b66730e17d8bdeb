"""Transactions of the engine: whose they are, how they are tried again, what is called after them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from django.db import DatabaseError, connections, transaction

from flowstate.engine.database.contention import TRIES, is_contention, is_lost, pause_after
from flowstate.engine.execution import Execution
from flowstate.models.memory import noted

Result = TypeVar("Result")


class LostClaim(Exception):  # control flow of the engine, not an error for people
    """Somebody else holds the step by now: roll back, own effects included, and drop it."""


def callers_transaction(using: str) -> bool:
    """Return whether a transaction is open that is not ours to commit.

    The blocks that Django's `TestCase` wraps around a test do not count, as with `atomic(durable=True)`.
    """
    connection = connections[using]
    if connection.in_atomic_block:
        # What `durable=True` looks at; django-stubs does not know the attribute.
        return any(not getattr(block, "_from_testcase", False) for block in connection.atomic_blocks)
    return not connection.get_autocommit()


def in_transaction(
    execution: Execution, work: Callable[[], Result], *, landed: Callable[[], bool] = lambda: False
) -> Result:
    """Return what `work` returns, committed with what it wrote and, for a new run, with the journal's first rows.

    Where nothing was committed, the rows in memory are as they were before.
    """
    rows = execution.rows

    with noted() as changed:

        def take_back() -> None:
            execution.rows = rows
            changed.take_back()

        def journaled_work() -> Result:
            take_back()  # what a try that was rolled back had put into the rows in memory
            execution.ensure_journaled()
            return work()

        try:
            return commit(execution, journaled_work, landed=landed)
        except BaseException:
            take_back()
            raise


def commit(
    execution: Execution, work: Callable[[], Result], *, landed: Callable[[], bool] = lambda: False
) -> Result:
    """Return what `work` returns, committed with what it wrote.

    A deadlock, a serialization failure or a lost connection rolls back and tries the whole again, at no cost
    to the step's budget; inside another transaction it is raised, since only its owner could start over.
    Where the connection is lost in COMMIT, `landed` is asked first, on a new one, whether it was not in fact
    done. What was staged in memory counts from the commit on.
    """
    for tried in range(TRIES):
        execution.drop_staged()
        held, results = None, list[Result]()
        try:
            with transaction.atomic(using=execution.using):
                held = connections[execution.using].connection
                results.append(work())
        except DatabaseError as err:
            over = tried + 1 == TRIES or connections[execution.using].in_atomic_block
            lost = not over and is_lost(execution.using, held)
            if over or not (lost or is_contention(err)):
                raise
            if lost and results and landed():
                execution.keep_staged()
                return results[0]
            time.sleep(pause_after(tried))
        else:
            execution.keep_staged()
            return results[0]
    message = "unreachable: the last try returns or raises"
    raise AssertionError(message)  # pragma: no cover


def flush(execution: Execution) -> None:
    """Call hooks and send signals of what is committed by now; later, if the caller's commit decides."""
    if not execution.after_commit:
        return
    waiting, execution.after_commit = execution.after_commit, []
    joined = callers_transaction(execution.using)
    for call in waiting:
        if joined:
            transaction.on_commit(call, using=execution.using, robust=True)
        else:
            call()
