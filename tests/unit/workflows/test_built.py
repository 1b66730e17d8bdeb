"""Workflows put together by a call, and the names under which others find them."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from flowstate import CreateStep, DeclarationInvalid, Step, Workflow, WorkflowBuilder, register_workflow, step
from flowstate.workflows import names
from tests.unit.workflows.refusals import free, nothing, refused


class AtTheTop(Workflow):
    only = free()


class Renamed(Workflow):
    class Meta:
        name = "renamed-of-test-built"

    only = free()


def fetch(ctx: Any) -> str:
    return "fetched"


def save(ctx: Any) -> str:
    return "saved"


def unsave(ctx: Any, result: Any) -> None:
    ctx.append(result)


# --- from_steps ----------------------------------------------------------------------------------


def test_from_steps_makes_a_workflow_of_a_list() -> None:
    flow = Workflow.from_steps(
        "shop.order.archive", [Step("fetch", fetch), Step("save", save, unsave)], version=3
    )
    declaration = flow.declaration

    assert (declaration.name, declaration.version) == ("shop.order.archive", 3)
    assert [(step.name, step.depends_on) for step in declaration.steps] == [
        ("fetch", ()),
        ("save", ("fetch",)),
    ]
    assert declaration.by_name["save"].call(flow(), None) == "saved"


def test_from_steps_of_a_subclass_goes_on_with_its_steps_and_hooks() -> None:
    class Base(Workflow):
        begin = free()

        def on_complete(self, run: Any) -> None: ...

    declaration = Base.from_steps("more", [Step("fetch", fetch)]).declaration

    assert [(step.name, step.depends_on) for step in declaration.steps] == [
        ("begin", ()),
        ("fetch", ("begin",)),
    ]
    assert declaration.hooks == {"on_complete"}


def test_a_list_of_no_steps_is_refused() -> None:
    """P11."""
    assert (
        refused(lambda: Workflow.from_steps("flow", []))
        == "Workflow 'flow' is empty: it needs at least one step."
    )


def test_two_steps_of_a_name_are_refused() -> None:
    """P12."""
    assert refused(lambda: Workflow.from_steps("flow", [Step("a", fetch), Step("a", save)])) == (
        "Workflow 'flow': two steps are named 'a'."
    )


def test_a_step_in_a_list_needs_a_name() -> None:
    assert refused(lambda: Workflow.from_steps("flow", [Step(fn=fetch)])) == (
        "Workflow 'flow' takes steps that have a name, as Step('fetch', fetch), not <Step of fetch>."
    )
    assert "takes steps that have a name" in refused(lambda: Workflow.from_steps("flow", [fetch]))  # type: ignore[list-item]
    assert "takes a list of steps, not <Step a>" in refused(
        lambda: Workflow.from_steps("flow", Step("a", fetch))  # type: ignore[arg-type]
    )


def test_a_free_function_under_the_decorator_of_methods_is_told_apart() -> None:
    fetched: Any = step(name="fetch")(fetch)  # type: ignore[arg-type]

    assert refused(lambda: Workflow.from_steps("flow", [fetched])) == (
        "flow: step 'fetch' is a method made with @step: it takes (self, ctx), but fetch takes (ctx)."
    )


@pytest.mark.parametrize("name", ["", "a b", "n" * 256, 5])
def test_a_name_that_the_journal_could_not_hold_is_refused(name: Any) -> None:
    why = f"The name of a workflow is a text without spaces, at most 255 characters, not {name!r}."

    assert refused(lambda: Workflow.from_steps(name, [Step("a", fetch)])) == why
    assert refused(lambda: WorkflowBuilder(name)) == why


# --- the builder ---------------------------------------------------------------------------------


def test_the_builder_does_what_its_words_say() -> None:
    heard: list[Any] = []
    flow = (
        WorkflowBuilder("import")
        .step("fetch", fetch)
        .step("save", save, unsave, transactional=True)
        .data(source="web")
        .data(page=1)
        .atomic()
        .timeout(30)
        .hooks(on_complete=heard.append)
        .build()
    )
    declaration = flow.declaration

    assert [(step.name, step.depends_on) for step in declaration.steps] == [
        ("fetch", ()),
        ("save", ("fetch",)),
    ]
    assert declaration.by_name["save"].compensable
    assert declaration.by_name["save"].transactional
    assert declaration.meta.initial_data == {"source": "web", "page": 1}
    assert (declaration.meta.atomic, declaration.meta.timeout) == (True, 30.0)
    assert declaration.hooks == {"on_complete"}
    flow().on_complete("run")  # type: ignore[arg-type]
    assert heard == ["run"]


def test_a_builder_may_be_gone_on_with_in_two_ways() -> None:
    begun = WorkflowBuilder("flow").step("fetch", fetch)

    long, short = begun.step("save", save).data(a=1).build(), begun.build()

    assert [list(flow.declaration.by_name) for flow in (short, long)] == [["fetch"], ["fetch", "save"]]
    assert short.declaration.meta.initial_data == {}


def test_a_builder_takes_steps_that_were_made_before() -> None:
    payment = CreateStep("shop.Payment", name="payment", values={"amount": 1})

    flow = WorkflowBuilder("flow").step(payment).build()

    assert list(flow.declaration.by_name) == ["payment"]
    assert "takes its options where it is made" in refused(
        lambda: WorkflowBuilder("flow").step(payment, fetch)
    )


def test_hooks_may_be_given_one_after_the_other() -> None:
    builder = WorkflowBuilder("flow").step("fetch", fetch)

    flow = builder.hooks(on_complete=nothing).hooks(on_failed=nothing).build()

    assert flow.declaration.hooks == {"on_complete", "on_failed"}


def test_an_empty_builder_is_refused() -> None:
    """P11."""
    assert refused(WorkflowBuilder("flow").build) == "Workflow 'flow' is empty: it needs at least one step."


def test_a_builder_refuses_unknown_hooks_and_wrong_arity() -> None:
    builder = WorkflowBuilder("flow")

    assert refused(lambda: builder.hooks(on_done=nothing)).startswith(
        "Workflow 'flow': hooks has no option on_done; there are before_start, "
    )
    assert refused(lambda: builder.hooks(on_step_complete=nothing)) == (
        "Workflow 'flow': the hook on_step_complete takes (ctx, step, result), but nothing takes (ctx)."
    )
    assert refused(lambda: builder.timeout(0)).startswith("Workflow 'flow': timeout is above 0 seconds")


# --- found by others -----------------------------------------------------------------------------


def test_a_class_at_the_top_of_a_module_is_found_by_its_path() -> None:
    assert AtTheTop.declaration.name == f"{__name__}.AtTheTop"
    assert AtTheTop.declaration.findable


def test_a_class_with_a_name_of_its_own_is_registered_by_itself() -> None:
    assert names.holder_of("renamed-of-test-built") is Renamed
    assert Renamed.declaration.findable


def test_what_was_made_in_a_function_is_found_only_if_registered() -> None:
    class Local(Workflow):
        only = free()

    built = WorkflowBuilder("found-of-test-built").step("fetch", fetch).build()

    for flow in (Local, built):
        assert not flow.declaration.findable
        assert register_workflow(flow) is flow
        assert names.holder_of(flow.declaration.name) is flow
        assert flow.declaration.findable


def test_two_workflows_of_one_name_are_refused() -> None:
    one = register_workflow(Workflow.from_steps("twice-of-test-built", [Step("a", fetch)]))
    other = Workflow.from_steps("twice-of-test-built", [Step("a", fetch)])

    said = refused(lambda: register_workflow(other))

    assert said.startswith("Two workflows are named 'twice-of-test-built', ")
    assert register_workflow(one) is one
    assert not other.declaration.findable


def test_a_class_that_is_made_again_takes_its_own_place() -> None:
    def made() -> type[Workflow]:
        @register_workflow
        class Again(Workflow):
            only = free()

        return Again

    first, second = made(), made()

    assert names.holder_of(second.declaration.name) is second
    assert not first.declaration.findable


@pytest.mark.parametrize("wrong", [Workflow, dict, "shop.workflows.Checkout", None])
def test_only_workflows_with_steps_are_registered(wrong: Any) -> None:
    with pytest.raises(DeclarationInvalid, match=r"register takes a Workflow class|has no steps"):
        register_workflow(wrong)


def test_a_script_has_a_main_of_its_own_that_nobody_else_finds() -> None:
    script = (
        "from flowstate import Step, Workflow\n"
        "class Flow(Workflow):\n"
        "    only = Step(fn=lambda ctx: None)\n"
        "print(Flow.declaration.name, Flow.declaration.findable)\n"
    )

    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)  # noqa: S603 - our own code

    assert said.stdout == "__main__.Flow False\n"


def test_the_words_can_be_imported_without_settings_and_without_a_database() -> None:
    script = (
        "import os, sys\n"
        "os.environ.pop('DJANGO_SETTINGS_MODULE', None)\n"
        "import flowstate\n"
        "from flowstate import *\n"
        "from django.conf import settings\n"
        "loaded = [name for name in sys.modules if name.startswith(('celery', 'rest_framework', 'flowstate.models'))]\n"
        "print(settings.configured, loaded, set(flowstate.__all__) <= set(vars(flowstate)))\n"
    )

    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)  # noqa: S603 - our own code

    assert said.stdout == "False [] True\n"
