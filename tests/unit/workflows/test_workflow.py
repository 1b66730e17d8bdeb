"""Workflow classes: hooks, names that are taken, and what a class body may not lose."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from flowstate import Step, Workflow, step
from flowstate.workflows.functions import call
from flowstate.workflows.workflow import HOOKS
from tests.unit.workflows.refusals import flow_of, free, nothing, refused


def test_a_declaration_shows_the_whole_workflow() -> None:
    class Flow(Workflow):
        a = free()
        b = free()

        def on_complete(self, run: Any) -> None: ...

        async def output(self, ctx: Any) -> str:
            return "value"

    declaration = Flow.declaration

    assert [step.name for step in declaration.steps] == list(declaration.by_name) == ["a", "b"]
    assert declaration.hooks == {"on_complete", "output"}
    assert declaration.by_name["a"] is Flow.a
    assert call(Flow().output, None) == "value"
    with pytest.raises(TypeError):
        declaration.by_name["c"] = Flow.a  # type: ignore[index]
    with pytest.raises(AttributeError):
        declaration.steps = ()  # type: ignore[misc]


def test_every_hook_may_be_left_out() -> None:
    class Flow(Workflow):
        a = free()

    assert Flow.declaration.hooks == frozenset()
    for hook, arguments in HOOKS.items():
        if hook != "output":
            getattr(Flow(), hook)(*arguments)
    assert Flow().should_run(None)  # type: ignore[arg-type]


def test_a_method_that_is_almost_a_hook_is_refused() -> None:
    said = refused(
        lambda: flow_of({"a": free(), "on_sucess": lambda self, run: None, "on_complet": lambda self: 0})
    )

    assert said == "shop.Flow: on_complet is no hook and would never be called; did you mean on_complete?"


@pytest.mark.parametrize("hook", sorted(HOOKS))
def test_a_hook_of_other_arity_is_refused(hook: str) -> None:
    def wrong(self: Any) -> None: ...

    said = refused(lambda: flow_of({"a": free(), hook: wrong}))

    assert said == (
        f"shop.Flow: the hook {hook} takes (self, {', '.join(HOOKS[hook])}), but wrong takes (self)."
    )


def test_a_hook_that_is_no_function_is_refused() -> None:
    def wrong() -> None:
        class Flow(Workflow):
            on_complete = None  # type: ignore[assignment]

    assert refused(wrong) == "Flow: the hook on_complete is a function (self, run), not None."


@pytest.mark.parametrize(
    "name", [*HOOKS, "run", "enqueue", "arun", "aenqueue", "from_steps", "input", "declaration", "Meta"]
)
def test_names_of_hooks_and_of_workflow_itself_are_refused(name: str) -> None:
    why = f"{name!r} belongs to Workflow and cannot be the name of a step."

    assert refused(lambda: Workflow.from_steps("flow", [Step(name, nothing)])) == f"flow: {why}"


def test_another_explicit_name_is_refused() -> None:
    def other() -> None:
        class Flow(Workflow):
            @step(name="pay")
            def charge(self, ctx: Any) -> None: ...

    class Same(Workflow):
        @step(name="charge")
        def charge(self, ctx: Any) -> None: ...

    assert refused(other) == (
        "Flow: the step 'charge' is also named 'pay'; in a class the attribute is the name."
    )
    assert Same.charge.name == "charge"


def test_a_second_step_of_a_name_is_refused() -> None:
    """P12."""

    def twice() -> None:
        class Flow(Workflow):
            @step
            def charge(self, ctx: Any) -> None: ...

            @step  # type: ignore[no-redef]
            def charge(self, ctx: Any) -> None: ...  # noqa: F811 - the mistake

    assert refused(twice) == "Flow: two steps are named 'charge'."


def test_a_step_that_is_overwritten_is_refused() -> None:
    def overwritten() -> None:
        class Flow(Workflow):
            @step
            def charge(self, ctx: Any) -> None: ...

            charge = 5  # type: ignore[assignment]  # noqa: F811 - the mistake

    assert refused(overwritten) == "Flow: the step 'charge' is overwritten further down in the class by 5."


@pytest.mark.parametrize("wrap", [staticmethod, classmethod, property])
def test_a_step_under_another_decorator_is_refused(wrap: Any) -> None:
    def wrapped() -> None:
        class Flow(Workflow):
            charge = wrap(step(lambda self, ctx: None))

    assert refused(wrapped) == (
        f"Flow: the step 'charge' is wrapped in a {wrap.__name__}: "
        "@step must be the outermost decorator, and of a plain method."
    )


def test_a_step_under_a_function_that_wraps_it_is_refused() -> None:
    charge: Any = step(lambda self, ctx: None)

    @functools.wraps(charge)
    def logged(self: Any, ctx: Any) -> None: ...

    def wrapped() -> None:
        class Flow(Workflow):
            charge = logged

    assert "Flow: the step 'charge' is wrapped in a function" in refused(wrapped)


def test_steps_of_other_arity_are_refused() -> None:
    def method() -> None:
        class Flow(Workflow):
            @step  # type: ignore[arg-type]
            def charge(self) -> None: ...

    def function() -> None:
        class Flow(Workflow):
            charge = Step(fn=lambda self, ctx: None)  # type: ignore[misc, arg-type]

    assert refused(method) == (
        "Flow: step 'charge' is a method made with @step: it takes (self, ctx), but Flow.charge takes (self)."
    )
    assert refused(function) == "Flow: step 'charge' takes (ctx), but Flow.<lambda> takes (self, ctx)."


def test_a_step_that_yields_is_refused() -> None:
    def generator() -> None:
        class Flow(Workflow):
            @step
            def charge(self, ctx: Any) -> Any:
                yield 1

    def async_generator() -> None:
        class Flow(Workflow):
            @step
            async def charge(self, ctx: Any) -> Any:
                yield 1

    why = "and returns; Flow.charge yields, so its body would never run."
    assert refused(generator).endswith(why)
    assert refused(async_generator).endswith(why)


def test_functions_with_defaults_or_without_a_signature_are_taken() -> None:
    def fetch(ctx: Any, page: int = 1, **options: Any) -> None: ...

    partial = functools.partial(lambda page, ctx: page, 5)
    flow = Workflow.from_steps("flow", [Step("a", fetch), Step("b", partial), Step("c", dict)])

    assert flow.declaration.by_name["b"].call(flow(), None) == 5


def test_an_init_that_wants_arguments_is_refused() -> None:
    def wanting() -> None:
        class Flow(Workflow):
            a = free()

            def __init__(self, client: Any) -> None: ...

    assert (
        refused(wanting)
        == "Flow is made afresh for every call, so its __init__ takes (), but Flow takes (client)."
    )


def test_input_is_a_class() -> None:
    def wrong() -> None:
        class Flow(Workflow):
            input = {"card": "text"}  # type: ignore[assignment]

    assert refused(wrong) == "Flow: input is a serializer class, not {'card': 'text'}."


def test_starting_goes_through_the_one_verb(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr("flowstate.verbs.start", lambda **request: asked.append(request))

    class Flow(Workflow):
        a = free()

    Flow.run(user="u", input={"a": 1}, idempotency_key="k")
    Flow.enqueue(user="u")
    call(functools.partial(Flow.arun, user="u"))
    call(functools.partial(Flow.aenqueue, user="u"))

    same = {"workflow": Flow, "action": None, "entity": None, "user": "u"}
    nothing_else = {"input": None, "idempotency_key": None}
    assert asked == [
        {**same, "inline": True, "input": {"a": 1}, "idempotency_key": "k"},
        {**same, "inline": False, **nothing_else},
        {**same, "inline": True, **nothing_else},
        {**same, "inline": False, **nothing_else},
    ]


def test_a_workflow_needs_a_user() -> None:
    class Flow(Workflow):
        a = free()

    with pytest.raises(TypeError, match="user"):
        Flow.run()  # type: ignore[call-arg]
