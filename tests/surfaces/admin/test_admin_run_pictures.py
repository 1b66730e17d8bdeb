"""The pictures on the page of a run: what the diagram and the time line tell, and how they tell it to everybody."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from pytest_django import DjangoAssertNumQueries

from flowstate.admin.diagram import run_graph, run_waterfall
from flowstate.models import Compensation, EventKind, Run, RunEvent, RunStatus, StepStatus
from flowstate.models.clock import host_now
from tests.surfaces.admin.barn import XSS
from tests.surfaces.admin.conftest import MakeRun

CHOICE: dict[str, Any] = {
    "decide": {"kind": "choice"},
    "left": {"depends_on": ["decide"], "branches": {"decide": ["left"]}},
    "right": {
        "depends_on": ["decide"],
        "branches": {"decide": ["right"]},
        "status": StepStatus.SKIPPED,
        "reason": "branch: decide took left",
        "attempt": 0,
    },
}


def parsed(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 - our own text


def css(element: ET.Element) -> set[str]:
    return set(element.get("class", "").split())


def boxes(run: Run) -> dict[str, ET.Element]:
    """Return the links of the diagram by the name of their step."""
    links = parsed(run_graph(run)).iter("a")
    return {(link.findtext("title") or "").partition(",")[0]: link for link in links}


@pytest.mark.parametrize("status", StepStatus.values)
def test_a_status_is_told_by_a_tone_a_sign_and_a_word(make_run: MakeRun, status: str) -> None:
    run = make_run(RunStatus.RUNNING, steps={"add": {"status": status}})

    box = boxes(run)["add"]

    texts = [text.text or "" for text in box.iter("text")]
    assert f"flowstate-is-{status}" in css(box)
    assert len(texts[0]) == 1  # the sign
    assert str(StepStatus(status).label) in texts[2]


def test_each_box_is_a_link_to_its_step_in_the_table_and_says_all_of_itself(make_run: MakeRun) -> None:
    run = make_run(steps={"add": {}, "a_name_that_is_far_too_long": {"depends_on": ["add"], "reason": "so"}})

    box = boxes(run)["a_name_that_is_far_too_long"]

    assert box.get("href") == "#flowstate-step-1"
    assert box.findtext("title") == "a_name_that_is_far_too_long, done, so, after add"
    assert "a_name_that_is_fa…" in [text.text for text in box.iter("text")]


def test_a_choice_names_its_options_and_the_way_not_taken_is_drawn_otherwise(make_run: MakeRun) -> None:
    picture = parsed(run_graph(make_run(steps=CHOICE)))

    options = [text.text for text in picture.iter("text") if "flowstate-option" in css(text)]
    edges = [css(path) for path in picture.iter("path") if "flowstate-edge" in css(path)]

    assert options == ["left", "right"]
    assert ["flowstate-edge-never" in edge for edge in edges] == [False, True]


def test_the_way_back_is_drawn_from_the_last_undone_to_the_first(make_run: MakeRun) -> None:
    undone = {"compensation": Compensation.DONE}
    steps = {"one": undone, "two": undone | {"depends_on": ["one"]}, "three": {"depends_on": ["two"]}}
    picture = parsed(run_graph(make_run(RunStatus.COMPENSATED, steps=steps)))

    back = [path for path in picture.iter("path") if "flowstate-back" in css(path)]
    strips = [text.text for group in picture.iter("g") for text in group.iter("text")]

    assert len(back) == 1
    assert strips == ["↺ undone", "↺ undone"]


def test_the_picture_has_a_title_and_a_summary_in_words(make_run: MakeRun) -> None:
    picture = parsed(run_graph(make_run(steps=CHOICE)))

    assert picture.get("role") == "group"
    assert picture.get("aria-labelledby") == picture.find("title").get("id")  # type: ignore[union-attr]
    assert picture.findtext("desc") == "3 steps: 2 done, 1 skipped."


def test_a_time_line_shows_attempts_that_failed_and_the_undoing(make_run: MakeRun) -> None:
    at = host_now()
    moments = {"started_at": at - timedelta(seconds=60), "ended_at": at - timedelta(seconds=40)}
    undo = {"compensation_started_at": at - timedelta(seconds=20), "compensation_ended_at": at}
    steps = {
        "add": moments | undo | {"compensation": Compensation.DONE},
        "later": {"status": StepStatus.BLOCKED},
    }
    run = make_run(RunStatus.COMPENSATED, started_at=at - timedelta(seconds=60), steps=steps)
    for _ in range(2):
        RunEvent.objects.create(
            run=run, kind=EventKind.ATTEMPT_FAILED, step="add", at=at - timedelta(seconds=50)
        )

    picture = parsed(run_waterfall(run))

    (line,) = picture.iter("a")
    bars = {("undo" if "flowstate-undoing" in css(bar) else "do"): bar for bar in line.iter("rect")}
    assert len([path for path in line.iter("path") if "flowstate-trouble" in css(path)]) == 2
    assert float(bars["undo"].get("x", 0)) > float(bars["do"].get("x", 0)) + float(bars["do"].get("width", 0))
    assert "attempt failed" in (line.findtext("title") or "")
    assert [text.text for text in line.iter("text")] == ["add", "20.0 s", "20.0 s"]


def test_what_goes_on_reaches_to_now(make_run: MakeRun) -> None:
    at = host_now()
    steps = {"add": {"status": StepStatus.RUNNING, "started_at": at - timedelta(seconds=30)}}
    run = make_run(RunStatus.RUNNING, started_at=at - timedelta(seconds=60), steps=steps)

    (line,) = parsed(run_waterfall(run, now=at)).iter("a")

    bar = next(rect for rect in line.iter("rect") if "flowstate-outline" in css(rect))
    assert (bar.get("x"), bar.get("width")) == ("468", "300")


def test_before_any_step_began_there_is_no_time_line(make_run: MakeRun) -> None:
    assert run_waterfall(make_run(RunStatus.RUNNING, steps={"add": {"status": StepStatus.READY}})) == ""


def test_pictures_need_nothing_that_a_strict_content_policy_forbids_and_hold_no_foreign_markup(
    make_run: MakeRun,
) -> None:
    """S11"""
    steps = {
        XSS: {"reason": XSS, "started_at": host_now(), "branches": {"add": [XSS]}, "depends_on": ["add"]}
    }
    run = make_run(steps={"add": {}, **steps})

    drawn = run_graph(run) + run_waterfall(run)

    elements = list(parsed(f"<both>{drawn}</both>").iter())
    assert {element.tag for element in elements} <= {
        "both",
        *["svg", "title", "desc", "defs", "marker", "path", "a", "text", "rect", "g"],
    }
    names = {name for element in elements for name in element.attrib}
    assert [name for name in names if name == "style" or name.startswith("on")] == []
    assert all(element.get("href", "#").startswith("#") for element in elements)


def test_pictures_ask_the_database_nothing_that_was_not_read(
    make_run: MakeRun, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    made = make_run(steps=CHOICE)
    run = Run.objects.prefetch_related("step_runs", "events").get(pk=made.pk)

    with django_assert_num_queries(0):
        run_graph(run)
        run_waterfall(run)
