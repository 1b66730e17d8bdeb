"""What waits for a person: page by page, at a cost that does not depend on how much waits."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db import router

from flowstate.actions.audiences import belongs_to, user_key
from flowstate.engine.approvals.judge import ANSWERED, Voice, Why
from flowstate.engine.approvals.people import (
    Asked,
    Standing,
    approvers_of,
    fresh_user,
    standing_in,
    votes_of,
)
from flowstate.engine.functions.learn import asked_elsewhere
from flowstate.engine.loading import workflow_step
from flowstate.engine.waits.requesters import requesters_of
from flowstate.models import Approval, ApprovalAudience, InboxEntry, Run
from flowstate.workflows.approvals import ApprovalStep

PAGE = 50
"""Approvals that one page looks at; a list of what waits for a person is judged row by row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxPage:
    """Some of what waits for a person, the longest waiting first; runs and their requesters are read along."""

    approvals: Sequence[Approval]
    after: int | None
    """Where the next page goes on; None where this is the last."""

    @property
    def count_text(self) -> str:
        """How many wait, as a badge says it: "7", or "50+" where there are more than one page looks at."""
        return f"{PAGE}+" if self.after is not None else str(len(self.approvals))


def inbox_of(user: Any, *, after: int = 0, limit: int = PAGE) -> InboxPage:
    """Return the pending approvals that the person may decide now, at most `limit` of them looked at.

    Whom a known rule is for is found by an index; all others are asked row by row. A page may hold fewer than it
    has looked at, and none at all: the next one goes on after `after`.
    """
    using = router.db_for_write(Approval)
    person = fresh_user(user)
    if person is None or not person.is_active:
        return InboxPage(approvals=(), after=None)
    standing = standing_in(person, using)
    exact_for, more = _candidates((person, *standing.away), after, limit, using)
    approvals = list(
        Approval.objects.using(using)
        .pending()
        .filter(pk__in=exact_for)
        .select_related("run", "run__requested_by")
        .order_by("pk")
    )
    mine = _judged(approvals, exact_for, person, standing, using)
    return InboxPage(approvals=mine, after=max(exact_for) if more else None)


def may_decide(user: Any, approval: Approval) -> bool:
    """Return whether the person may vote now; it is judged again, under a lock, when they do."""
    return bool(decidable(user, [approval.pk]))


def decidable(user: Any, keys: Collection[int]) -> list[Approval]:
    """Return those of some approvals that the person may vote about now, with their runs, in a constant number of reads."""
    using = router.db_for_write(Approval)
    person = fresh_user(user)
    if person is None:
        return []
    rows = Approval.objects.using(using).pending().filter(pk__in=keys).select_related("run").order_by("pk")
    return _judged(list(rows), {}, person, standing_in(person, using), using)


def standing_of(user: Any, approval: Approval) -> Voice | Why:
    """Return by whose right the person may vote, or why they may not, whether or not it is still pending."""
    using = router.db_for_write(Approval)
    person = fresh_user(user)
    if person is None:
        return Why.NO_PERSON
    for asked in _asked([approval], {}, using):
        return asked.judged(person, standing_in(person, using))
    return Why.NOT_ALLOWED


def may_see(user: Any, approval: Approval) -> bool:
    """Return whether the approval is there for a person: they decide it, have decided, or may see its run."""
    if Run.objects.visible_to(user).filter(pk=approval.run_id).exists():
        return True
    return _decides(user, approval)


def decides_in(user: Any, run: Any) -> bool:
    """Return whether a person decides, or has decided, something in the run of that key: then they may see it."""
    if not getattr(user, "is_active", False):
        return False
    asked = Approval.objects.filter(run=run).select_related("run").order_by("-pk")
    return any(_decides(user, approval) for approval in asked)


def _decides(user: Any, approval: Approval) -> bool:
    judged = standing_of(user, approval)
    return isinstance(judged, Voice) or judged in ANSWERED


def _candidates(
    people: Sequence[Any], after: int, limit: int, using: str
) -> tuple[dict[int, set[Any]], bool]:
    """Return the first approvals that may be for one of the people, for whom surely, and whether there are more."""
    found: dict[int, set[Any]] = {}
    entries = InboxEntry.objects.using(using)
    more = False
    for audience, members in _audiences(people, using):
        for entry in entries.first_of(audience, after=after, limit=limit + 1):
            found.setdefault(entry.approval_id, set()).update(members if entry.exact else ())
    if len(found) > limit:
        more = True
        found = {pk: found[pk] for pk in sorted(found)[:limit]}
    return found, more


def _audiences(people: Sequence[Any], using: str) -> list[tuple[ApprovalAudience, set[Any]]]:
    """Return the words that stand for some of the people, each with the keys of those."""
    groups = {person.pk: _groups_of(person) for person in people}
    own = [user_key(person.pk) for person in people]
    found = []
    for audience in ApprovalAudience.objects.using(using).that_may_fit(own):
        members = {person.pk for person in people if belongs_to(audience.key, person, groups[person.pk])}
        if members:
            found.append((audience, members))
    return found


def _groups_of(person: Any) -> frozenset[str]:
    """Return the names of the person's groups; none where the project's users have no such thing."""
    groups = getattr(person, "groups", None)
    return frozenset() if groups is None else frozenset(groups.values_list("name", flat=True))


def _judged(
    approvals: Sequence[Approval],
    exact_for: Mapping[int, Collection[Any]],
    person: Any,
    standing: Standing,
    using: str,
) -> list[Approval]:
    found = _asked(approvals, exact_for, using)
    return [asked.approval for asked in found if isinstance(asked.judged(person, standing), Voice)]


def _asked(
    approvals: Sequence[Approval], exact_for: Mapping[int, Collection[Any]], using: str
) -> Iterator[Asked]:
    entities = _entities([approval.run for approval in approvals], using)
    approvers, votes = approvers_of(approvals, using), votes_of(approvals, using)
    requesters = requesters_of([approval.run for approval in approvals], using)
    for approval in approvals:
        step = workflow_step(approval.run, approval.step) or asked_elsewhere(
            approval.run_id, approval.step, using
        )
        if not isinstance(step, ApprovalStep):
            continue  # this process does not know the code: the run's page says so
        yield Asked(
            approval=approval,
            run=approval.run,
            step=step,
            entity=entities.get((approval.run.content_type_id, approval.run.object_id)),
            votes=votes[approval.pk],
            approvers=approvers[approval.pk],
            requesters=requesters[approval.run_id],
            exact_for=frozenset(exact_for.get(approval.pk, ())),
            using=using,
        )


def _entities(runs: Sequence[Run], using: str) -> dict[tuple[Any, str], Any]:
    """Return the rows that the runs are on. One statement for each model."""
    keys: dict[Any, set[str]] = {}
    for run in runs:
        if run.content_type_id is not None:
            keys.setdefault(run.content_type_id, set()).add(run.object_id)
    found: dict[tuple[Any, str], Any] = {}
    for content_type_id, objects in keys.items():
        model = ContentType.objects.get_for_id(content_type_id).model_class()
        if model is not None:
            rows = model._base_manager.using(using).filter(pk__in=objects)
            found.update({(content_type_id, row._meta.pk.value_to_string(row)): row for row in rows})
    return found
