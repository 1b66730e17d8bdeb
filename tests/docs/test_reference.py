"""The tables of the reference say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flowstate import conf, exceptions
from flowstate.exceptions import FlowstateError, RunFailed, StepError, approvals, events, shapes
from flowstate.models import ApprovalStatus, Compensation, RunStatus, StepStatus, WaitingFor
from flowstate.workflows.options import MetaOptions
from flowstate.workflows.step_options import DecoratorOptions
from flowstate.workflows.workflow import HOOKS
from tests.docs.pages import PAGES, README, ROOT, name_of

REFERENCE = ROOT / "docs" / "reference"
WORKFLOWS = ROOT / "docs" / "guide" / "workflows.md"

# Declared for what is not offered yet; to be taken out of here and described when it is.
NOT_YET: set[str] = set()
RESERVED = ("BatchStep",)


def rows(page: Path, heading: str = "") -> list[list[str]]:
    """Return the cells of the tables of a page, or of those below one heading."""
    text = page.read_text()
    if heading:
        text = re.split(r"^#+ ", text.split(f"# {heading}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]
    lines = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| |")]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]


def first_words(page: Path, heading: str = "") -> set[str]:
    """Return what stands in backticks in the first cells."""
    return {word for row in rows(page, heading) for word in re.findall(r"`([^`]+)`", row[0])}


def test_every_error_has_its_row_with_code_class_and_status() -> None:
    there = {
        (
            kind.default_code if issubclass(kind, StepError) else kind.code,
            kind.__name__,
            str(kind.status_code),
        )
        for module in (exceptions, approvals, events, shapes)
        for kind in vars(module).values()
        if isinstance(kind, type)
        and issubclass(kind, FlowstateError)
        and kind not in (FlowstateError, RunFailed)
    }

    told = {
        (code.strip("`"), name.strip("`"), status)
        for code, name, status, *_ in rows(REFERENCE / "error-codes.md")
        if code.startswith("`")
    }

    assert told == {row for row in there if row[0] not in NOT_YET}


def test_every_check_has_its_row() -> None:
    sources = (ROOT / "flowstate" / "checks").glob("*.py")
    there = {
        found for source in sources for found in re.findall(r'id="(flowstate\.\w+)"', source.read_text())
    }

    assert first_words(REFERENCE / "checks.md") == there


def test_every_setting_has_its_row_with_its_default() -> None:
    defaults = conf.Settings()
    there = {name.upper(): repr(getattr(defaults, name)) for name in defaults.__slots__}

    told = {
        row[0].strip("`"): row[1].strip("`").replace('"', "'")
        for row in rows(REFERENCE / "settings.md")
        if row[0].startswith("`")
    }

    assert told == {name: default for name, default in there.items() if name not in NOT_YET}


@pytest.mark.parametrize(
    ("heading", "words"),
    [
        ("Runs", RunStatus),
        ("Steps", StepStatus),
        ("Compensations", Compensation),
        ("Approvals", ApprovalStatus),
    ],
)
def test_every_status_has_its_row(
    heading: str, words: type[RunStatus | StepStatus | Compensation | ApprovalStatus]
) -> None:
    told = first_words(REFERENCE / "statuses.md", heading) - set(WaitingFor.values)

    assert told == set(words.values) - NOT_YET


def test_all_that_a_run_can_wait_for_is_told() -> None:
    told = first_words(REFERENCE / "statuses.md", "Runs") - set(RunStatus.values)

    assert told == set(WaitingFor.values) - NOT_YET - {""}


def test_every_option_of_a_step_is_told() -> None:
    assert first_words(WORKFLOWS, "Options") == set(DecoratorOptions.__annotations__)


def test_every_key_of_meta_is_told() -> None:
    assert first_words(WORKFLOWS, "`class Meta`") == {"name", *MetaOptions.__annotations__}


def test_every_hook_is_told() -> None:
    told = {re.split(r"\W", word)[0] for word in first_words(WORKFLOWS, "Hooks")}

    assert told == set(HOOKS)


@pytest.mark.parametrize("source", PAGES, ids=name_of)
def test_nothing_is_told_that_is_not_there(source: Path) -> None:
    assert [word for word in RESERVED if word.lower() in source.read_text().lower()] == []


@pytest.mark.parametrize("source", PAGES, ids=name_of)
def test_exactly_once_is_said_of_rows_only(source: Path) -> None:
    sentences = re.findall(r"[^.*:]*exactly once[^.*:]*", source.read_text(), re.IGNORECASE)

    assert [said for said in sentences if "entity steps" not in said.lower()] == []


def test_the_commands_without_make_are_those_of_the_makefile() -> None:
    echoed = re.findall(r"^\t@echo ['\"]  (\S.*)['\"]$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    commands = {re.split(r"\s+#", line)[0] for line in echoed}

    assert len(commands) == 5
    assert [command for command in commands if f"    {command}\n" not in README.read_text()] == []
