"""Steps that wait for something outside the run: a time. Nobody holds a worker or a connection meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeAlias, TypeVar

from flowstate.exceptions import DeclarationInvalid
from flowstate.workflows.functions import refuse_wrong_arity, value_of
from flowstate.workflows.policies import Duration, refuse_unknown, seconds
from flowstate.workflows.step_options import WaitOptions, option_names
from flowstate.workflows.steps import Kind, Step

if TYPE_CHECKING:
    from typing import Unpack

Result = TypeVar("Result")

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
