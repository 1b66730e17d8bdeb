"""Workflows made of diagrams, and back again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowstate import ChoiceStep, DeclarationInvalid, DiagramInvalid, Retry, Step, Workflow
from tests.unit.workflows.mermaid.diagrams import names
from tests.unit.workflows.refusals import nothing, refused

PARCEL = r"""---
title: Send a parcel
---
stateDiagram-v2
    state by_weight <<choice>>
    [*] --> weigh
    weigh --> by_weight
    by_weight --> bike: isLight
    by_weight --> van: isHeavy
    van --> van: attempts=2\nbackoffMs=500
    bike --> tell
    van --> tell
    tell --> [*]
"""


def is_light(ctx: Any) -> str:
    return "isLight"


STEPS: dict[str, Any] = {"weigh": is_light, "bike": nothing, "van": nothing, "tell": nothing}


def test_a_workflow_is_made_of_a_diagram_and_functions() -> None:
    """C1."""
    workflow = Workflow.from_mermaid(PARCEL, STEPS, exclusive=None)

    declaration = workflow.declaration
    weigh = declaration.by_name["weigh"]
    assert declaration.name == "SendAParcel"
    assert declaration.meta.exclusive is None
    assert isinstance(weigh, ChoiceStep)
    assert weigh.options == ("isLight", "isHeavy")
    assert declaration.by_name["van"].branches == {"weigh": ("isHeavy",)}
    assert declaration.by_name["van"].retry == Retry(2, delay=0.5)
    assert declaration.by_name["tell"].depends_on == ("bike", "van")


def test_a_diagram_may_be_given_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "parcel.mmd"
    path.write_text(PARCEL)

    by_path = Workflow.from_mermaid(path, STEPS)
    by_text = Workflow.from_mermaid(str(path), STEPS, name="parcel")

    assert by_path.to_mermaid() == by_text.to_mermaid() == Workflow.from_mermaid(PARCEL, STEPS).to_mermaid()
    assert by_text.declaration.name == "parcel"


def test_a_path_that_leads_nowhere_is_said_to(tmp_path: Path) -> None:
    with pytest.raises(DiagramInvalid, match=r"the diagram '.*parcel\.mmd' cannot be read: "):
        Workflow.from_mermaid(tmp_path / "parcel.mmd", STEPS)


def test_steps_keep_the_options_that_they_are_given_with() -> None:
    undo = Step("bike", nothing, lambda ctx, result: None, timeout=5, background=True)
    weigh = ChoiceStep(is_light, options=["isHeavy", "isLight"])

    workflow = Workflow.from_mermaid(PARCEL, {**STEPS, "bike": undo, "weigh": weigh})

    bike = workflow.declaration.by_name["bike"]
    assert (bike.timeout, bike.background, bike.compensable) == (5, True, True)
    assert bike.branches == {"weigh": ("isLight",)}


def test_a_diagram_without_a_title_needs_a_name() -> None:
    with pytest.raises(DiagramInvalid, match="has no title, so give the workflow a name="):
        Workflow.from_mermaid("flowchart TD\na", {"a": nothing})


def test_what_is_drawn_without_effect_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="the name 'then' of the arrow from a to b has no effect"):
        Workflow.from_mermaid("flowchart TD\na -->|then| b", {"a": nothing, "b": nothing}, name="x")


def test_a_class_may_bring_hooks_and_input() -> None:
    class Parent(Workflow):
        def on_complete(self, run: Any) -> None: ...

    assert Parent.from_mermaid(PARCEL, STEPS).declaration.hooks == {"on_complete"}


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ({"weigh": is_light}, "steps gives nothing for bike, van, tell; the diagram has weigh, bike, van, tell."),
        ({**STEPS, "tram": nothing}, "steps gives tram, which the diagram does not have; the diagram has"),
        ({**STEPS, "bike": Step("bike", nothing, depends_on=())}, "has depends_on=, but the diagram says what it waits for."),
        ({**STEPS, "van": Step("van", nothing, retry=Retry(5))}, "has another retry= than the diagram; leave one of the two out."),
        ({**STEPS, "weigh": Step("weigh", nothing)}, "but drawn is a choice between isLight, isHeavy."),
        ({**STEPS, "tell": ChoiceStep(is_light, options=["a", "b"])}, "with the options a, b, but drawn is no choice."),
        ({**STEPS, "tell": Step("other", nothing)}, "the step 'tell' is also named 'other'"),
    ],
)  # fmt: skip
def test_steps_that_do_not_fit_the_diagram_are_refused(steps: dict[str, Any], words: str) -> None:
    assert words in refused(lambda: Workflow.from_mermaid(PARCEL, steps))


# --- both ways ---------------------------------------------------------------------------------------

retries = st.none() | st.builds(
    Retry,
    st.integers(1, 9),
    delay=st.sampled_from([0, 0.001, 0.25, 1.0, 90.0]),
    backoff=st.sampled_from([1, 1.25, 2.0, 3.5]),
    max_delay=st.sampled_from([90.0, 3600.5]),
    jitter=st.booleans(),
)
options = st.lists(
    st.text(min_size=1, max_size=12).filter(lambda text: text.strip() and not set("[]") & set(text)),
    min_size=2,
    max_size=4,
    unique=True,
)


@st.composite
def workflows(draw: st.DrawFn) -> tuple[list[Step], list[Step]]:
    """Return the same steps twice: as declared, in any order that works, and without what a diagram says."""
    declared: list[Step] = []
    bare: list[Step] = []
    for name in draw(st.lists(names, min_size=1, max_size=8, unique=True)):
        retry = draw(retries)
        after: list[Any] = []
        for needed in draw(st.lists(st.sampled_from(declared), max_size=3, unique=True)) if declared else []:
            if isinstance(needed, ChoiceStep):
                followed = draw(st.lists(st.sampled_from(needed.options), min_size=1, unique=True))
                after += [needed[option] for option in followed]
            else:
                after.append(needed)
        if draw(st.booleans()):
            chosen = draw(options)
            declared.append(ChoiceStep(is_light, options=chosen, name=name, depends_on=after, retry=retry))
            bare.append(ChoiceStep(is_light, options=chosen, name=name))
        else:
            declared.append(Step(name, nothing, depends_on=after, retry=retry))
            bare.append(Step(name, nothing))
    return draw(st.permutations(declared)), bare


@settings(max_examples=200)
@given(both=workflows())
def test_out_in_and_out_again_is_the_same_text(both: tuple[list[Step], list[Step]]) -> None:
    declared, bare = both
    drawn = Workflow.from_steps("drawn", declared).to_mermaid()

    again = Workflow.from_mermaid(drawn, {step.name: step for step in bare}, name="again")

    assert again.to_mermaid() == drawn


@settings(max_examples=100)
@given(both=workflows())
def test_a_workflow_that_was_drawn_and_read_is_the_same_workflow(both: tuple[list[Step], list[Step]]) -> None:
    declared, bare = both
    workflow = Workflow.from_steps("drawn", declared)

    again = Workflow.from_mermaid(workflow.to_mermaid(), {step.name: step for step in bare}, name="again")

    assert list(map(said, again.declaration.steps)) == list(map(said, workflow.declaration.steps))


def said(step: Step) -> tuple[Any, ...]:
    """Return what a diagram says of a step; in which order it names the options that lead there is of no account."""
    branches = {choice: frozenset(options) for choice, options in step.branches.items()}
    return step.name, step.depends_on, branches, step.retry


def test_a_mistake_of_the_workflow_itself_is_refused_as_ever() -> None:
    with pytest.raises(DeclarationInvalid, match="'run' belongs to Workflow"):
        Workflow.from_mermaid("flowchart TD\nrun", {"run": nothing}, name="x")
