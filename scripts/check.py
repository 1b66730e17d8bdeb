"""Check everything: style, types, contracts, migrations, and the tests on every database.

    python -m scripts.check [--quick]

`--quick` leaves out whatever needs a server or a browser. With CI=true, what cannot be had is an error.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from scripts import services

ROOT = Path(__file__).resolve().parent.parent
STAGE_WITHIN = 900.0  # seconds

LINT: dict[str, tuple[str, ...]] = {
    "ruff check": ("-m", "ruff", "check", "."),
    "ruff format": ("-m", "ruff", "format", "--check", "."),
    "mypy": ("-m", "mypy"),
    "import contracts": ("-c", "from importlinter.cli import lint_imports_command as main; main()"),
    "system checks": ("manage.py", "check", "--settings=tests.settings", "--fail-level=WARNING"),
    "migrations complete": (
        "manage.py",
        "makemigrations",
        "--settings=tests.settings",
        "--check",
        "--dry-run",
    ),
    "migrations safe": (
        *("manage.py", "lintmigrations", "--settings=tests.settings", "--no-cache"),
        *("--include-apps", "flowstate", "shop"),
    ),
}


MEASURED = ("--cov", "--cov-report=", "--cov-fail-under=0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Test directories that run in one pytest, on one database."""

    name: str
    paths: tuple[str, ...]
    database: str = "sqlite"
    needs: str | None = None
    """The variable of the service without which it cannot run."""

    workers: int = 0
    """Processes of pytest-xdist; 0 where the tests share one site, or are measured beside what they do."""

    measured: bool = False
    """Whether it counts for coverage: elsewhere the same code runs again, and a quarter slower by it."""

    def present(self) -> list[str]:
        """Return the paths in which there are tests."""
        paths = [ROOT / path for path in self.paths]
        return [str(path) for path in paths if path.is_file() or any(path.rglob("test_*.py"))]


UNIT = Suite(
    name="unit", paths=("tests/unit", "tests/test_house.py"), database="none", workers=2, measured=True
)
ON_ALL = ("tests/journal", "tests/engine", "tests/carriers", "tests/scenarios", "tests/growth/test_counts.py")
SUITES = [
    Suite(name="sqlite", paths=(*ON_ALL, "tests/surfaces"), workers=2, measured=True),
    Suite(name="sqlite faults", paths=("tests/faults",), workers=2),
    Suite(
        name="postgres",
        paths=(*ON_ALL, "tests/surfaces"),
        database="postgres",
        needs="DATABASE_URL_POSTGRES",
        workers=2,
    ),
    Suite(
        name="postgres faults",
        paths=("tests/faults",),
        database="postgres",
        needs="DATABASE_URL_POSTGRES",
        workers=2,
    ),
    Suite(
        name="postgres growth",
        paths=("tests/growth/test_growth.py", "tests/growth/test_soak.py"),
        database="postgres",
        needs="DATABASE_URL_POSTGRES",
    ),
    Suite(name="mariadb", paths=ON_ALL, database="mariadb", needs="DATABASE_URL_MARIADB", workers=2),
    Suite(
        name="mariadb faults",
        paths=("tests/faults",),
        database="mariadb",
        needs="DATABASE_URL_MARIADB",
        workers=2,
    ),
    Suite(name="browser", paths=("tests/browser",), needs="CHROMIUM"),
    Suite(name="docs", paths=("tests/docs",), workers=2),
]


@dataclass(slots=True, kw_only=True)
class Report:
    """What has run, as lines on the terminal while it runs and as a verdict at the end."""

    folder: Path
    """Where each pytest leaves its results and its coverage."""

    red: list[str] = field(default_factory=list)
    passed: int = 0
    failed: int = 0

    def stage(self, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
        """Run Python with the arguments; show its output only if it fails. Return whether it is green."""
        output, green, seconds = run(arguments, environment)
        if not green:
            self.red.append(name)
            print(output, flush=True)
        self.line(name, "ok" if green else "FAILED", seconds)
        return green

    def suite(self, suite: Suite, environment: Mapping[str, str]) -> None:
        """Run a suite's pytest and count its tests."""
        if not suite.present():
            self.red.append(suite.name)
            self.line(suite.name, "FAILED, no tests there", 0.0)
            return
        if suite.needs and suite.needs not in environment:
            print(f"{suite.name:22} NOT RUN: no {suite.needs}")
            return
        results = self.folder / f"{suite.name}.xml"
        output, green, seconds = run(
            [
                *("-m", "pytest", "-q", f"--junitxml={results}"),
                *(MEASURED if suite.measured else ()),
                *(["-n", str(suite.workers)] if suite.workers else []),
                *suite.present(),
            ],
            {
                **environment,
                "FLOWSTATE_TEST_DATABASE": suite.database,
                "COVERAGE_FILE": str(self.folder / f".coverage.{suite.name.replace(' ', '-')}"),
            },
        )
        passed, failed, skipped = count(results)
        self.passed += passed
        self.failed += failed
        if not green:
            self.red.append(suite.name)
            print(output, flush=True)
        verdict = "ok" if green else "FAILED"
        self.line(suite.name, f"{verdict}, {passed} passed, {failed} failed, {skipped} skipped", seconds)

    def coverage(self) -> None:
        """Combine what all suites have covered and hold it against the limit in pyproject.toml."""
        environment = {**os.environ, "COVERAGE_FILE": str(self.folder / ".coverage")}
        if any(self.folder.glob(".coverage.*")):
            run(["-m", "coverage", "combine", str(self.folder)], environment)
            output, green, seconds = run(["-m", "coverage", "report"], environment)
            print(output)
            self.line("coverage", "ok" if green else "FAILED", seconds)
            self.red += [] if green else ["coverage"]

    def line(self, name: str, verdict: str, seconds: float) -> None:
        print(f"{name:22} {verdict} ({seconds:.1f} s)", flush=True)

    def verdict(self) -> int:
        """Print what failed and the sum; return the exit status."""
        for name in self.red:
            print(f"FAILED: {name}")
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.red else 0


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[str, bool, float]:
    """Run this Python with the arguments; return its output, whether it succeeded, and the seconds."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        output, _ = process.communicate(timeout=STAGE_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        output = f"{process.communicate()[0]}\nstopped after {STAGE_WITHIN:.0f} s"
    except BaseException:  # Ctrl+C, SIGTERM
        process.terminate()
        process.wait()
        raise
    return output, process.returncode == 0, time.monotonic() - began


def count(results: Path) -> tuple[int, int, int]:
    """Return how many tests passed, failed and were skipped; a pytest that died counts as one failure."""
    if not results.exists():
        return 0, 1, 0
    totals = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for suite in ElementTree.parse(results).iter("testsuite"):  # noqa: S314 - our own pytest wrote it
        for key in totals:
            totals[key] += int(suite.get(key, 0))
    failed = totals["failures"] + totals["errors"]
    return totals["tests"] - failed - totals["skipped"], failed, totals["skipped"]


def check(report: Report, *, quick: bool) -> list[str]:
    """Run all stages; return what could not be had for them."""
    environment = dict(os.environ)
    for name, arguments in LINT.items():
        report.stage(name, arguments, environment)
    report.suite(UNIT, environment)
    if quick:
        return []
    with services.provide() as provided:
        for origin in provided.origins:
            print(f"  {origin}")
        for suite in SUITES:
            report.suite(suite, provided.variables())
    report.coverage()
    return provided.missing


def main() -> int:
    parser = argparse.ArgumentParser(description="Check everything.")
    parser.add_argument("--quick", action="store_true", help="only what needs no server and no browser")
    quick = parser.parse_args().quick
    # An orderly way out, so that the servers are stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    with tempfile.TemporaryDirectory(prefix="flowstate-check-") as folder:
        report = Report(folder=Path(folder))
        missing = check(report, quick=quick)
        services.announce(missing)
        if os.environ.get("CI") == "true":
            report.red += missing
        return report.verdict()


if __name__ == "__main__":
    sys.exit(main())
