"""Which buttons a row or the list of rows has: what this user may do now, and what is going on already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flowstate.admin import links
from flowstate.engine.keys import exclusive_hash
from flowstate.models import Run

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite

    from flowstate.actions.actions import ActionSet
    from flowstate.actions.bound import BoundAction


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """One button; one that is `held` leads to the run that holds the row, if this user may see that."""

    label: str
    summary: str
    url: str
    held: bool = False


def buttons_for(
    site: AdminSite, user: Any, actions: ActionSet, url_of: Callable[[BoundAction], str]
) -> list[Button]:
    """Return a button for each action that the rules allow now. One query, and one more where a run holds the row."""
    available = actions.available(user)
    held = _held(available)
    runs = _visible(user, list(held.values())) if held else {}
    return [
        Button(label=action.label, summary=action.summary, url=url_of(action))
        if action.name not in held
        else Button(
            label=action.label,
            summary=action.summary,
            url=links.run_url(site, runs[held[action.name]]) if held[action.name] in runs else "",
            held=True,
        )
        for action in available
    ]


def _held(actions: Sequence[BoundAction]) -> dict[str, UUID]:
    """Return the live runs that would have these actions refused, by the name of the action."""
    keys = {
        action.name: exclusive_hash(action.workflow.declaration.meta, name=action.key, action=action)
        for action in actions
    }
    wanted = {key for key in keys.values() if key is not None}
    if not wanted:
        return {}
    holders = dict(Run.objects.filter(exclusive_key__in=wanted).values_list("exclusive_key", "pk"))
    return {name: holders[key] for name, key in keys.items() if key in holders}


def _visible(user: Any, keys: Sequence[UUID]) -> dict[UUID, Run]:
    return {run.pk: run for run in Run.objects.visible_to(user).filter(pk__in=keys)}
