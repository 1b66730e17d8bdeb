"""Choices: a step that picks one of its options, and what it means to follow one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from flowstate.exceptions import DeclarationInvalid, OptionUnknown
from flowstate.workflows.functions import name_of
from flowstate.workflows.policies import refuse_unknown
from flowstate.workflows.step_options import LONGEST_NAME, UNSET, ChoiceOptions, option_names
from flowstate.workflows.steps import Kind, Step

if TYPE_CHECKING:
    from typing import Unpack


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a choice, for `depends_on=`: `decide["left"]`."""

    choice: ChoiceStep
    option: str

    def __repr__(self) -> str:
        return f"{self.choice!r}[{self.option!r}]"


class Chosen(str):
    """An option with what the choice hands on: `return Chosen("left", {"weight": 3})` in a step `decide`.

    What follows finds it as `ctx.get("decide")`. It is stored with the choice, so it is what JSON makes of it.
    """

    __slots__ = ("payload",)

    payload: Any

    def __new__(cls, option: str, payload: Any = None) -> Self:
        """Return the option, which is a text like any other, with its payload."""
        chosen = super().__new__(cls, option)
        chosen.payload = payload
        return chosen


class ChoiceStep(Step[str]):
    """Picks one of its options: `ChoiceStep(fn, options=["left", "right"])`, where `fn` takes `(ctx)`.

    A step with `depends_on=decide["left"]` follows that option only; what follows another one is skipped.
    `@ChoiceStep(options=[...])` makes one of a method `(self, ctx)`. The result is the option. It is
    transactional, so that what it reads is read in the transaction that records the answer; whoever must ask
    the outside does so in a step before. Raises DeclarationInvalid.
    """

    options: tuple[str, ...]

    known_options: ClassVar[frozenset[str]] = option_names(ChoiceOptions)
    word = "ChoiceStep"

    def __init__(
        self,
        fn: Callable[[Any], str] | None = None,
        *,
        options: Iterable[str],
        **common: Unpack[ChoiceOptions],
    ) -> None:
        what = f"{self.word} {common.get('name') or name_of(fn) if fn else ''}".rstrip()
        _refuse_no_function(fn, what)
        refuse_unknown(what, common, self.known_options | {"options"})
        rest = {key: value for key, value in common.items() if key not in ("name", "compensate")}
        self._fill(what, common.get("name"), common.get("compensate"), rest)
        vars(self).update(fn=fn, kind=Kind.CHOICE, options=_checked_options(options, what))
        if self.default is not UNSET and not callable(self.default) and self.default not in self.options:
            message = (
                f"{what}: default is one of the options {', '.join(self.options)}, not {self.default!r}."
            )
            raise DeclarationInvalid(message)

    def __call__(self, method: Any, /) -> Self:
        """Decorate the method `(self, ctx)` that returns one of the options."""
        wrapped = isinstance(method, Step | staticmethod | classmethod)
        if self.fn is not None or wrapped or not callable(method):
            message = f"{self!r} decorates a plain method (self, ctx), once, not {method!r}."
            raise DeclarationInvalid(message)
        copy = object.__new__(type(self))
        vars(copy).update(vars(self), fn=method, takes_self=True, hint="is a method made a choice: it")
        vars(copy)["_origin"] = copy
        return copy

    def __getitem__(self, option: str, /) -> Option:
        """Return one option, for `depends_on=`. Raises DeclarationInvalid for one that does not exist."""
        if option not in self.options:
            message = f"{self!r} has no option {option!r}; its options are {', '.join(self.options)}."
            raise DeclarationInvalid(message)
        return Option(self, str(option))

    @property
    def writes(self) -> bool:
        """Whether it changes rows: it only reads."""
        return False

    def refuse_wrong_functions(self, label: str) -> None:
        """Raise DeclarationInvalid where a function of this step could not be called; `label` is the workflow."""
        if self.fn is None:
            message = (
                f"{label}: the choice {self.name!r} has no function that returns one of its options: "
                "ChoiceStep(fn, options=[...]), or decorate a method with it."
            )
            raise DeclarationInvalid(message)
        super().refuse_wrong_functions(label)

    def call(self, workflow: Any, ctx: Any) -> str:
        """Return the option that the function picks. Raises `OptionUnknown`, and what the function raises."""
        answer = super().call(workflow, ctx)
        option = self._checked(answer, "was answered by")
        if isinstance(answer, Chosen):
            ctx.set(self.name, answer.payload)
        return option

    def default_value(self, ctx: Any) -> Any:
        """Return the option that stands for the answer; UNSET where none was given. Raises `OptionUnknown`."""
        value = super().default_value(ctx)
        return value if value is UNSET else self._checked(value, "has the default")

    def _checked(self, answer: Any, verb: str) -> str:
        if isinstance(answer, str) and answer in self.options:
            return str(answer)
        message = f"The choice {self.name} {verb} {answer!r}; its options are {', '.join(self.options)}."
        raise OptionUnknown(message)


def _refuse_no_function(fn: object, what: str) -> None:
    if fn is not None and not callable(fn):
        message = f"{what} takes a function (ctx) that returns one of the options, not {fn!r}."
        raise DeclarationInvalid(message)


def _checked_options(given: object, what: str) -> tuple[str, ...]:
    names = tuple(given) if isinstance(given, list | tuple) else ()
    if len(names) < 2 or not all(_is_option(name) for name in names):
        message = (
            f"{what}: options are two names or more, as ['left', 'right'], each of at most {LONGEST_NAME} "
            f"characters without brackets, not {given!r}."
        )
        raise DeclarationInvalid(message)
    found = tuple(str(name) for name in names)
    for name in found:
        if found.count(name) > 1:
            message = f"{what}: options has {name!r} twice."
            raise DeclarationInvalid(message)
    return found


def _is_option(name: object) -> bool:
    text = isinstance(name, str) and len(name.strip()) > 0 and len(name) <= LONGEST_NAME
    return text and not set("[]").intersection(str(name))
