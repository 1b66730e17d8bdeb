"""Events from outside: delivered to the runs that wait for them, or kept for those that will."""

from __future__ import annotations

import logging
from collections.abc import Collection
from functools import partial
from typing import Any

from django.db import DatabaseError, IntegrityError, router, transaction

from flowstate.conf import settings
from flowstate.engine.carry.sweep import take_up
from flowstate.engine.database.blocks import callers_transaction
from flowstate.engine.database.contention import tried_again
from flowstate.engine.keys import event_key
from flowstate.engine.tokens import is_genuine, place_of
from flowstate.engine.waits.matching import match_event
from flowstate.engine.waits.sensitive import sensitive_in, sensitive_of
from flowstate.exceptions import ValueNotSerializable
from flowstate.exceptions.events import (
    EventInvalid,
    EventReplayed,
    EventTokenSpent,
    EventTokenUnknown,
    InboxFull,
)
from flowstate.models import Event, EventWait, RunStatus, StepRun
from flowstate.models.clock import DbNow
from flowstate.models.inbox import digest_of, topic_of
from flowstate.models.secrets import hidden
from flowstate.models.values import encode
from flowstate.workflows.steps import Kind
from flowstate.workflows.waits import LONGEST_EVENT_KEY, event_name_problem

logger = logging.getLogger("flowstate.events")

AT_ONCE = 100
"""Runs that whoever delivers an event moves on itself; the others are left to the sweepers."""

PUT_OFF = 86400.0
"""Seconds for which an event is kept that is over, but that a step which took it was not yet given."""


def deliver_event(  # noqa: PLR0913 - all that is told of an event, each by name
    name: str,
    key: Any,
    payload: Any = None,
    *,
    event_id: str | None = None,
    once: bool = False,
    signature: str = "",
    sensitive: bool | Collection[str] = False,
) -> Event:
    """Store an event, give it to the runs that wait for it, or with `once` to the oldest, and return it.

    Inside a caller's transaction it counts from the commit on. One whose `event_id` is known changes nothing:
    the first is returned, `replayed`. `signature` is that of the request it came with; one that comes with
    the same is refused. Raises `EventInvalid`, `InboxFull` and `EventReplayed`.
    """
    using = router.db_for_write(Event)
    problem = event_name_problem(name)
    if problem:
        message = f"The event {problem}."
        raise EventInvalid(message)
    key = event_key(key, f"event {name}")
    delivery_key = None
    if event_id is not None:
        delivery_key = digest_of("id", name, _checked_id(event_id, name))
    elif signature:
        delivery_key = digest_of("signature", signature)
    event = Event(
        name=name,
        key=key,
        topic=topic_of(name, key),
        delivery_key=delivery_key,
        signature=signature,
        payload_json=_encoded(hidden(hidden(payload, sensitive), sensitive_of(name)), name),
        once=once,
    )
    return _deliver(event, using)


def deliver_by_token(token: str, payload: Any = None) -> Event:
    """Store an event for the one step that gave out the token and return it.

    Raises `EventTokenUnknown` for a token that nobody gave out, and `EventTokenSpent` for one that was used
    or whose step waits for nothing any more.
    """
    using = router.db_for_write(Event)
    row = _step_of(token, using)
    delivery_key = digest_of("token", str(row.run_id), str(row.seq))
    over = row.settled or row.run.status != RunStatus.RUNNING
    if over or Event.objects.using(using).filter(delivery_key=delivery_key).exists():
        raise _spent()
    event = Event(
        name=row.name,
        step_run=row,
        delivery_key=delivery_key,
        payload_json=_encoded(hidden(payload, sensitive_in(row)), row.name),
    )
    stored = _deliver(event, using)
    if stored.replayed:  # somebody else was faster
        raise _spent()
    return stored


def sweep_inbox(*, limit: int = 100) -> int:
    """Match what nobody has matched, and delete what is over; return how many events were looked at."""
    using = router.db_for_write(Event)
    due = list(Event.objects.using(using).due()[:limit])
    for event in due:
        try:
            _look_at(event, using)
        except DatabaseError:
            logger.exception("Could not look at event=%s; the next sweep tries again.", event.pk)
    return len(due)


def _checked_id(given: Any, name: str) -> str:
    if isinstance(given, str) and 0 < len(given) <= LONGEST_EVENT_KEY and given.isprintable():
        return given
    message = (
        f"The id of event {name} is a printable text of 1 to {LONGEST_EVENT_KEY} characters, not {given!r}."
    )
    raise EventInvalid(message)


def _encoded(payload: Any, name: str) -> Any:
    try:
        return encode(payload, f"The payload of event {name}")
    except ValueNotSerializable as err:
        raise EventInvalid(str(err)) from err


def _deliver(event: Event, using: str) -> Event:
    event.wake_at, event.expires_at = DbNow(), DbNow(settings().event_lifetime)
    try:
        tried_again(using, lambda: _store(event, using))
    except IntegrityError:
        event = _known(event, using)
    if callers_transaction(using):
        # Matched now, a wait that others commit meanwhile would not be seen.
        transaction.on_commit(partial(_hand_out, event, using), using=using, robust=True)
    else:
        _hand_out(event, using)
    for moment in ("wake_at", "expires_at"):
        event.__dict__.pop(moment, None)  # an expression, or no longer true: the next access reads
    return event


def _store(event: Event, using: str) -> None:
    if (
        event.delivery_key is None
        or not Event.objects.using(using).filter(delivery_key=event.delivery_key).exists()
    ):
        _refuse_full(event, using)
    with transaction.atomic(using=using):
        event.save(using=using, force_insert=True)


def _refuse_full(event: Event, using: str) -> None:
    if event.step_run_id is not None:
        return
    most = settings().max_events
    kept = Event.objects.using(using).on(event.topic).filter(taken_at=None)[:most].count()
    if kept >= most:
        message = (
            f"Nobody has waited for {most} events {event.name} under this key: FLOWSTATE['MAX_EVENTS'] allows no "
            "more. Send it again later, or look why no run waits for it."
        )
        raise InboxFull(message)


def _known(event: Event, using: str) -> Event:
    """Return the event that was delivered first. Raises `EventReplayed` where it came with this very request."""
    known = Event.objects.using(using).get(delivery_key=event.delivery_key)
    if event.signature and known.signature == event.signature:
        message = f"This request was received before. To send event {event.name} again, sign it anew."
        raise EventReplayed(message)
    known.replayed = True
    return known


def _hand_out(event: Event, using: str) -> None:
    """Give the event to who waits for it and move their runs on; what fails here is done by the sweepers."""
    try:
        for run_id in match_event(event, using)[:AT_ONCE]:
            take_up(run_id, using)
    except DatabaseError:
        if callers_transaction(using):
            raise
        logger.exception("Could not hand out event=%s; the next sweep does.", event.pk)


def _look_at(event: Event, using: str) -> None:
    over = Event.objects.using(using).filter(pk=event.pk)
    if over.expired().exists():
        over.delete()
        return
    match_event(event, using)
    if over.filter(wake_at__lte=DbNow()).exists():  # taken and over, but its step was not given it
        Event.objects.using(using).put_off(event.pk, delay=PUT_OFF)


def _step_of(token: str, using: str) -> StepRun:
    place = place_of(token)
    steps = StepRun.objects.using(using).select_related("run").filter(kind=Kind.EVENT)
    row = None if place is None else steps.filter(run_id=place[0], seq=place[1]).first()
    stored = None if row is None else _stored_hash(row, using)
    if row is None or not is_genuine(token, row, stored):
        message = "No step has given out this token."
        raise EventTokenUnknown(message)
    return row


def _stored_hash(row: StepRun, using: str) -> str | None:
    waits = EventWait.objects.using(using).filter(pk=row.pk)
    return waits.values_list("token_hash", flat=True).first()


def _spent() -> EventTokenSpent:
    return EventTokenSpent("This token was used already, or what it was for is over.")
