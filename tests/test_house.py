"""The house rules that no linter knows. Each test names the rule; CONTRIBUTING.md says why it is one."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
APP = ROOT / "flowstate"
SOURCES = ("flowstate", "example_shop", "scripts", "tests")
LONGEST_MODULE = 400  # lines
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "base", "common", "misc"}
NOT_WORDS_OF_OURS = {"Task", "State", "Process", "Manager"}


def modules(*folders: str) -> list[Path]:
    return sorted(
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if "migrations" not in path.relative_to(ROOT).parts
    )


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def status_writes(tree: ast.AST) -> Iterator[int]:
    """Yield the lines that assign to an attribute `status` or pass `status=` to `update`."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=targets):
                written = targets
            case ast.AugAssign(target=target) | ast.AnnAssign(target=target, value=ast.expr()):
                written = [target]
            case ast.Call(func=ast.Attribute(attr="update"), keywords=keywords):
                yield from (node.lineno for keyword in keywords if keyword.arg == "status")
                continue
            case _:
                continue
        yield from (
            target.lineno
            for target in written
            if isinstance(target, ast.Attribute) and target.attr == "status"
        )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of the files in the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(  # noqa: S603 - our own build
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_every_file_of_the_app(wheel: set[str]) -> None:
    sources = {
        named(path)
        for path in APP.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }

    assert sources - wheel == set()


@pytest.mark.parametrize(
    "pattern", ["py.typed", "migrations/0001_*.py", "templates/flowstate/*.html", "static/flowstate/*"]
)
def test_the_wheel_holds_what_is_not_plain_code(wheel: set[str], pattern: str) -> None:
    assert any(Path(name).match(f"flowstate/{pattern}") for name in wheel)


def test_the_wheel_holds_nothing_but_the_app(wheel: set[str]) -> None:
    others = {name for name in wheel if not name.startswith(("flowstate/", "flowstate-"))}

    assert others == set()


def test_no_module_is_longer_than_one_can_read() -> None:
    lengths = {named(path): len(path.read_text().splitlines()) for path in modules(*SOURCES)}

    assert {name: length for name, length in lengths.items() if length > LONGEST_MODULE} == {}


def test_every_module_says_in_its_first_line_what_it_is_for() -> None:
    silent = [
        named(path)
        for path in modules("flowstate", "scripts")
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]

    assert silent == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    names = [*modules(*SOURCES), *(path.parent for path in modules(*SOURCES) if path.name == "__init__.py")]

    assert [named(path) for path in names if path.stem in FORBIDDEN_NAMES] == []


def test_no_class_takes_a_word_that_means_something_else_to_a_django_developer() -> None:
    classes = [
        f"{named(path)}: {node.name}"
        for path in modules("flowstate")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and node.name in NOT_WORDS_OF_OURS
    ]

    assert classes == []


def test_a_status_is_written_only_by_the_verbs_of_the_journal() -> None:
    writes = [
        f"{named(path)}:{line}"
        for path in modules("flowstate")
        if not path.is_relative_to(APP / "models")
        for line in status_writes(ast.parse(path.read_text()))
    ]

    assert writes == []


@pytest.mark.parametrize(
    "code",
    [
        "run.status = 'failed'",
        "self.run.status: str = 'failed'",
        "a = run.status = 'failed'",
        "Run.objects.filter(pk=1).update(status='failed', error=None)",
    ],
)
def test_a_status_write_is_recognised(code: str) -> None:
    assert list(status_writes(ast.parse(code))) == [1]


@pytest.mark.parametrize(
    "code", ["run.status == 'failed'", "rows.filter(status='failed')", "status = run.status"]
)
def test_reading_a_status_is_no_write(code: str) -> None:
    assert list(status_writes(ast.parse(code))) == []


def test_the_engine_never_names_the_celery_carrier() -> None:
    # A dotted path in a string is invisible to the import contracts.
    named_in = [
        f"{named(path)}: {match}"
        for path in modules(
            "flowstate/engine", "flowstate/models", "flowstate/actions", "flowstate/workflows"
        )
        for match in re.findall(r"carriers[./]celery|CeleryCarrier|(?:from|import) celery", path.read_text())
    ]

    assert named_in == []


def test_the_version_is_in_the_changelog_or_still_unreleased() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert headings[0] == "Unreleased"
    assert headings[1:2] in ([], [version])


def test_every_requirement_has_one_committed_version() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    exact = re.compile(r'^[\w.-]+==[\w.]+(; python_version (<|>=) "3\.\d+")?$')

    assert [line for line in lines if not exact.match(line)] == []

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    named_there = {re.split(r"==", line)[0].lower().replace("_", "-") for line in lines}

    assert {re.split(r"[\[><=]", item)[0].lower() for item in wanted} - named_there == {"flowstate"}
