"""Steps that wait for something outside the run. Nobody holds a worker or a connection meanwhile."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeAlias, TypeVar

from flowstate.exceptions import DeclarationInvalid
from flowstate.workflows.functions import refuse_wrong_arity, value_of
from flowstate.workflows.policies import Duration, limit, refuse_unknown, seconds
from flowstate.workflows.step_options import UNSET, Unset, WaitOptions, option_names
from flowstate.workflows.steps import Kind, Step

if TYPE_CHECKING:
    from typing import Unpack

Result = TypeVar("Result")

LONGEST_EVENT_NAME: Final = 100
LONGEST_EVENT_KEY: Final = 255

# What can stand in a URL as it is.
_EVENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")

Delay: TypeAlias = "Duration | Callable[[Any], Duration | datetime]"


class WaitStep(Step[Result], Generic[Result]):
    """What all steps that wait have in common: there is no function to call, and nothing to undo by itself."""

    known_options: ClassVar[frozenset[str]] = option_names(WaitOptions)

    def _declare(self, kind: Kind, options: Any, **own: Any) -> None:
        what = f"{self.word} {options.get('name') or ''}".rstrip()
        refuse_unknown(what, options, self.known_options)
        common = {key: value for key, value in options.items() if key not in ("name", "compensate")}
        self._fill(what, options.get("name"), options.get("compensate"), common)
        vars(self).update(fn=None, kind=kind, **own)

    @property
    def waits(self) -> bool:
        """Whether it is for something outside the run to say when it is done."""
        return True

    @property
    def derives_inverse(self) -> bool:
        """Whether undoing it is derived from what it wrote: it wrote nothing."""
        return False


class DelayStep(WaitStep[None]):
    """Wait for `duration`: seconds, a timedelta, or a function `(ctx)` that gives either, or a moment.

    The moment is judged by the database's clock. A duration of 0, or a moment that has passed, is no wait.
    """

    duration: Delay
    word = "DelayStep"

    def __init__(self, duration: Delay, **options: Unpack[WaitOptions]) -> None:
        if not callable(duration):
            duration = seconds(duration, "DelayStep: the duration")
        self._declare(Kind.DELAY, options, duration=duration)

    def refuse_wrong_functions(self, label: str) -> None:
        """Raise DeclarationInvalid where the duration or an option could not be called."""
        super().refuse_wrong_functions(label)
        if callable(self.duration):
            refuse_wrong_arity(self.duration, ("ctx",), f"{label}: step {self.name!r}: the duration")

    def until(self, ctx: Any) -> float | datetime:
        """Return the seconds to wait from now, or the moment to wait for. Raises DeclarationInvalid."""
        given = value_of(self.duration, ctx)
        what = f"What step {self.name!r} waits for"
        if not isinstance(given, datetime):
            return seconds(given, what)
        if given.tzinfo is None:
            message = f"{what} is a moment without a time zone, {given!r}: take django.utils.timezone.now()."
            raise DeclarationInvalid(message)
        return given


class EventStep(WaitStep[Any]):
    """Wait for an event from outside: one of this name under `key`, a value or a function `(ctx)`.

    Without a key only the token of the step itself brings it, see `ctx.event_token`. The result is the
    event's payload. One that does not come within `timeout` fails the step with `EventTimeout`.
    """

    event: str
    key: Any
    limit: float | None
    """Seconds to wait; None: for as long as it takes."""
    word = "EventStep"

    def __init__(
        self,
        event: str,
        *,
        key: Any | Unset = UNSET,
        timeout: Duration | None = None,
        **options: Unpack[WaitOptions],
    ) -> None:
        problem = event_name_problem(event)
        if problem:
            message = f"EventStep: the event {problem}."
            raise DeclarationInvalid(message)
        within = limit(timeout, "EventStep: timeout")
        self._declare(Kind.EVENT, options, event=event, key=key, limit=within)

    def refuse_wrong_functions(self, label: str) -> None:
        """Raise DeclarationInvalid where the key or an option could not be called."""
        super().refuse_wrong_functions(label)
        if callable(self.key):
            refuse_wrong_arity(self.key, ("ctx",), f"{label}: step {self.name!r}: key")

    def key_for(self, ctx: Any) -> Any:
        """Return the key of the event to wait for, as given; UNSET where only the step's token will do."""
        return UNSET if self.key is UNSET else value_of(self.key, ctx)


def event_name_problem(given: object) -> str:
    """Return what is wrong with the name of an event, in words that follow its noun; empty if nothing is."""
    if isinstance(given, str) and _EVENT_NAME.fullmatch(given) and len(given) <= LONGEST_EVENT_NAME:
        return ""
    return f"is named by letters, digits, _, . and -, at most {LONGEST_EVENT_NAME} of them, not {given!r}"
