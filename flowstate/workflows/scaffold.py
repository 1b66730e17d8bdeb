"""Writes the source of an abstract workflow class as a diagram draws it: a method for each step, typed choices."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import NoReturn

from flowstate.exceptions import DiagramInvalid
from flowstate.workflows.mermaid import Need, Plan, PlannedStep, class_name, snake_case
from flowstate.workflows.policies import Retry
from flowstate.workflows.workflow import RESERVED

_LONGEST_LINE = 100


def scaffolded(plan: Plan, *, name: str, diagram: str) -> str:
    """Return the source of a module with the class `name` + "Base".

    `diagram` is the path of the diagram from that module. The same plan gives the same text. Raises DiagramInvalid
    for names that Python or Workflow could not have.
    """
    return "\n".join(_Scaffold(plan, name, diagram).lines()) + "\n"


class _Scaffold:
    """The lines of one module."""

    def __init__(self, plan: Plan, name: str, diagram: str) -> None:
        self.plan = plan
        self.name = name
        self.diagram = diagram
        self.methods = _methods((step.name, f"the step {step.name}") for step in plan.steps)
        choices = [step for step in plan.steps if step.options]
        self.attributes = _methods((step.choice, f"the choice {step.choice}") for step in choices)
        for step in choices:
            # A rhombus of a flowchart is the step itself, so its attribute needs a name of its own.
            if step.choice == step.name:
                self.attributes[step.choice] = f"{self.methods[step.name]}_choice"
        for drawn, attribute in self.attributes.items():
            if attribute in self.methods.values():
                _refuse(
                    f"the choice {drawn} and a step are both named {attribute} in Python; rename one of them."
                )

    def lines(self) -> Iterator[str]:
        choices = [step for step in self.plan.ordered if step.options]
        yield f'"""{self.name}, made of its diagram by `manage.py flowstate_scaffold`: derive from it, do not edit it."""'
        yield from ("", "from __future__ import annotations", "")
        yield from ("from abc import abstractmethod", "from typing import Any", "")
        yield f"from flowstate import {', '.join(self._imports())}"
        for step in choices:
            yield from ("", "", *self._choice(step))
        yield from ("", "", f"class {self.name}Base(Workflow):")
        yield '    """What the diagram draws; a subclass defines what each step does, as a method."""'
        yield from ("", f"    diagram = {_text(self.diagram)}")
        if choices:
            yield ""
        for step in choices:
            yield f"    {self.attributes[step.choice]} = {self._choice_class(step)}()"
        for step in self.plan.ordered:
            yield from ("", *self._method(step))

    def _imports(self) -> Iterator[str]:
        if any(step.options for step in self.plan.steps):
            yield from ("ChoiceStep", "Chosen")
        yield "Context"
        if any(step.retry for step in self.plan.steps):
            yield "Retry"
        yield "Workflow"
        if not all(step.options for step in self.plan.steps):
            yield "step"

    # --- choices -------------------------------------------------------------------------------

    def _choice_class(self, step: PlannedStep) -> str:
        return self.name + "".join(word.capitalize() for word in self.attributes[step.choice].split("_"))

    def _choice(self, step: PlannedStep) -> Iterator[str]:
        name = self.methods[step.name]
        yield f"class {self._choice_class(step)}:"
        yield f'    """What `{name}` may return; the steps behind it find the payload as `ctx.get("{name}")`."""'
        for option, method in self._options(step).items():
            yield ""
            yield f"    def {method}(self, payload: Any = None) -> Chosen:"
            yield f'        """Go on with {" and ".join(self._followers(step, option)) or "nothing"}."""'
            yield f"        return Chosen({_text(option)}, payload)"

    def _options(self, step: PlannedStep) -> dict[str, str]:
        return _methods((option, f"the option {option!r} of {step.choice}") for option in step.options)

    def _followers(self, step: PlannedStep, option: str) -> list[str]:
        need = Need(step.name, option)
        return [self.methods[other.name] for other in self.plan.ordered if need in other.needs]

    # --- steps ---------------------------------------------------------------------------------

    def _method(self, step: PlannedStep) -> Iterator[str]:
        given: dict[str, str | list[str]] = {"depends_on": self._needs(step)}
        if step.options:
            given = {"options": [_text(option) for option in step.options], **given}
        if step.retry is not None:
            given["retry"] = _retry(step.retry)
        yield from _called("ChoiceStep" if step.options else "step", given)
        yield "    @abstractmethod"
        name = self.methods[step.name]
        if not step.options:
            yield f"    def {name}(self, ctx: Context[Any]) -> Any: ..."
            return
        choice = f"self.{self.attributes[step.choice]}"
        first = next(iter(self._options(step).values()))
        yield f"    def {name}(self, ctx: Context[Any]) -> Chosen:"
        yield f'        """Return an option of `{choice}`, as `{choice}.{first}(payload)`."""'

    def _needs(self, step: PlannedStep) -> str | list[str]:
        needs = [
            f"{self.methods[need.step]}[{_text(need.option)}]" if need.option else self.methods[need.step]
            for need in step.needs
        ]
        return needs[0] if len(needs) == 1 else needs or "()"


def _called(decorator: str, given: dict[str, str | list[str]]) -> Iterator[str]:
    """Yield a decorator on one line, or if that were too long on one for each argument and item of a list."""
    short = {
        name: value if isinstance(value, str) else f"[{', '.join(value)}]" for name, value in given.items()
    }
    line = f"    @{decorator}({', '.join(f'{name}={value}' for name, value in short.items())})"
    if len(line) <= _LONGEST_LINE:
        yield line
        return
    yield f"    @{decorator}("
    for name, value in given.items():
        if isinstance(value, str):
            yield f"        {name}={value},"
        else:
            yield from (f"        {name}=[", *(f"            {item}," for item in value), "        ],")
    yield "    )"


def _retry(retry: Retry) -> str:
    usual = Retry()
    given = [str(retry.max_attempts)]
    given += [
        f"{name}={getattr(retry, name)!r}"
        for name in ("delay", "backoff", "max_delay", "jitter")
        if getattr(retry, name) != getattr(usual, name)
    ]
    return f"Retry({', '.join(given)})"


def _text(text: str) -> str:
    # A text of JSON is one of Python too: in double quotes, on one line.
    return json.dumps(text, ensure_ascii=False)


def _methods(drawn: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return each name as Python's, given with what it is the name of. Raises DiagramInvalid."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name, what in drawn:
        method = snake_case(name)
        if not method or method.startswith("__"):
            _refuse(f"{what} cannot be the name of a method in Python; rename it in the diagram.")
        if method in RESERVED:
            _refuse(
                f"{what} would be named {method} in Python, which belongs to Workflow; rename it in the diagram."
            )
        if method in taken:
            _refuse(f"{what} and another are both named {method} in Python; rename one of them.")
        taken.add(method)
        found[name] = method
    return found


def _refuse(message: str) -> NoReturn:
    raise DiagramInvalid(message)


def name_of(plan: Plan, otherwise: str) -> str:
    """Return what the class is called: as the diagram's title, or as its file. Raises DiagramInvalid."""
    name = class_name(plan.title or otherwise)
    if not name:
        _refuse(
            f"the title {plan.title or otherwise!r} cannot be the name of a class; give the diagram another."
        )
    return name
