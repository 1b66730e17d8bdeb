"""Steps: one unit of work in a workflow, as written and, once a class is made of it, as bound there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Never, NoReturn, Self, TypeVar, overload

from flowstate.exceptions import DeclarationInvalid
from flowstate.workflows.compensations import Compensation, mark_as_compensation
from flowstate.workflows.functions import call, name_of, refuse_wrong_arity, value_of
from flowstate.workflows.policies import Retry, exceptions, flag, limit, refuse_unknown
from flowstate.workflows.step_options import (
    UNSET,
    Condition,
    DecoratorOptions,
    DependsOn,
    FunctionOptions,
    Join,
    Undo,
    Unset,
    checked_condition,
    checked_join,
    checked_name,
    checked_queue,
    checked_reason,
    checked_retry,
    checked_sensitive,
    checked_undo,
    option_names,
)

if TYPE_CHECKING:
    from typing import Unpack

    from typing_extensions import TypeVar as TypeVarWithDefault

    # A bare `Step` is a step that returns anything.
    Result_co = TypeVarWithDefault("Result_co", covariant=True, default=Any)
else:
    from typing import Unpack

    Result_co = TypeVar("Result_co", covariant=True)

__all__ = ["UNSET", "Kind", "MethodStep", "Step", "step"]

Method = TypeVar("Method", bound=Callable[..., Any])


class Kind(StrEnum):
    """What the engine does with a step."""

    # Calls a function outside any transaction, between two commits.
    EXTERNAL = "external"
    # Calls a function whose ORM writes commit together with the journal row.
    TRANSACTIONAL = "transactional"
    # Inserts rows; the inverse deletes them.
    CREATE = "create"
    # Changes rows; the inverse restores them.
    UPDATE = "update"
    # Deletes rows; the inverse brings them back.
    DELETE = "delete"
    # Waits for a time.
    DELAY = "delay"
    # Is done as soon as one of the steps is that it waits for.
    FIRST = "first"
    # Calls a function that picks one of the options; what follows the others is skipped.
    CHOICE = "choice"
    # Waits for an event from outside.
    EVENT = "event"
    # Waits for people to decide.
    APPROVAL = "approval"
    # Runs another workflow as a child run, and waits for its end.
    WORKFLOW = "workflow"
    # The function that a workflow is, which asks for its steps while it is called.
    FUNCTION = "function"


class Step(Generic[Result_co]):
    """One unit of work that calls a function: `Step("name", fn, compensate=None, **options)`.

    `fn` takes `(ctx)`, the compensation `(ctx, result)`. In a class the attribute is the name. A step is
    immutable; making a class of it binds a copy, so that one declaration may stand in several workflows.
    On the class the attribute is the step, on an instance its function. Raises DeclarationInvalid for options
    that do not exist or cannot work.
    """

    kind: Kind
    name: str
    """Final once bound; before that as written, empty where it is left to the class."""
    fn: Callable[..., Result_co] | None
    given_name: str
    """As written; empty where the attribute is the name."""
    depends_on: tuple[str, ...]
    """The names this step waits for, in declared order; empty until bound."""
    branches: Mapping[str, tuple[str, ...]]
    """For each choice that it waits for, the options that it follows; empty until bound."""
    after: DependsOn | Unset
    """`depends_on=` as written."""
    retry: Retry | None
    timeout: float | None
    """Seconds that one attempt may take; None leaves it to the settings."""
    optional: bool
    background: bool
    join: Join
    """Whether it begins when all it waits for has settled, or as soon as one of them is done."""
    collect_errors: bool
    """Whether it waits for all before it, failed or not, and then fails with all their errors."""
    queue: str | None
    when: Condition | Unset
    unless: Condition | Unset
    default: Any
    reason: str
    raises: tuple[type[Exception], ...]
    unknown_on: tuple[type[Exception], ...]
    sensitive: bool | tuple[str, ...]
    undo: Undo
    """`compensate=` as written: a function, False for none, None where nothing was said."""
    compensation: Compensation | None
    """What undoes this step, once bound; None too where the inverse is derived."""

    known_options: ClassVar[frozenset[str]] = option_names(FunctionOptions)
    takes_self: ClassVar[bool] = False
    word: ClassVar[str] = "Step"
    hint: ClassVar[str] = ""

    def __init__(
        self,
        name: str | None = None,
        fn: Callable[[Any], Result_co] | None = None,
        compensate: Undo = None,
        **options: Unpack[FunctionOptions],
    ) -> None:
        _refuse_no_function(self.word, name, fn)
        what = f"{self.word} {name or name_of(fn)}"
        refuse_unknown(what, options, self.known_options)
        transactional = flag(options.get("transactional", False), f"{what}: transactional")
        self._fill(what, name, compensate, options)
        vars(self).update(fn=fn, kind=Kind.TRANSACTIONAL if transactional else Kind.EXTERNAL)

    def _fill(self, what: str, name: str | None, undo: Undo, options: Any) -> None:
        given_name = checked_name(name, what)
        vars(self).update(
            name=given_name,
            given_name=given_name,
            undo=checked_undo(undo, what),
            compensation=None,
            depends_on=(),
            branches={},
            after=options.get("depends_on", UNSET),
            retry=checked_retry(options.get("retry"), f"{what}: retry"),
            timeout=limit(options.get("timeout"), f"{what}: timeout"),
            optional=flag(options.get("optional", False), f"{what}: optional"),
            background=flag(options.get("background", False), f"{what}: background"),
            join=checked_join(options.get("join", "all"), f"{what}: join"),
            collect_errors=flag(options.get("collect_errors", False), f"{what}: collect_errors"),
            queue=checked_queue(options.get("queue"), f"{what}: queue"),
            when=checked_condition(options.get("when", UNSET), f"{what}: when"),
            unless=checked_condition(options.get("unless", UNSET), f"{what}: unless"),
            default=options.get("default", UNSET),
            reason=checked_reason(options.get("reason", ""), f"{what}: reason"),
            raises=exceptions(options.get("raises", ()), f"{what}: raises"),
            unknown_on=exceptions(options.get("unknown_on", ()), f"{what}: unknown_on"),
            sensitive=checked_sensitive(options.get("sensitive", False), f"{what}: sensitive"),
            _origin=self,
        )

    # --- immutable, and copied where it is bound -----------------------------------------------

    def __setattr__(self, name: str, value: object) -> NoReturn:
        message = f"{self!r} is immutable: declare another step instead of setting {name}."
        raise AttributeError(message)

    def __delattr__(self, name: str) -> NoReturn:
        message = f"{self!r} is immutable: {name} cannot be deleted."
        raise AttributeError(message)

    def bound(
        self,
        name: str,
        depends_on: tuple[str, ...],
        branches: Mapping[str, tuple[str, ...]],
        compensation: Compensation | None,
    ) -> Self:
        """Return a copy with its final name, dependencies and compensation."""
        copy = object.__new__(type(self))
        vars(copy).update(
            vars(self), name=name, depends_on=depends_on, branches=branches, compensation=compensation
        )
        return copy

    def standing(self, name: str, *, depends_on: DependsOn, retry: Retry | None) -> Self:
        """Return a copy with the name, the dependencies and the retry that a diagram gives it, not yet bound."""
        copy = object.__new__(type(self))
        vars(copy).update(vars(self), name=name, after=depends_on, retry=retry)
        return copy

    def filled(self, fn: Callable[..., Any]) -> Self:
        """Return a copy of an abstract step that calls this method, not yet bound; all else is inherited."""
        copy = object.__new__(type(self))
        undo = False if self.undo is False else None
        vars(copy).update(vars(self), fn=fn, after=UNSET, undo=undo, compensation=None)
        return copy

    def instead_of(self, abstract: Step[Any]) -> Self:
        """Return this step as it stands over an abstract one: tried like that, unless it says so itself."""
        if self.retry is not None or abstract.retry is None:
            return self
        copy = object.__new__(type(self))
        vars(copy).update(vars(self), retry=abstract.retry)
        return copy

    def is_copy_of(self, other: Step[Any]) -> bool:
        """Return whether both were written as one step."""
        mine, others = vars(self)["_origin"], vars(other)["_origin"]
        return mine is others

    def __repr__(self) -> str:
        unnamed = f"of {name_of(self.fn)}" if self.fn else "without a name"
        return f"<{type(self).__name__} {self.name or unnamed}>"

    @overload
    def __get__(self, instance: None, owner: type, /) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type | None = None, /) -> Callable[[Any], Result_co]: ...

    def __get__(self, instance: object | None, owner: type | None = None, /) -> Any:
        if instance is None or self.fn is None:
            return self
        return self.fn.__get__(instance, owner) if self.takes_self else self.fn

    # --- what it is --------------------------------------------------------------------------------

    @property
    def abstract(self) -> bool:
        """Whether what it does is left to a subclass: its method is an `@abstractmethod`."""
        return bool(getattr(self.fn, "__isabstractmethod__", False))

    @property
    def external(self) -> bool:
        """Whether it works outside any transaction, so that an attempt's outcome may stay unknown."""
        return self.kind is Kind.EXTERNAL

    @property
    def transactional(self) -> bool:
        """Whether its effects commit together with its journal row."""
        return not self.external

    @property
    def waits(self) -> bool:
        """Whether it is for something outside the run to say when it is done."""
        return False

    @property
    def tells_what_came(self) -> bool:
        """Whether it is known what the end of its wait means."""
        return True

    @property
    def writes(self) -> bool:
        """Whether it is there to change rows, as far as its kind tells."""
        return self.transactional

    @property
    def undone_by_run(self) -> bool:
        """Whether a run of its own undoes it."""
        return False

    @property
    def derives_inverse(self) -> bool:
        """Whether undoing it is derived from what it wrote."""
        return self.fn is None and self.compensation is None and self.undo is not False

    @property
    def compensable(self) -> bool:
        """Whether something undoes it."""
        return self.compensation is not None or self.derives_inverse

    # --- declaring -----------------------------------------------------------------------------

    @overload
    def compensate(self, fn: Method, /) -> Method: ...

    @overload
    def compensate(self, /, *, retry: Retry | None = None) -> Callable[[Method], Method]: ...

    def compensate(self, fn: Any = None, /, *, retry: Retry | None = None, **unknown: Never) -> Any:
        """Decorate the method `(self, ctx, result)` that undoes this step. It stays a plain method.

        `retry` is the compensation's own policy. `result` is None where the step's outcome is unknown.
        """
        refuse_unknown(f"compensate of {self!r}", unknown, {"retry"})
        checked_retry(retry, f"compensate of {self!r}: retry")
        if fn is None:
            return lambda method: mark_as_compensation(method, self, retry)
        return mark_as_compensation(fn, self, retry)

    def refuse_wrong_functions(self, label: str) -> None:
        """Raise DeclarationInvalid where a function of this step could not be called; `label` is the workflow."""
        what = f"{label}: step {self.name!r}"
        if self.fn is not None:
            arguments = ("self", "ctx") if self.takes_self else ("ctx",)
            refuse_wrong_arity(self.fn, arguments, f"{what} {self.hint}".rstrip())
        for option, given in (("when", self.when), ("unless", self.unless), ("default", self.default)):
            if callable(given):
                refuse_wrong_arity(given, ("ctx",), f"{what}: {option}")

    # --- calling -------------------------------------------------------------------------------

    def call(self, workflow: Any, ctx: Any) -> Any:
        """Return what the function returns, an `async def` run to its end. Raises what it raises."""
        if self.fn is None:
            message = f"{self!r} has no function: the engine writes its rows."
            raise TypeError(message)
        return call(self.fn, workflow, ctx) if self.takes_self else call(self.fn, ctx)

    def call_compensation(self, workflow: Any, ctx: Any, result: Any) -> None:
        """Undo: `result` is what the step returned, None where that is unknown. Raises what it raises."""
        if self.compensation is None:
            message = f"{self!r} has no compensation to call."
            raise TypeError(message)
        self.compensation.call(workflow, ctx, result)

    def condition(self, workflow: Any, ctx: Any) -> str | None:
        """Return why this step is skipped, or None to go on. Raises what a condition raises."""
        for word, given, wanted in (("when", self.when, True), ("unless", self.unless, False)):
            if given is UNSET or bool(value_of(given, ctx)) is wanted:
                continue
            why = f"{word} is {str(not wanted).lower()}"
            return f"{why}: {self.reason}" if self.reason else why
        return None

    def default_value(self, ctx: Any) -> Any:
        """Return the value that stands for the result of a skipped step, a copy; UNSET where none was given."""
        return UNSET if self.default is UNSET else value_of(self.default, ctx)


class MethodStep(Step[Result_co]):
    """What `@step` makes of a method: the function takes `(self, ctx)`."""

    takes_self = True
    word = "@step"
    hint = "is a method made with @step: it"


@overload
def step(fn: Callable[[Any, Any], Result_co], /) -> Step[Result_co]: ...


@overload
def step(
    **options: Unpack[DecoratorOptions],
) -> Callable[[Callable[[Any, Any], Result_co]], Step[Result_co]]: ...


def step(fn: Any = None, /, **options: Any) -> Any:
    """Make a step of a method `(self, ctx)`: `@step`, or `@step(retry=..., timeout=...)`.

    External by default; with `transactional=True` its ORM writes commit with the journal row.
    """
    refuse_unknown("@step", options, option_names(DecoratorOptions))
    if fn is None:
        return lambda method: _step_of(method, **options)
    return _step_of(fn, **options)


def _step_of(
    method: Any, *, name: str | None = None, compensate: Undo = None, **options: Any
) -> MethodStep[Any]:
    if isinstance(method, staticmethod | classmethod | Step) or not callable(method):
        message = f"@step decorates a plain method (self, ctx), not {method!r}."
        raise DeclarationInvalid(message)
    return MethodStep(name, method, compensate, **options)


def _refuse_no_function(word: str, name: object, fn: object) -> None:
    if callable(fn) and not callable(name):
        return
    said = ", ".join(repr(given) for given in (name, fn) if given is not None)
    message = f"{word} takes a name, then a function, as Step('charge', charge), not ({said})."
    raise DeclarationInvalid(message)
