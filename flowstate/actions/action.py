"""Action: what a model author declares, a workflow with its rules and how it looks from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import timedelta
from typing import Any, TypeAlias

from django.utils.module_loading import import_string

from flowstate.actions.rules import Rule, RuleFunction, all_of
from flowstate.exceptions import DeclarationInvalid
from flowstate.workflows import Step, Workflow
from flowstate.workflows.policies import Duration

RulesGiven: TypeAlias = Rule | RuleFunction | Iterable[Rule | RuleFunction] | None
LONGEST_HEAD_START = 86_400
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True, slots=True, eq=False)
class Action:
    """A workflow offered on a model: exactly one of `workflow`, `steps=` and `handler=`, and its rules.

    `workflow` is a class or, so that models need not import their workflows, its dotted path. `steps=` is a
    list of named steps. `handler=` is one step of that name, a function `(ctx)` whose ORM writes commit with
    the journal; `Step("handler", fn, ...)` says otherwise. `input=` and `output=` are serializer classes
    or dotted paths of them. Raises DeclarationInvalid for what can be seen to be wrong before anything is
    imported; the system checks see the rest.
    """

    workflow: type[Workflow] | str | None = None
    _: KW_ONLY
    steps: Sequence[Step] | None = None
    handler: Callable[..., Any] | Step | None = None
    rules: RulesGiven = None
    input: type[Any] | str | None = None
    output: type[Any] | str | None = None
    detail: bool = True
    methods: Sequence[str] = ("POST",)
    path: str | None = None
    summary: str = ""
    tags: Sequence[str] = ()
    priority: Duration = 0
    """Seconds, or a timedelta, that a queued run counts as having waited already: the longest waiting goes first."""
    errors: Mapping[type[Exception], int] = field(default_factory=dict)

    head_start: float = field(init=False, default=0.0)
    """`priority` in seconds."""

    rule: Rule | None = field(init=False, default=None)
    """All of `rules` as one; None where there are none, and then nobody passes."""

    built: dict[str, type[Workflow]] = field(init=False, repr=False, default_factory=dict)
    """The workflows made or imported so far, by action key."""

    def __post_init__(self) -> None:
        given = [name for name in ("workflow", "steps", "handler") if getattr(self, name) is not None]
        if len(given) != 1:
            problem = f"got {' and '.join(given)}" if given else "got none"
            message = f"An action takes exactly one of a workflow, steps= and handler=; it {problem}."
            raise DeclarationInvalid(message)
        _check_workflow(self.workflow)
        _check_handler(self.handler)
        _check_detail(self.detail)
        # A frozen dataclass can only be completed this way, as Django's own tasks do.
        complete = object.__setattr__
        complete(self, "steps", None if self.steps is None else _checked_steps(self.steps))
        complete(self, "rule", all_of(self.rules))
        complete(self, "methods", _checked_methods(self.methods))
        complete(self, "path", _checked_path(self.path))
        complete(self, "tags", _checked_tags(self.tags))
        complete(self, "head_start", _checked_priority(self.priority))
        complete(self, "errors", _checked_errors(self.errors))

    def workflow_for(self, key: str) -> type[Workflow]:
        """Return the workflow that runs under this action key, importing or making it the first time.

        Raises ImportError for a path that cannot be imported and DeclarationInvalid for one that leads to
        something else.
        """
        made = self.built.get(key)
        if made is None:
            # Two threads may both get here; both then use the class that came first.
            made = self.built.setdefault(key, self._make(key))
        return made

    def serializer(self, which: str) -> type[Any] | None:
        """Return the serializer class of "input" or "output"; ImportError where its path leads nowhere."""
        given: Any = getattr(self, which)
        found: type[Any] | None = import_string(given) if isinstance(given, str) else given
        return found

    def _make(self, key: str) -> type[Workflow]:
        if self.steps is not None:
            return Workflow.from_steps(key, list(self.steps))
        if self.handler is not None:
            return Workflow.from_steps(key, [_handler_step(self.handler)])
        found: Any = import_string(self.workflow) if isinstance(self.workflow, str) else self.workflow
        if not (isinstance(found, type) and issubclass(found, Workflow)):
            message = f"{key} names {self.workflow!r}, which is not a Workflow class but {found!r}."
            raise DeclarationInvalid(message)
        return found


def _handler_step(handler: Callable[..., Any] | Step) -> Step:
    if not isinstance(handler, Step):
        return Step("handler", handler, transactional=True)
    return handler


def _check_workflow(workflow: object) -> None:
    if workflow is None or (isinstance(workflow, type) and issubclass(workflow, Workflow)):
        return
    if isinstance(workflow, str) and all(part.isidentifier() for part in workflow.split(".")):
        if "." in workflow:
            return
        message = (
            f'An action names its workflow by a dotted path, as "shop.workflows.Checkout", not {workflow!r}.'
        )
        raise DeclarationInvalid(message)
    message = f"An action takes a Workflow class or its dotted path, not {workflow!r}."
    raise DeclarationInvalid(message)


def _check_handler(handler: object) -> None:
    if handler is None or callable(handler):
        return
    if isinstance(handler, Step):
        if handler.name == "handler":
            return
        message = f'The step of a handler is named "handler", not {handler.name!r}: Step("handler", fn, ...).'
        raise DeclarationInvalid(message)
    message = f'handler= takes a function (ctx) or Step("handler", fn, ...), not {handler!r}.'
    raise DeclarationInvalid(message)


def _check_detail(detail: object) -> None:
    if not isinstance(detail, bool):
        message = f"detail= is True (on a row) or False (on the collection), not {detail!r}."
        raise DeclarationInvalid(message)


def _checked_steps(steps: Any) -> tuple[Step, ...]:
    if isinstance(steps, Step) or not isinstance(steps, (list, tuple)):
        message = f"steps= takes a list of steps, not {steps!r}."
        raise DeclarationInvalid(message)
    if not steps:
        message = "steps= is empty: an action needs at least one step."
        raise DeclarationInvalid(message)
    return tuple(steps)


def _checked_methods(methods: Any) -> tuple[str, ...]:
    known = isinstance(methods, (list, tuple)) and all(method in METHODS for method in methods)
    if not known or not methods or len(set(methods)) < len(methods):
        message = f"methods= takes a list of some of {', '.join(METHODS)}, each once, not {methods!r}."
        raise DeclarationInvalid(message)
    return tuple(methods)


def _checked_path(path: Any) -> str | None:
    if path is None:
        return None
    if isinstance(path, str) and path and path.strip("/") == path:
        return path
    message = f'path= is a part of a URL without slashes at its ends, as "check-out", not {path!r}.'
    raise DeclarationInvalid(message)


def _checked_priority(given: Any) -> float:
    """Return the seconds of a head start. It cannot starve the others: they grow older too."""
    seconds = given.total_seconds() if isinstance(given, timedelta) else given
    fits = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if fits and 0 <= seconds <= LONGEST_HEAD_START:
        return float(seconds)
    message = (
        "priority= is how long a queued run counts as having waited already, from 0 to 86400 seconds or as a "
        f"timedelta, not {given!r}."
    )
    raise DeclarationInvalid(message)


def _checked_tags(tags: Any) -> tuple[str, ...]:
    if isinstance(tags, (list, tuple)) and all(isinstance(tag, str) for tag in tags):
        return tuple(tags)
    message = f"tags= takes a list of words, not {tags!r}."
    raise DeclarationInvalid(message)


def _checked_errors(errors: Any) -> dict[type[Exception], int]:
    if isinstance(errors, Mapping):
        fits = all(
            isinstance(error, type) and issubclass(error, Exception) and status in range(400, 600)
            for error, status in errors.items()
        )
        if fits:
            return dict(errors)
    message = f"errors= maps exception classes to HTTP statuses from 400 to 599, not {errors!r}."
    raise DeclarationInvalid(message)
