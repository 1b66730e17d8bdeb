"""FunctionContext: what a workflow that is a function is given, and how it asks for its steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypedDict, TypeVar, overload

from flowstate.exceptions import DeclarationInvalid
from flowstate.workflows.approvals import ApprovalStep, Approvers, OnExpiry, OnReject
from flowstate.workflows.compensations import Compensation
from flowstate.workflows.context import Call, Context, Entity, Source
from flowstate.workflows.entities import EntityStep
from flowstate.workflows.functions import refuse_wrong_arity
from flowstate.workflows.policies import Duration, Retry, refuse_unknown
from flowstate.workflows.shown import Show
from flowstate.workflows.step_options import UNSET, Undo, checked_name, option_names
from flowstate.workflows.steps import Kind, Step
from flowstate.workflows.waits import DelayStep

if TYPE_CHECKING:
    from typing import Unpack

Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)

FUNCTION: Final = "function"
"""The name of the row that stands for the function itself."""

SLEEP: Final = "sleep"


class AskOptions(TypedDict, total=False):
    """What a step takes that a function asks for; whether and when it begins says the function itself."""

    compensate: Undo
    retry: Retry | None
    timeout: Duration | None
    optional: bool
    default: Any
    background: bool
    queue: str | None
    transactional: bool
    raises: Iterable[type[Exception]]
    unknown_on: Iterable[type[Exception]]
    sensitive: bool | Iterable[str]


class Branch(Generic[Result_co]):
    """A step as a function asks for it. What it says is looked at when it is new: mostly it has long ended."""

    __slots__ = ("args", "fn", "kind", "name", "options")

    def __init__(self, name: str, fn: Any, args: Sequence[Any], options: Any, kind: Kind) -> None:
        self.name = name
        self.fn = fn
        self.args = args
        self.options = options
        self.kind = kind

    def declared(self) -> Step[Any]:
        """Return the step. Raises DeclarationInvalid for what cannot work."""
        if self.kind is Kind.DELAY:
            name = _checked_own_name(self.name)
            return DelayStep(self.fn).bound(name, (), {}, None)
        if self.kind is Kind.APPROVAL:
            return _asked_approval(self.name, self.options)
        if isinstance(self.fn, EntityStep):
            return _asked_rows(self.name, self.fn, self.args or self.options)
        return _asked_step(self.name, self.fn, self.args, self.options)


class ApprovalAskOptions(TypedDict, total=False):
    """What an approval takes that a function asks for, as `ApprovalStep` does."""

    approvers: Approvers | None
    approver_users: Callable[[Any], Any] | None
    quorum: int | Literal["all"]
    four_eyes: bool
    show: Show
    form: type[Any] | None
    expires: Duration | None
    on_expiry: OnExpiry
    escalate_to: Approvers | None
    reminders: Iterable[Duration]
    on_reject: OnReject
    recheck: bool
    ask_again: bool
    optional: bool
    default: Any
    raises: Iterable[type[Exception]]
    sensitive: bool | Iterable[str]


Ask = Callable[[Sequence[Branch[Any]]], list[Any]]
"""Gives the results of steps; interrupts the function where there are none yet."""


class FunctionContext(Context[Entity]):
    """What a function with `@workflow` is given: all that `Context` has, and the means to ask for steps.

    The function is called from its start again whenever a step it asked for has ended; steps that ended before
    give what the journal holds of them. So what it does between its steps must be the same in each call: what
    depends on the time, on chance, on rows or on the outside belongs into a step.
    """

    def __init__(self, call: Call, source: Source, ask: Ask) -> None:
        super().__init__(call, source)
        self._ask = ask
        self._sleeps = 0

    @overload
    def step(self, name: str, rows: EntityStep, /) -> dict[str, Any]: ...

    @overload
    def step(
        self, name: str, fn: Callable[..., Result], /, *args: Any, **options: Unpack[AskOptions]
    ) -> Result: ...

    def step(self, name: str, fn: Any, /, *args: Any, **options: Any) -> Any:
        """Return what `fn(ctx, *args)` returns, as the journal holds it: called now, or in an earlier call.

        Instead of a function a `CreateStep`, `UpdateStep` or `DeleteStep` will do, whose inverse is derived.
        `fn` gets a context of its own, with the key, the attempt and the heartbeat of this step. A failure for
        good ends the run, as in a class; of an `optional=True` step the result is then its `default`.
        """
        [result] = self._ask((self.branch(name, fn, *args, **options),))
        return result

    @overload
    def branch(self, name: str, rows: EntityStep, /) -> Branch[dict[str, Any]]: ...

    @overload
    def branch(
        self, name: str, fn: Callable[..., Result], /, *args: Any, **options: Unpack[AskOptions]
    ) -> Branch[Result]: ...

    def branch(self, name: str, fn: Any, /, *args: Any, **options: Any) -> Branch[Any]:
        """Return a step for `ctx.parallel`, as `ctx.step` would take it; it is not asked for yet."""
        if isinstance(fn, EntityStep):
            return Branch(name, fn, args, options, fn.kind)
        kind = Kind.TRANSACTIONAL if options.get("transactional") else Kind.EXTERNAL
        return Branch(name, fn, args, options, kind)

    def parallel(self, *branches: Branch[Any]) -> list[Any]:
        """Return the results of several steps in their order, once all have ended; several workers share them."""
        for given in branches:
            known: object = given
            if not isinstance(known, Branch):
                message = f'ctx.parallel takes branches, as ctx.branch("charge", charge), not {known!r}.'
                raise DeclarationInvalid(message)
        return self._ask(branches) if branches else []

    def sleep(self, duration: Duration | datetime, *, name: str | None = None) -> None:
        """Wait for seconds, a timedelta, or until a moment; nobody holds a worker meanwhile.

        Without a name the sleeps of a function are named sleep, sleep-2, sleep-3 in their order.
        """
        self._sleeps += 1
        default = SLEEP if self._sleeps == 1 else f"{SLEEP}-{self._sleeps}"
        moment: Any = (lambda _ctx: duration) if isinstance(duration, datetime) else duration
        self._ask((Branch(name or default, moment, (), {}, Kind.DELAY),))

    def approval(self, name: str, **options: Unpack[ApprovalAskOptions]) -> dict[str, Any]:
        """Wait until people have decided, and return what they did; `options` are those of `ApprovalStep`.

        A rejection fails the step, and so the run, unless `on_reject="continue"`: then look at `approved`.
        """
        [decision] = self._ask((Branch(name, None, (), options, Kind.APPROVAL),))
        found: dict[str, Any] = decision
        return found


class _WithArguments:
    """A function of a step with the arguments that it was asked for with, after the context."""

    __slots__ = ("args", "fn")

    def __init__(self, fn: Callable[..., Any], args: Sequence[Any]) -> None:
        self.fn = fn
        self.args = args

    def __call__(self, ctx: Any) -> Any:
        return self.fn(ctx, *self.args)


def _asked_rows(name: str, step: EntityStep, more: object) -> Step[Any]:
    _checked_own_name(name)
    if more:
        message = (
            f"The step {name!r} takes its options where it is made: {step!r} is a step already, not {more!r}."
        )
        raise DeclarationInvalid(message)
    given = (step.after, step.when, step.unless)
    if step.given_name not in ("", name) or any(option is not UNSET for option in given):
        message = (
            f"The step {name!r} has its name from the function, and whether and when it begins says the function: "
            f"{step!r} takes no name=, depends_on=, when= and unless= here."
        )
        raise DeclarationInvalid(message)
    undo = Compensation(fn=step.undo) if callable(step.undo) else None
    return step.bound(name, (), {}, undo)


def _asked_approval(name: str, options: Any) -> Step[Any]:
    refuse_unknown(f"The approval {name!r}", options, option_names(ApprovalAskOptions))
    checked = _checked_own_name(name)
    return ApprovalStep(name=checked, **options).bound(checked, (), {}, None)


def _checked_own_name(name: str) -> str:
    if name == FUNCTION:
        message = f"The step {name!r} cannot have this name: it is that of the function itself."
        raise DeclarationInvalid(message)
    return checked_name(name, f"The step {name!r}")


def _asked_step(name: str, fn: Callable[..., Any], args: Sequence[Any], options: Any) -> Step[Any]:
    """Return a step as it is asked for. Raises DeclarationInvalid for what cannot work."""
    given: object = fn
    if not callable(given):
        message = (
            f"ctx.step takes a name, then a function, as ctx.step('charge', charge), not ({name!r}, {fn!r})."
        )
        raise DeclarationInvalid(message)
    what = f"The step {name!r}"
    _checked_own_name(name)
    refuse_unknown(what, options, option_names(AskOptions))
    undo = options.get("compensate")
    rest = {key: given for key, given in options.items() if key != "compensate"}
    step = Step(name, _WithArguments(fn, args), undo, **rest)
    return step.bound(name, (), {}, Compensation(fn=undo) if callable(undo) else None)


def refuse_wrong_calls(step: Step[Any]) -> None:
    """Raise DeclarationInvalid where a function of the step could not be called as it was asked for."""
    if step.kind is Kind.APPROVAL or isinstance(step, EntityStep):
        step.refuse_wrong_functions("A function")
    what = f"The step {step.name!r}"
    if isinstance(step.fn, _WithArguments):
        arguments = ("ctx", *(f"argument_{number + 1}" for number in range(len(step.fn.args))))
        refuse_wrong_arity(step.fn.fn, arguments, f"{what} is called with its context and what was given: it")
    if step.compensation is not None:
        refuse_wrong_arity(step.compensation.fn, ("ctx", "result"), f"{what}: its compensation")
    if callable(step.default):
        refuse_wrong_arity(step.default, ("ctx",), f"{what}: default")
