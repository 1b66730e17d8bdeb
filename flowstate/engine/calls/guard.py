"""Watches the user's code in a step: database errors it swallowed, and rows it wrote outside a transaction."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings as django_settings
from django.core import mail
from django.db import DatabaseError, connections

from flowstate.engine.database.contention import is_contention
from flowstate.engine.database.words import words_of
from flowstate.exceptions import TransactionBroken
from flowstate.models import ApprovalAudience, StepRun

logger = logging.getLogger("flowstate.steps")

_WRITE = re.compile(r"\s*(INSERT|UPDATE|DELETE|REPLACE)\b", re.IGNORECASE)

_OURS = (StepRun, ApprovalAudience)
"""What the engine itself writes meanwhile: heartbeats, and words for whom an approval is."""

Execute = Callable[[str, Any, bool, dict[str, Any]], Any]


@contextmanager
def refuse_swallowed_errors(using: str, what: str) -> Iterator[None]:
    """Raise `TransactionBroken` after a block that caught a database error and went on.

    On PostgreSQL the transaction is unusable from then on; on the others rows may be missing. An error
    within an inner `atomic()` is that block's business: its savepoint has taken it back. A deadlock or
    serialization failure that was swallowed is raised as itself, so that the whole is tried again.
    """
    connection = connections[using]
    depth = len(connection.savepoint_ids)
    errors: list[DatabaseError] = []

    def observe(execute: Execute, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:  # noqa: FBT001 - Django's signature of wrappers
        try:
            return execute(sql, params, many, context)
        except DatabaseError as err:
            if len(connection.savepoint_ids) == depth:
                errors.append(err)
            raise

    with connection.execute_wrapper(observe):
        yield
    if not errors and not connection.needs_rollback:
        return
    for error in errors:
        if is_contention(error):
            raise error
    cause = f" ({words_of(errors[0])})" if errors else ""
    message = (
        f"{what} caught a database error and went on{cause}; its transaction cannot be trusted any more. "
        "Wrap the statement that may fail in `with transaction.atomic():` inside the `try`."
    )
    raise TransactionBroken(message)


_reported: set[tuple[str, str]] = set()


@contextmanager
def report_row_writes(using: str, workflow: str, step: str) -> Iterator[None]:
    """Log, once per step, that an external step writes rows; only in DEBUG and in tests.

    An external step is called outside any transaction, so such rows stay when the step is tried again and
    are not undone with it: the mistake that everybody makes first.
    """
    if not _watching() or (workflow, step) in _reported:
        yield
        return
    written: list[str] = []

    def observe(execute: Execute, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:  # noqa: FBT001 - Django's signature of wrappers
        if _WRITE.match(sql) and not any(model._meta.db_table in sql for model in _OURS):
            written.append(sql)
        return execute(sql, params, many, context)

    with connections[using].execute_wrapper(observe):
        yield
    if written:
        _reported.add((workflow, step))
        logger.warning(
            "Step %s of %s is external but wrote rows (%s). They are not journaled with it and not undone. "
            "Declare it with @step(transactional=True), or use a CreateStep, UpdateStep or DeleteStep.",
            step,
            workflow,
            written[0][:100],
        )


def _watching() -> bool:
    # Django's test environment is recognised by the outbox that it, and nothing else, puts into mail.
    return bool(django_settings.DEBUG) or hasattr(mail, "outbox")
