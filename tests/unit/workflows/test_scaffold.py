"""The source that is written for a diagram: what it says, that it works, and what it refuses."""

from __future__ import annotations

import ast
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstate import Chosen, DiagramInvalid
from flowstate.workflows.declaration import outline_of
from flowstate.workflows.mermaid import differences, planned, read, snake_case
from flowstate.workflows.mermaid.escaping import written_text
from flowstate.workflows.scaffold import name_of, scaffolded
from tests.unit.workflows.mermaid.diagrams import HOSTILE, texts

PARCEL = r"""---
title: Parcel
---
stateDiagram-v2
    state BY_WEIGHT <<choice>>
    [*] --> weighIt
    weighIt --> weighIt: attempts=3\nbackoffMs=500
    weighIt --> BY_WEIGHT
    BY_WEIGHT --> Bike: Isn't heavy
    BY_WEIGHT --> van: isHeavy
    Bike --> hand_over
    van --> hand_over
    hand_over --> [*]
"""


def source_of(text: str) -> str:
    plan = planned(read(text))
    return scaffolded(plan, name=name_of(plan, "Flow"), diagram="parcel.mmd")


def module_of(text: str) -> ModuleType:
    """Return the module that is written for a diagram, as if it had been imported."""
    module = ModuleType("shop.parcel_base")
    exec(compile(source_of(text), "parcel_base.py", "exec"), vars(module))  # noqa: S102 - what is under test
    return module


def test_a_scaffold_has_a_method_for_each_step_and_one_for_each_option() -> None:
    """C1, C3."""
    assert (
        source_of(PARCEL)
        == '''\
"""Parcel, made of its diagram by `manage.py flowstate_scaffold`: derive from it, do not edit it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from flowstate import ChoiceStep, Chosen, Context, Retry, Workflow, step


class ParcelByWeight:
    """What `weigh_it` may return; the steps behind it find the payload as `ctx.get("weigh_it")`."""

    def isnt_heavy(self, payload: Any = None) -> Chosen:
        """Go on with bike."""
        return Chosen("Isn't heavy", payload)

    def is_heavy(self, payload: Any = None) -> Chosen:
        """Go on with van."""
        return Chosen("isHeavy", payload)


class ParcelBase(Workflow):
    """What the diagram draws; a subclass defines what each step does, as a method."""

    diagram = "parcel.mmd"

    by_weight = ParcelByWeight()

    @ChoiceStep(options=["Isn't heavy", "isHeavy"], depends_on=(), retry=Retry(3, delay=0.5))
    @abstractmethod
    def weigh_it(self, ctx: Context[Any]) -> Chosen:
        """Return an option of `self.by_weight`, as `self.by_weight.isnt_heavy(payload)`."""

    @step(depends_on=weigh_it["Isn't heavy"])
    @abstractmethod
    def bike(self, ctx: Context[Any]) -> Any: ...

    @step(depends_on=weigh_it["isHeavy"])
    @abstractmethod
    def van(self, ctx: Context[Any]) -> Any: ...

    @step(depends_on=[bike, van])
    @abstractmethod
    def hand_over(self, ctx: Context[Any]) -> Any: ...
'''
    )


def test_a_scaffold_does_as_its_diagram_draws() -> None:
    outline = outline_of(module_of(PARCEL).ParcelBase)

    assert outline is not None
    assert differences(planned(read(PARCEL)), outline) == []


def test_a_subclass_of_a_scaffold_chooses_by_typed_methods() -> None:
    """C3."""
    base: Any = module_of(PARCEL).ParcelBase

    class Parcel(base):  # type: ignore[misc]
        def weigh_it(self, ctx: Any) -> Chosen:
            return self.by_weight.is_heavy({"grams": 900})  # type: ignore[no-any-return]

        def bike(self, ctx: Any) -> None: ...
        def van(self, ctx: Any) -> None: ...
        def hand_over(self, ctx: Any) -> None: ...

    chosen = Parcel().weigh_it(None)

    assert chosen == "isHeavy"
    assert chosen.payload == {"grams": 900}
    assert [step.name for step in Parcel.declaration.steps] == ["weigh_it", "bike", "van", "hand_over"]


def test_a_flowchart_has_a_scaffold_too() -> None:
    source = source_of("flowchart TD\na --> which{?}\nwhich -->|x| b\nwhich -->|y| c\nb & c --> d")

    assert "class FlowBase(Workflow):" in source
    assert "    which_choice = FlowWhichChoice()\n" in source
    assert "    @step(depends_on=[b, c])\n" in source


def test_a_diagram_without_choices_needs_no_words_for_them() -> None:
    source = source_of("flowchart TD\na --> b")

    assert "from flowstate import Context, Workflow, step\n" in source
    assert "Choice" not in source


def test_many_options_have_a_line_each() -> None:
    lines = "\n".join(f"a -->|option number {number}| b{number}" for number in range(6))

    source = source_of(f"flowchart TD\na{{A}}\n{lines}")

    assert max(map(len, source.splitlines())) <= 110
    assert '    @ChoiceStep(\n        options=[\n            "option number 0",\n' in source
    assert "        ],\n        depends_on=(),\n    )\n    @abstractmethod\n    def a(" in source


@given(one=texts, other=texts)
def test_whatever_an_option_is_called_it_is_a_text_of_python(one: str, other: str) -> None:
    """S12: a diagram is no way to write code."""
    try:
        source = source_of(
            f'flowchart TD\na{{A}}\na -->|"{written_text(one)}"| b\na -->|"{written_text(other)}"| c'
        )
    except DiagramInvalid:
        return  # no name, no method of that name, or both the same

    found = ast.parse(source)
    classes = [node.name for node in found.body if isinstance(node, ast.ClassDef)]
    texts_there = {node.value for node in ast.walk(found) if isinstance(node, ast.Constant)}
    assert classes == ["FlowAChoice", "FlowBase"]
    assert {one, other} <= texts_there


@pytest.mark.parametrize("title", HOSTILE)
def test_a_title_becomes_a_name_of_python(title: str) -> None:
    plan = planned(read("flowchart TD\na"))

    try:
        name = name_of(plan, title)
    except DiagramInvalid:
        assert not any(word[:1].isalpha() for word in title.split())
    else:
        assert name.isidentifier()


@pytest.mark.parametrize(
    ("drawn", "written"),
    [("SecondTask", "second_task"), ("first_task", "first_task"), ("thirdTask", "third_task"), ("HTTP", "http"),
     ("Value Isn't Null", "value_isnt_null"), ("a-b", "a_b"), ("class", ""), ("7up", ""), ("!", ""), ("v2Beta", "v2_beta")],
)  # fmt: skip
def test_a_name_is_written_as_python_writes_it(drawn: str, written: str) -> None:
    assert snake_case(drawn) == written


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["import_this --> import"], "the step import cannot be the name of a method in Python; rename it"),
        (["run --> a"], "the step run would be named run in Python, which belongs to Workflow; rename it in the diagram."),
        (["aB --> a_b"], "the step a_b and another are both named a_b in Python; rename one of them."),
        (["a{A}", "a -->|1st| b", "a -->|2nd| c"], "the option '1st' of a cannot be the name of a method in Python"),
        (["a{A}", "a -->|x| a_choice", "a -->|y| c"], "the choice a and a step are both named a_choice in Python; rename one of them."),
    ],
)  # fmt: skip
def test_a_name_that_python_could_not_have_is_refused(lines: list[str], words: str) -> None:
    with pytest.raises(DiagramInvalid) as refusal:
        source_of("\n".join(["flowchart TD", *lines]))

    assert words in str(refusal.value)


def test_a_title_that_is_no_name_is_refused() -> None:
    with pytest.raises(DiagramInvalid, match="the title '42' cannot be the name of a class"):
        source_of("---\ntitle: 42\n---\nflowchart TD\na")


@given(st.text(max_size=40))
def test_words_of_python_are_found_in_any_text(text: str) -> None:
    found = snake_case(text)

    assert not found or found.isidentifier()
