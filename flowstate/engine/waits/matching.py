"""Brings events and the steps that wait for them together.

Who delivers an event and who begins to wait both write and commit, and only then match, in a transaction of
its own: whoever of the two comes second sees the other. A compare-and-set on the event's row decides which
waits get it. No run is locked here: each is settled afterwards, under its own lock.
"""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from flowstate.engine.database.contention import tried_again
from flowstate.models import Event, EventWait, Run
from flowstate.models.inbox import EventWaitQuerySet


def match_event(event: Event, using: str) -> list[UUID]:
    """Give an event to those who wait for it; return their runs, which are to be looked at at once.

    An event that was taken has its runs looked at once more: whoever took it may have died in between.
    """
    tried_again(using, lambda: _give(event, using))
    waits = EventWait.objects.using(using).filter(event=event)
    runs = list(waits.values_list("step_run__run_id", flat=True).order_by("pk"))
    for run_id in runs:
        Run.objects.using(using).lower_wake_up(run_id)  # one by one: nobody holds two runs
    Event.objects.using(using).rest(event.pk)  # from here on the runs themselves say when to look
    return runs


def match_wait(step_run_id: int, using: str) -> None:
    """Give a step that waits the oldest event that fits, if it has none yet."""
    wait = EventWait.objects.using(using).filter(pk=step_run_id, event=None).first()
    if wait is None:
        return
    for event in Event.objects.using(using).untaken().fitting(wait):
        match_event(event, using)
        if not EventWait.objects.using(using).filter(pk=step_run_id, event=None).exists():
            return


def _give(event: Event, using: str) -> None:
    waits = EventWait.objects.using(using).open_for(event)
    if not event.once:
        _give_to(waits, event, using)
        return
    for oldest in list(waits.values_list("pk", flat=True)):
        # Where another event has taken the same wait, it is for the next oldest.
        if _give_to(waits.filter(pk=oldest), event, using):
            return


def _give_to(waits: EventWaitQuerySet, event: Event, using: str) -> bool:
    """Give the event to these; return False where they have others by now, and it still is to be given."""
    with transaction.atomic(using=using):
        if not Event.objects.using(using).take(event.pk):
            return True
        if waits.give(event):
            return True
        transaction.set_rollback(True, using=using)
        return False
