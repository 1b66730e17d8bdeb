"""What a function gets that asks for steps: pure, from what is recorded and what it has asked for so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from flowstate.models.statuses import StepStatus

END = "the end of the function"
"""What is found where a function returns that should still ask for something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What the journal says of a step that the function has asked for, in the order of asking."""

    name: str
    kind: str
    status: str
    optional: bool = False
    taken_over: bool = False
    """Whether another run has asked for it, which this one retries: then it may come at any time."""

    @property
    def has_value(self) -> bool:
        """Whether the function goes on with what came of it."""
        forgiven = self.optional and self.status in (StepStatus.FAILED, StepStatus.UNKNOWN)
        return forgiven or self.status in (StepStatus.DONE, StepStatus.SKIPPED)


Wish = tuple[str, str]
"""The name and the kind of a step that is asked for."""


@dataclass(frozen=True, slots=True)
class Values:
    """All have ended: these steps have the values."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Begin:
    """These are new, or were never begun: the function waits until they have ended."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """All are recorded, but some have not ended, or ended in a way that ends the run."""


@dataclass(frozen=True, slots=True)
class Twice:
    """A name was asked for before, in this same call."""

    name: str


@dataclass(frozen=True, slots=True)
class Changed:
    """The journal has another step in this place."""

    expected: str
    found: str


Answer = Values | Begin | Wait | Twice | Changed


class Recording:
    """The steps that the journal has of a function, in the order of asking."""

    def __init__(self, steps: Iterable[Recorded]) -> None:
        self.by_name: Mapping[str, Recorded] = {step.name: step for step in steps}
        self.own = tuple(step for step in self.by_name.values() if not step.taken_over)
        """Those that this run has asked for itself: they come in this order."""


@dataclass(slots=True)
class Asked:
    """What a function has asked for so far in one call, and how many of those its own run has recorded."""

    names: set[str] = field(default_factory=set)
    own: int = 0

    def take(self, names: Iterable[str], recording: Recording) -> None:
        """Take in what was answered."""
        for name in names:
            self.names.add(name)
            self.own += name in recording.by_name and not recording.by_name[name].taken_over


def answer(recording: Recording, asked: Asked, wished: Sequence[Wish]) -> Answer:
    """Return what a function gets that has `asked` for steps and now, at once, wishes for these.

    Its own recorded steps come in the order of their recording, all of them before anything new. Takes as long
    as there are wishes, however much is recorded.
    """
    names = tuple(name for name, _kind in wished)
    seen = set[str]()
    for name in names:
        if name in seen or name in asked.names:
            return Twice(name)
        seen.add(name)
    by_name = recording.by_name
    changed = _changed(recording.own[asked.own : asked.own + len(names)], by_name, wished)
    if changed is not None:
        return changed
    if any(name not in by_name or _unbegun(by_name[name]) for name in names):
        return Begin(names)
    return Values(names) if all(by_name[name].has_value for name in names) else Wait()


def missing_at_end(recording: Recording, asked: Asked, found: str = END) -> Changed | None:
    """Return what a function has not asked for that has come to its end; None where that is nothing."""
    for step in recording.by_name.values():
        if step.name not in asked.names:
            return Changed(_described(step.name, step.kind), found)
    return None


def _changed(
    left: Sequence[Recorded], by_name: Mapping[str, Recorded], wished: Sequence[Wish]
) -> Changed | None:
    """Return the first place where what is wished for is not what is left of the journal."""
    new = [wish for wish in wished if wish[0] not in by_name]
    own = [by_name[name] for name, _kind in wished if name in by_name and not by_name[name].taken_over]
    for name, kind in wished:
        known = by_name.get(name)
        if known is not None and known.kind != kind:
            return Changed(_described(name, known.kind), _described(name, kind))
    for step, expected in zip(own, left, strict=False):
        if step is not expected:
            return Changed(_described(expected.name, expected.kind), _described(step.name, step.kind))
    if not new:
        return None
    if own:  # what is asked for at once is recorded at once
        return Changed(f"{_described(own[-1].name, own[-1].kind)} without", _described(*new[0]))
    return Changed(_described(left[0].name, left[0].kind), _described(*new[0])) if left else None


def _unbegun(step: Recorded) -> bool:
    return step.taken_over and step.status == StepStatus.BLOCKED


def _described(name: str, kind: str) -> str:
    return f"{name} ({kind})"
