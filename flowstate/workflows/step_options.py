"""The options that steps have in common: their types, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypedDict

from flowstate.exceptions import DeclarationInvalid
from flowstate.workflows.policies import Duration, Retry

if TYPE_CHECKING:
    from flowstate.workflows.choices import Option
    from flowstate.workflows.steps import Step


class Unset(Enum):
    """The type of UNSET."""

    UNSET = "unset"

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET
"""Nothing was said; None says something."""

DependsOn: TypeAlias = "str | Step[Any] | Option | Iterable[str | Step[Any] | Option]"
Condition: TypeAlias = Callable[[Any], Any] | bool
OnConflict: TypeAlias = Literal["attention", "overwrite", "skip"]
Join: TypeAlias = Literal["all", "any"]
Undo: TypeAlias = Callable[..., Any] | Literal[False] | None

# The columns of the journal that hold these.
LONGEST_NAME: Final = 100
LONGEST_QUEUE: Final = 100
LONGEST_REASON: Final = 400

# Names with two underscores in front belong to Python.
_NAME = re.compile(r"(?!__)[^\W\d][\w-]*")


class StepOptions(TypedDict, total=False):
    """What every step takes."""

    depends_on: DependsOn
    retry: Retry | None
    timeout: Duration | None
    optional: bool
    when: Condition
    unless: Condition
    default: Any
    reason: str
    background: bool
    queue: str | None
    join: Join
    collect_errors: bool
    raises: Iterable[type[Exception]]
    unknown_on: Iterable[type[Exception]]
    sensitive: bool | Iterable[str]


class WaitOptions(TypedDict, total=False):
    """What a step that waits takes beside what is its own; how long it waits is not how long an attempt takes."""

    name: str
    depends_on: DependsOn
    retry: Retry | None
    optional: bool
    when: Condition
    unless: Condition
    default: Any
    reason: str
    background: bool
    queue: str | None
    join: Join
    collect_errors: bool
    raises: Iterable[type[Exception]]
    sensitive: bool | Iterable[str]
    compensate: Undo


class OnceOptions(TypedDict, total=False):
    """What a step takes that is not tried again, and whose time is not the engine's to limit."""

    name: str
    depends_on: DependsOn
    optional: bool
    when: Condition
    unless: Condition
    default: Any
    reason: str
    background: bool
    queue: str | None
    join: Join
    collect_errors: bool
    raises: Iterable[type[Exception]]
    sensitive: bool | Iterable[str]
    compensate: Undo


class ChildOptions(OnceOptions, total=False):
    """What a step that runs a child takes beside what is its own; its steps are what is tried again."""


class ApprovalOptions(OnceOptions, total=False):
    """What a step that people decide takes beside what is its own; a decision is not tried again."""


class FunctionOptions(StepOptions, total=False):
    """What a step that calls a function takes."""

    transactional: bool


class DecoratorOptions(FunctionOptions, total=False):
    """What `@step` takes."""

    name: str
    compensate: Undo


class EntityOptions(StepOptions, total=False):
    """What an entity step takes beside what is its own."""

    name: str
    compensate: Undo
    on_conflict: OnConflict


class ChoiceOptions(StepOptions, total=False):
    """What a choice takes beside its function and its options."""

    name: str
    compensate: Undo


class FirstOptions(TypedDict, total=False):
    """What a race takes beside its steps."""

    name: str
    optional: bool
    when: Condition
    unless: Condition
    reason: str


def option_names(options: Any) -> frozenset[str]:
    """Return the names of the options, as users write them."""
    return frozenset(options.__annotations__)


def checked_name(given: object, what: str) -> str:
    """Return a step's name, empty for None. Raises DeclarationInvalid for one that the journal could not hold."""
    if given is None:
        return ""
    if isinstance(given, str) and _NAME.fullmatch(given) and len(given) <= LONGEST_NAME:
        return given
    message = (
        f"{what}: a step's name is a letter or _, then letters, digits, _ and -, "
        f"at most {LONGEST_NAME} in all, not {given!r}."
    )
    raise DeclarationInvalid(message)


def checked_undo(given: Any, what: str) -> Undo:
    """Return `compensate=`. Raises DeclarationInvalid for anything but a function, False and None."""
    if given is None or given is False or callable(given):
        return given  # type: ignore[no-any-return]  # callable() narrows Any to Any
    message = f"{what}: compensate is a function (ctx, result) or False, not {given!r}."
    raise DeclarationInvalid(message)


def checked_on_conflict(given: object, what: str) -> OnConflict:
    """Return what becomes of an undo that would overwrite a foreign value. Raises DeclarationInvalid."""
    if given in ("attention", "overwrite", "skip"):
        return given
    message = f"{what} is 'attention', 'overwrite' or 'skip', not {given!r}."
    raise DeclarationInvalid(message)


def checked_retry(given: object, what: str) -> Retry | None:
    """Return the policy. Raises DeclarationInvalid for anything else, a bare number too."""
    if given is None or isinstance(given, Retry):
        return given
    message = f"{what} is a Retry, as Retry(max_attempts=3), not {given!r}."
    raise DeclarationInvalid(message)


def checked_condition(given: Any, what: str) -> Condition | Unset:
    """Return `when=` or `unless=`. Raises DeclarationInvalid for anything but a function, True and False."""
    if isinstance(given, bool | Unset) or callable(given):
        return given  # type: ignore[no-any-return]  # callable() narrows Any to Any
    message = f"{what} is a function (ctx), True or False, not {given!r}."
    raise DeclarationInvalid(message)


def checked_join(given: object, what: str) -> Join:
    """Return whether all or any of the steps before must be done. Raises DeclarationInvalid."""
    if given in ("all", "any"):
        return given
    message = f'{what} is "all" or "any", not {given!r}.'
    raise DeclarationInvalid(message)


def checked_queue(given: object, what: str) -> str | None:
    """Return the queue's name or None. Raises DeclarationInvalid."""
    if given is None or (isinstance(given, str) and given.strip() and len(given) <= LONGEST_QUEUE):
        return given
    message = f"{what} is the name of a Celery queue, at most {LONGEST_QUEUE} characters, not {given!r}."
    raise DeclarationInvalid(message)


def checked_reason(given: object, what: str) -> str:
    """Return why a step may be skipped, for people. Raises DeclarationInvalid."""
    if isinstance(given, str) and len(given) <= LONGEST_REASON:
        return given
    message = f"{what} is a text of at most {LONGEST_REASON} characters, not {given!r}."
    raise DeclarationInvalid(message)


def checked_sensitive(given: object, what: str) -> bool | tuple[str, ...]:
    """Return what must not be shown: True for all, or names. Raises DeclarationInvalid."""
    if isinstance(given, bool):
        return given
    if isinstance(given, list | tuple | set | frozenset) and all(isinstance(name, str) for name in given):
        return tuple(sorted(given))
    message = f"{what} is True or a list of the keys to hide, not {given!r}."
    raise DeclarationInvalid(message)
