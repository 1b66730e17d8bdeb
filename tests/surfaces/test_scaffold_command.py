"""`manage.py flowstate_scaffold`: what it writes, and what it does when it is called again."""

from __future__ import annotations

import ast
from io import StringIO
from pathlib import Path

import pytest

from django.core.management import CommandError, call_command

ROOT = Path(__file__).resolve().parents[2]
DRAWN = """---
title: Two ways
---
stateDiagram-v2
    state way <<choice>>
    [*] --> decide
    decide --> way
    way --> left: goLeft
    way --> right: goRight
    left --> [*]
    right --> [*]
"""


@pytest.fixture
def drawing(tmp_path: Path) -> Path:
    path = tmp_path / "two-ways.mmd"
    path.write_text(DRAWN)
    return path


def said(drawing: Path, **options: object) -> str:
    """Return what the command prints."""
    out = StringIO()
    call_command("flowstate_scaffold", drawing, stdout=out, stderr=out, **options)
    return out.getvalue()


def test_the_class_is_written_beside_the_diagram_and_names_it(drawing: Path) -> None:
    output = drawing.with_name("two_ways_base.py")

    assert said(drawing) == (f"{output} is written. Derive from TwoWaysBase, and define what its steps do.\n")
    assert "class TwoWaysBase(Workflow):" in output.read_text()
    assert '    diagram = "two-ways.mmd"\n' in output.read_text()


def test_the_class_may_be_written_elsewhere(drawing: Path, tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    output = tmp_path / "shop" / "ways.py"

    said(drawing, output=output)

    assert '    diagram = "../two-ways.mmd"\n' in output.read_text()


def test_a_second_time_nothing_is_changed_however_the_file_was_laid_out(drawing: Path) -> None:
    """C2."""
    said(drawing)
    output = drawing.with_name("two_ways_base.py")
    laid_out = ast.unparse(ast.parse(output.read_text()))
    output.write_text(laid_out)

    assert said(drawing) == f"{output} is as {drawing} draws it.\n"
    assert output.read_text() == laid_out


def test_a_class_that_has_drifted_is_left_alone_and_what_differs_is_said(drawing: Path) -> None:
    """C2."""
    said(drawing)
    output = drawing.with_name("two_ways_base.py")
    before = output.read_text()
    drawing.write_text(DRAWN.replace("right: goRight", "middle: goRight").replace("right -->", "middle -->"))

    with pytest.raises(CommandError) as refusal:
        said(drawing)

    assert "two_ways_base.py is not as " in str(refusal.value)
    assert "-    def right(self, ctx: Context[Any]) -> Any: ..." in str(refusal.value)
    assert "+    def middle(self, ctx: Context[Any]) -> Any: ..." in str(refusal.value)
    assert output.read_text() == before


def test_a_class_that_has_drifted_is_written_anew_where_that_is_asked_for(drawing: Path) -> None:
    output = drawing.with_name("two_ways_base.py")
    output.write_text("this is no Python (")

    with pytest.raises(CommandError, match="give --overwrite"):
        said(drawing)
    said(drawing, overwrite=True)

    assert said(drawing) == f"{output} is as {drawing} draws it.\n"


def test_what_is_drawn_without_effect_is_said(drawing: Path) -> None:
    drawing.write_text(DRAWN.replace("left --> [*]", "left --> [*]: done"))

    assert f"{drawing}: the name 'done' of the arrow from left to [*] has no effect" in said(drawing)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (DRAWN + "    loop forever\n", "two-ways.mmd: line 12, column 10: 'forever' cannot stand here;"),
        (DRAWN + "    right --> decide\n", "two-ways.mmd: the arrows go round: "),
        (DRAWN.replace("left", "import"), "the step import cannot be the name of a method in Python"),
    ],
)
def test_a_diagram_of_which_no_class_can_be_made_is_refused_and_nothing_is_written(
    drawing: Path, text: str, words: str
) -> None:
    drawing.write_text(text)

    with pytest.raises(CommandError) as refusal:
        said(drawing)

    assert words in str(refusal.value)
    assert list(drawing.parent.glob("*.py")) == []


def test_a_diagram_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read"):
        said(tmp_path / "nothing.mmd")


def test_the_class_that_workers_run_in_the_fault_tests_is_as_it_is_drawn() -> None:
    """So that what those tests show is shown of the scaffold."""
    assert "is as " in said(ROOT / "tests" / "faults" / "parcels.mmd")
